"""What a study has come to, in the words of the Python interface: the best trials, and how far it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kfp_bayesopt.api.frames import front_of
from kfp_bayesopt.api.markup import facts
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.results import Best as BestOfStudy
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.session.studies import last_state
from kfp_bayesopt.study.sources.base import VALUE


@dataclass(frozen=True)
class Best:
    """A trial that is the best, or on the front.

    Attributes:
        trial: Its number, from 1.
        parameters: Its parameters by name.
        value: Its value; None of several objectives, whose values are among the metrics.
        metrics: Other numbers that the objective gave, by name.
    """

    trial: int
    parameters: dict[str, Any]
    value: float | None
    metrics: Mapping[str, float]

    def _repr_html_(self) -> str:
        title = f"trial {self.trial}" + ("" if self.value is None else f": {self.value!r}")
        return facts(title, [*_labels(self), *self.metrics.items()])


@dataclass(frozen=True)
class Status:
    """How far a study is.

    Attributes:
        state: Of its last job: `running`, `succeeded`, `failed`, or `stopped` if it ended without a word; `-` without
            a job.
        reason: Why it failed or ended early; empty otherwise.
        trials: The budget.
        done: How many trials of the budget have ended.
        completed: How many trials have a value.
        failed: How many have failed.
        stopped: How many were stopped early.
        pending: How many are proposed and have not ended.
        cost: What the trials have cost, where that is known.
    """

    state: str
    reason: str
    trials: int
    done: int
    completed: int
    failed: int
    stopped: int
    pending: int
    cost: float | None

    def _repr_html_(self) -> str:
        counts = [(name, getattr(self, name) or None) for name in ("failed", "stopped", "pending", "cost", "reason")]
        return facts(self.state, [("trials", f"{self.done} of {self.trials}"), ("completed", self.completed), *counts])

    @property
    def is_complete(self) -> bool:
        """Whether every trial of the budget has ended."""
        return self.done >= self.trials


def best_from(record: Record) -> Best:
    """Return a trial from its record."""
    metrics = {name: value for name, value in record.values.items() if name != VALUE}
    return Best(record.trial, record.parameters, record.value, metrics)


def status_of(folder: StudyFolder) -> Status:
    """Return how far a study is.

    Raises:
        UserError: The folder cannot be read.
    """
    trials = folder.read()
    found = BestOfStudy.of(folder.study, trials.ledger)
    state, reason = last_state(folder.root)
    return Status(
        state=state,
        reason=reason,
        trials=found.trials,
        done=found.done,
        completed=found.completed,
        failed=found.failed,
        stopped=found.stopped or 0,
        pending=len(trials.pending),
        cost=found.cost,
    )


def described(folder: StudyFolder) -> str:
    """Return a study as HTML for a cell: how far it is, what is best, and where it is."""
    study = folder.study
    try:
        status, front = status_of(folder), [best_from(record) for record in front_of(folder)]
    except UserError as error:
        return facts(study.name, [("folder", folder.root), ("cannot be read", error.message)])
    failed = f", {status.failed} failed" if status.failed else ""
    rows: list[tuple[str, object]] = [
        ("state", status.state), ("trials", f"{status.done} of {status.trials}{failed}"), ("folder", folder.root)
    ]  # fmt: skip
    if study.objectives:
        rows.append(("front", f"{len(front)} trials"))
    elif front:
        rows += [("best", f"{front[0].value!r} in trial {front[0].trial}"), *_labels(front[0])]
    return facts(study.name, rows)


def _labels(best: Best) -> list[tuple[str, str]]:
    # With all digits: a person copies them.
    return [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in best.parameters.items()]
