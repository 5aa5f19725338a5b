"""The one list of steps: the inputs and outputs of each, and the results for people.

Folder, image, component, compose service and Cloud Build step of a step have its name. To add one: a folder
`images/NAME` with `Dockerfile` and `main.py`, an entry here, its place in the order that a schedule gives
(`study/schedules/`), and `make generate golden`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from kfp_bayesopt.runtime import BIN

if TYPE_CHECKING:  # every command knows this list, and its `--help` waits for nothing
    from kfp_bayesopt.study.schedules.base import Given


Kind = Literal[
    "study", "service", "text", "integer", "number", "list", "mapping", "metrics",
    "file", "files", "opened", "markdown", "html", "dataset", "model",
]  # fmt: skip
"""What an input or output is: a parameter of KFP, or from `metrics` on an artifact."""
ARTIFACTS = frozenset({"metrics", "file", "files", "opened", "markdown", "html", "dataset", "model"})


@dataclass(frozen=True)
class Port:
    """An input or an output of a step.

    Attributes:
        name: Its name in the pipeline.
        option: The option of the step that takes the value. None for outputs, which `executor` shows, and for inputs
            that are there for people alone.
        kind: Its type. The study is not an input of a pipeline, which is compiled for it: it lies in the study folder.
            What the service itself says is no input either.
        meaning: Its description in the UI.
        file: Its file in the study folder.
        is_edge: It leads from task to task for people and lineage alone; a pipeline that would get too large has none.
        source: The output of an earlier step that an edge comes from.
    """

    name: str
    option: str | None
    kind: Kind
    meaning: str
    file: str | None = None
    is_edge: bool = False
    source: str | None = None


@dataclass(frozen=True)
class Step:
    """A program from paths to paths.

    Attributes:
        name: Its name.
        does: Its description in the UI.
        lock: The lock file of its packages, below `images/`.
        reads: Its inputs, in the order of its options.
        writes: Its outputs: the files of the study folder that the UI shows.
        holds: Other steps that its image holds.
    """

    name: str
    does: str
    lock: str
    reads: tuple[Port, ...]
    writes: tuple[Port, ...] = ()
    holds: tuple[str, ...] = ()

    def with_edges(self, names: Collection[str]) -> Step:
        """Return the step with no other edges than these."""
        reads, writes = (
            tuple(port for port in ports if not port.is_edge or port.name in names)
            for ports in (self.reads, self.writes)
        )
        return replace(self, reads=reads, writes=writes)

    @property
    def program(self) -> str:
        """The path of the program in the image."""
        return f"{BIN}/{self.name}"

    @property
    def number(self) -> Port | None:
        """The input that distinguishes its tasks: a number; None if it has only one task."""
        return next((port for port in self.reads if port.kind == "integer"), None)


_ROOT = Port("root", "--root", "text", "The study folder.")
_STUDY = Port("study", "--study", "study", "The study file.")
_JOB = Port("job", "--job", "text", "Id of this job, below `jobs` of the study folder.")
_RUN = Port("run", "--run", "text", "What the service calls this run: the id of a job that has no other.")

REPORT_PAGE = "report.html"
"""The file of the study folder that people open."""

_BEST = Port("best", None, "file", "The best trial so far.", "best.json")
_LEDGER = Port("ledger", None, "file", "All trials as JSON lines.", "trials.jsonl")
_METRICS = Port("metrics", None, "metrics", "Best value, and how many trials have completed and failed.", "best.json")

_SUGGESTIONS = Port("suggestions", None, "file", "The trials that are proposed next, as a list in JSON.", is_edge=True)
_BATCH = Port("batch", None, "file", "The trials of the batch, as a list in JSON.", is_edge=True, source="suggestions")

INIT = Step(
    name="init",
    does="Check the study and its folder, and propose the first batch of trials.",
    lock="common/requirements.txt",
    reads=(
        _ROOT,
        _STUDY,
        _JOB,
        _RUN,
        Port("content", "--content", "text", "Text of the study file, if it is to be written into the study folder."),
        Port("opening", "--opening", "text", "What the submitter says of the job then, as JSON."),
    ),
    writes=(_SUGGESTIONS,),
)

EVALUATE = Step(
    name="evaluate",
    does="Evaluate one trial.",
    lock="evaluate/requirements.txt",
    reads=(
        _ROOT,
        _STUDY,
        _JOB,
        _RUN,
        Port("trial", "--trial", "integer", "Number of the trial, from 1."),
        _BATCH,
    ),
    writes=(
        Port("value", None, "text", "Its value; `none` if it failed.", is_edge=True),
        Port("parameters", None, "mapping", "Its parameters.", is_edge=True),
        Port("metrics", None, "metrics", "Its value and its other metrics.", is_edge=True),
    ),
)

UPDATE = Step(
    name="update",
    does="Learn from the trials of a batch and propose the next one.",
    lock="common/requirements.txt",
    reads=(
        _ROOT,
        _STUDY,
        _JOB,
        _RUN,
        Port("after", "--after", "integer", "Number of the last trial of the batch."),
        _BATCH,
        Port(
            "values",
            None,
            "list",
            "The values of the batch; `none` for a trial that failed.",
            is_edge=True,
            source="value",
        ),
    ),
    writes=(_BEST, _METRICS, _SUGGESTIONS),
)

WORKER = Step(
    name="worker",
    does="Evaluate one trial after another, until the budget is spent or the study ends.",
    lock="common/requirements.txt",
    reads=(_ROOT, _STUDY, _JOB, _RUN, Port("worker", "--worker", "integer", "Which of the workers it is, from 1.")),
    writes=(
        Port("done", None, "file", "The trials that it evaluated, as JSON lines.", is_edge=True),
        Port("metrics", None, "metrics", "Value and metrics of the best of them.", is_edge=True),
    ),
    holds=("init", "evaluate", "report"),
)

SHARED = (
    Port("experiment", "--experiment", "text", "Vertex AI experiment: a run for each trial."),
    Port("register", "--register", "text", "Vertex AI model: a version for the best. NAME[=IMAGE]"),
)
"""What may be in other services than the study folder: inputs of a pipeline that are empty for nothing."""
_PIPELINE_JOB = Port(
    "pipeline_job", "--pipeline-job", "service", "What the service calls this run in full, with its project and region."
)

REPORT = Step(
    name="report",
    does="Write the results of the study, and say whether it succeeded.",
    lock="common/requirements.txt",
    reads=(
        _ROOT,
        _STUDY,
        _JOB,
        _RUN,
        *SHARED,
        _PIPELINE_JOB,
        Port("learnt", None, "file", "The best trial by the last update.", is_edge=True, source="best"),
        Port("done", None, "files", "What each worker has evaluated.", is_edge=True, source="done"),
    ),
    writes=(
        _BEST,
        _LEDGER,
        Port("failures", None, "file", "The failed trials, with their reasons.", "failures.json"),
        Port("summary", None, "markdown", "The result in a few lines.", "summary.md"),
        Port("page", None, "html", "All trials, what they mean and what to do, as one page.", REPORT_PAGE),
        _METRICS,
        Port("best_value", None, "text", "Best value."),
        Port("best_parameters", None, "mapping", "Its parameters."),
    ),
)

STEPS = {step.name: step for step in (INIT, EVALUATE, UPDATE, WORKER, REPORT)}


def step_given(number: Given) -> Step:
    """Return the step whose tasks get the number of something from a schedule."""
    return next(step for step in STEPS.values() if step.number is not None and step.number.name == number)


def steps_of(schedule: str) -> tuple[Step, ...]:
    """Return the steps that a study runs, by its schedule."""
    from kfp_bayesopt.study.schedules import SCHEDULES

    return (INIT, *map(step_given, SCHEDULES[schedule].gives), REPORT)


def trial_step(schedule: str) -> Step:
    """Return the step that evaluates the trials under a schedule: its image holds the person's code."""
    from kfp_bayesopt.study.schedules import SCHEDULES

    return step_given(SCHEDULES[schedule].gives[0])


RESULTS = tuple(dict.fromkeys(port.file for step in STEPS.values() for port in step.writes if port.file is not None))
"""The files of the study folder for people; all are derived from the records."""
