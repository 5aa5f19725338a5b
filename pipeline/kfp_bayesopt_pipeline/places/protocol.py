"""The interface of every target: the commands know nothing else of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.extras import Extra
from kfp_bayesopt_pipeline.places.settings import Settings

if TYPE_CHECKING:  # `--help` reads them, and waits for nothing
    from kfp_bayesopt.folder.jobs import Submitted
    from kfp_bayesopt.study.study import Study
    from kfp_bayesopt_pipeline.images import Images
    from kfp_bayesopt_pipeline.plan.prices import Prices

SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"
NOT_RUN = "not run"
"""The state of a task that a job has ended without."""


class RefusedError(UserError):
    """The service no longer accepts the credentials: the job goes on without us."""


@dataclass(frozen=True)
class Options:
    """A person's options for one submission, beside the settings.

    Attributes:
        labels: Labels of the job.
        run_name: Name of the run.
        data: What the objective is given: a text or a URI.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    run_name: str | None = None
    data: str = ""


class Inputs(NamedTuple):
    """The inputs of a job: its study folder, and its id there."""

    root: str
    job: str


class States(NamedTuple):
    """The state of a job and of each of its tasks, in the service's words; see also `count`.

    Attributes:
        job: `SUCCEEDED` and `FAILED` mean the same everywhere.
        tasks: Title and state of each begun task, in the order of their start, and those that the job has ended
            without. The trials of an iteration have the same title.
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

    def unreached(self, root: str) -> str | None:
        """Return how this machine can reach a study folder that only the service reaches; None where it does already.

        Nothing is asked: what a person has set decides.
        """

    def jobs_of(self, root: str) -> dict[str, bool]:
        """Return our ids of the jobs of a study folder that this machine does not reach, and whether each has ended."""

    def submit(
        self, study: Study, job: str, root: str, compiled: Path, options: Options, along: Mapping[str, str]
    ) -> Submitted:
        """Submit the compiled pipeline of a study for a job of its folder.

        Args:
            study: The study.
            job: Our id of the job.
            root: Its folder.
            compiled: The pipeline.
            options: The person's options.
            along: The inputs of the pipeline that take the place of a folder which this machine does not reach.

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

    def remarks(self, found: Any) -> list[str]:
        """Return what else the service tells of a job, a line each, such as what waits for a machine."""

    def inputs(self, found: Any) -> Inputs:
        """Return the study folder of a job and its id there, from the inputs that the service returns.

        Raises:
            UserError: It is not a job of this version.
        """


class Place:
    """Where the trials of a study run: what is known of it before anything is asked or sent.

    Attributes:
        name: What jobs call it.
        has_prices: Its machines have a price, on demand and as spot machines.
        step_seconds: The duration of a step that proposes or reports.
        elsewhere: The module of `elsewhere` that runs a study of a notebook or a script there: its `run`, `stop` and
            `find`.
    """

    name: ClassVar[str]
    has_prices: ClassVar[bool] = False
    step_seconds: ClassVar[float] = 10.0
    elsewhere: ClassVar[str] = "on_service"

    def start_seconds(self, study: Study, prices: Prices) -> float:
        """Return the time from the order of a machine for a trial to the start of our program, in seconds."""
        return 0.0

    def assumptions(self, study: Study, prices: Prices) -> Iterator[str]:
        """Yield what a plan assumes of this place, a line each."""
        start = self.start_seconds(study, prices)
        yield f"- {start:g} s until a machine has started, {self.step_seconds:g} s to propose or report"


class TargetPlace(Place):
    """A place that takes jobs, which then go on without us.

    Attributes:
        settings: What a person sets.
        service: The module of `places` whose class `Service`, made from the settings, is the `Target`. It is imported
            only when it is used: client libraries take seconds.
        extra: The extra that it needs.
        ends_task: What ends a task that runs for too long, in words; None where nothing does.
        again: How often a study that somebody waits for is sent again after a job that failed on the way.
        lease_minutes: The lease of workers where a dead one is not brought back; None where it is.
    """

    settings: ClassVar[type[Settings]]
    service: ClassVar[str]
    extra: ClassVar[Extra]
    ends_task: ClassVar[str | None] = None
    again: ClassVar[int] = 0

    def asks(self, study: Study) -> str | None:
        """Return what the machines of a study together ask for, in a sentence, where they must share what there is."""
        return None

    def limits(self, study: Study, root: str) -> list[str]:
        """Return the features and sizes of a study that the service would refuse.

        Args:
            study: The study.
            root: The prefix of its study folder; empty if that is not known.
        """
        raise NotImplementedError

    lease_minutes: ClassVar[float | None] = None


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
            "what it wrote, and where the study of a step of it is: `root` of the artifact `opened`"
        )
    return Inputs(root.rstrip("/"), job)


def titles_of(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the title of each task in the UI, by the name of the task; groups of tasks have no title.

    Args:
        spec: The pipeline, as services return it with the job.
    """
    return {name: task["taskInfo"]["name"] for name, task in _tasks(spec).items() if not _is_group(spec, task)}


def _tasks(spec: Mapping[str, Any]) -> dict[str, Any]:
    groups = [spec.get("root", {}), *spec.get("components", {}).values()]
    return {name: task for group in groups for name, task in group.get("dag", {}).get("tasks", {}).items()}


def _is_group(spec: Mapping[str, Any], task: Mapping[str, Any]) -> bool:
    return "dag" in spec["components"][task["componentRef"]["name"]]
