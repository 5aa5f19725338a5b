"""Whether a study ends before its budget is spent, and which trials that were proposed it still evaluates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bayesopt.budget import due
from bayesopt.study import Study
from bayesopt.trials import Batch, Best, Record


def still_due(study: Study, batch: Batch, ledger: Sequence[Record]) -> int:
    """Return how many suggestions of a batch, from the first, are to be evaluated.

    All of them, unless the study was changed after they were proposed: its budget, or when it stops.

    Args:
        study: The study as it is now.
        batch: Suggestions that wait.
        ledger: The records of the trials before them.
    """
    return 0 if reason_to_stop(study, ledger) else due(study, batch)


def reason_to_stop(study: Study, ledger: Sequence[Record]) -> str | None:
    """Return why nothing more is to be proposed, or None.

    It follows from the ledger alone: hours are those from the start of its first trial to the end of its last.
    """
    best = Best.of(study, ledger)
    if best.failed > study.failures_allowed:
        return f"{best.failed} trials have failed, more than {study.failures_allowed} (max_failed_trials)"
    stop = study.stop
    if best.value is not None and best.iteration is not None:
        if stop.target is not None and not study.is_better(stop.target, best.value):
            return f"the best value, {best.value:g}, has reached {stop.target:g} (stop.target)"
        idle = ledger[-1].iteration - best.iteration
        if stop.no_improvement_iterations is not None and idle >= stop.no_improvement_iterations:
            return f"{idle} iterations have not improved the best value (stop.no_improvement_iterations)"
    hours = _hours(ledger)
    if stop.max_hours is not None and hours >= stop.max_hours:
        return f"{hours:.2f} hours have passed, of {stop.max_hours:g} (stop.max_hours)"
    return None


def _hours(ledger: Sequence[Record]) -> float:
    starts = [datetime.fromisoformat(record.started) for record in ledger]
    ends = [start + timedelta(seconds=record.seconds) for start, record in zip(starts, ledger, strict=True)]
    return (max(ends) - min(starts)) / timedelta(hours=1) if ledger else 0.0
