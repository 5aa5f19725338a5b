"""The one list of steps: what each reads and writes, and what of it a person gets.

Folder, image, component, compose service and Cloud Build step of a step have its name. To add one: a folder
`images/NAME` with `Dockerfile` and `main.py`, an entry here, its place in the graph (`pipeline/chain.py`,
`pipeline/kfp/graph.py`, `pipeline/compose.py`), and `make generate golden`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# Where the images keep our programs: the step, `executor`, which tells KFP what the step wrote, and `copy`.
BIN = "/opt/bayesopt/bin"


@dataclass(frozen=True)
class Port:
    """An input or an output of a step.

    Attributes:
        name: What the pipeline calls it.
        option: The option of the step that takes the value or the path; none if `bayesopt.executor` makes the output.
        kind: What it holds.
        meaning: What the UI says about it.
        result: The name of the file that a person gets of it, as the last such step wrote it.
    """

    name: str
    option: str | None
    kind: Literal["text", "integer", "list", "mapping", "file", "metrics"]
    meaning: str
    result: str | None = None


@dataclass(frozen=True)
class Step:
    """A program from paths to paths.

    Attributes:
        name: Its name.
        does: What it does, as the UI says it.
        lock: The lock file of its packages, below `images/`.
        reads: Its inputs, in the order of its options.
        writes: Its outputs, in the order of its options.
    """

    name: str
    does: str
    lock: str
    reads: tuple[Port, ...]
    writes: tuple[Port, ...]

    @property
    def program(self) -> str:
        """The path of the program in the image."""
        return f"{BIN}/{self.name}"

    @property
    def results(self) -> dict[str, str]:
        """The files that a person gets, by the output that becomes them."""
        return {port.name: port.result for port in self.writes if port.result is not None}


_STUDY = Port("study", "--study", "text", "URI of the study file.")

INIT = Step(
    name="init",
    does="Check the study and propose the first batch of trials.",
    lock="common/optimizer/requirements.txt",
    reads=(_STUDY,),
    writes=(
        Port("optimizer", "--optimizer-out", "file", "Optimizer state."),
        Port("ledger", "--ledger-out", "file", "All trials of the study as JSON lines; none yet."),
        Port("suggestions", "--suggestions-out", "file", "Trials of iteration 1."),
    ),
)

EVALUATE = Step(
    name="evaluate",
    does="Evaluate one trial.",
    lock="evaluate/requirements.txt",
    reads=(
        _STUDY,
        Port("suggestions", "--suggestions", "file", "Trials of this iteration."),
        Port("index", "--index", "integer", "Which of them, from 0."),
    ),
    writes=(
        Port("record", "--record-out", "file", "The trial as JSON, with its value or its error."),
        Port("record_uri", None, "text", "URI of the record."),
    ),
)

UPDATE = Step(
    name="update",
    does="Learn from the trials of an iteration and propose the next batch.",
    lock="common/optimizer/requirements.txt",
    reads=(
        _STUDY,
        Port("optimizer", "--optimizer", "file", "Optimizer state before."),
        Port("ledger", "--ledger", "file", "All trials before this iteration."),
        Port("suggestions", "--suggestions", "file", "Trials of this iteration."),
        Port("records", "--records", "list", "URIs of their records."),
    ),
    writes=(
        Port("next_optimizer", "--optimizer-out", "file", "Optimizer state.", result="optimizer.state"),
        Port("next_ledger", "--ledger-out", "file", "All trials of the study as JSON lines.", result="trials.jsonl"),
        Port("best", "--best-out", "file", "The best trial so far.", result="best.json"),
        Port("next_suggestions", "--suggestions-out", "file", "Trials of the next iteration."),
        Port("metrics", None, "metrics", "Best value, and how many trials have completed and failed."),
        Port("best_value", None, "text", "Best value so far."),
        Port("best_parameters", None, "mapping", "Its parameters."),
    ),
)

STEPS = {step.name: step for step in (INIT, EVALUATE, UPDATE)}
