"""What every target can do: the commands know nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bayesopt.errors import UserError
from bayesopt.steps import UPDATE
from bayesopt.study import Study
from pipeline.images import Images

# The outputs of a step that a person gets, and the files that they become.
RESULTS = UPDATE.results

SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"


class NoAnswerError(UserError):
    """The service cannot be reached, or has a fault of its own: the same call may succeed later."""


@dataclass(frozen=True)
class Options:
    """What a person says about one submission, beside the settings.

    Attributes:
        labels: Labels of the job.
        run_name: Name of the run.
        cache: Whether steps may take earlier outputs; by default as the study says for each.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    run_name: str | None = None
    cache: bool | None = None


class Submitted(NamedTuple):
    """A job that the service has accepted: its id, and the page where a person watches it."""

    job: str
    page: str


class States(NamedTuple):
    """The state of a job and of each of its tasks, in the words of the service; see also `count`.

    Attributes:
        job: `SUCCEEDED` and `FAILED` mean the same everywhere.
        tasks: Title and state of each task that has begun, in the order in which they began. The trials of an iteration
            have the same title.
    """

    job: str
    tasks: list[tuple[str, str]]


class Target(Protocol):
    """A service that runs jobs. A job is looked at through what `find` returned for it."""

    name: str
    final: frozenset[str]
    """The states that a job does not leave."""

    def problems(self, study: Study | None, images: Images, options: Options) -> list[str]:
        """Return a line for each thing that is wrong with a submission, without sending anything.

        Args:
            study: The study, if it could be read.
            images: The image of each step, as far as they are known.
            options: What else the person says.
        """

    def submit(self, study: Study, path: Path, compiled: Path, options: Options) -> Submitted:
        """Upload a study file and submit its compiled pipeline."""

    def find(self, job: str) -> Any:
        """Ask for a job by its id.

        Raises:
            NoAnswerError: The service does not answer; it may later.
            UserError: There is no such job, or this person may not see it.
        """

    def cancel(self, found: Any) -> None:
        """Ask the service to stop a job."""

    def states(self, found: Any) -> States:
        """Return the states of a job."""

    def reason(self, found: Any) -> str:
        """Return why a job failed."""

    def outputs(self, found: Any) -> dict[str, str]:
        """Return the URI of each of `RESULTS`, from the last step that gave all of them.

        Raises:
            UserError: No step has.
        """


def new_job_id(study: Study) -> str:
    """Return an id that every service takes: lower case letters, digits and hyphens, at most 128."""
    return f"{study.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
