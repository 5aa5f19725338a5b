"""The interface of every target: the commands know nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.jobs import Job, Submitted
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.images import Images

SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"


class RefusedError(UserError):
    """The service no longer accepts the credentials: the job goes on without us."""


@dataclass(frozen=True)
class Options:
    """A person's options for one submission, beside the settings.

    Attributes:
        labels: Labels of the job.
        run_name: Name of the run.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    run_name: str | None = None


class Inputs(NamedTuple):
    """The inputs of a job: its study folder, and its id there."""

    root: str
    job: str


class States(NamedTuple):
    """The state of a job and of each of its tasks, in the service's words; see also `count`.

    Attributes:
        job: `SUCCEEDED` and `FAILED` mean the same everywhere.
        tasks: Title and state of each begun task, in the order of their start. The trials of an iteration have the same
            title.
    """

    job: str
    tasks: list[tuple[str, str]]


class Target(Protocol):
    """A service that runs jobs. Its methods take a job as returned by `find`."""

    name: str
    final: frozenset[str]
    """The states that a job does not leave."""

    def problems(self, study: Study | None, images: Images, options: Options) -> list[str]:
        """Return a line for each problem of a submission, without sending anything.

        Args:
            study: The study, if it could be read.
            images: The image of each step, as far as known.
            options: The person's options.
        """

    def submit(self, study: Study, job: Job, root: str, compiled: Path, options: Options) -> Submitted:
        """Submit the compiled pipeline of a study for a job of its folder.

        Raises:
            NoAnswerError: The service does not answer: it may have the job or not.
            UserError: It was refused.
        """

    def find(self, job: str) -> Any:
        """Ask for a job by its id, ours or the one of the service.

        Raises:
            NoAnswerError: The service does not answer; it may later.
            UserError: There is no such job, or this person may not see it.
        """

    def cancel(self, found: Any) -> None:
        """Ask the service to stop a job."""

    def states(self, found: Any) -> States:
        """Return the states of a job."""

    def reason(self, found: Any) -> str:
        """Return the reason a job failed."""

    def inputs(self, found: Any) -> Inputs:
        """Return the study folder of a job and its id there, from the inputs that the service returns.

        Raises:
            UserError: It is not a job of this version.
        """


def inputs_of(name: str, parameters: Mapping[str, Any]) -> Inputs:
    """Return the inputs of a job from the parameters of its pipeline.

    Args:
        name: The service's name of the run, the default of the job's id.
        parameters: The inputs of its pipeline.

    Raises:
        UserError: It is not a job of this version.
    """
    root, job = parameters.get("root"), parameters.get("job") or name
    if not isinstance(root, str) or not isinstance(job, str):
        raise UserError(
            f"job {name}: has no study folder, because its pipeline is of version 0.1.0 or not ours; its page shows "
            "what it wrote"
        )
    return Inputs(root.rstrip("/"), job)
