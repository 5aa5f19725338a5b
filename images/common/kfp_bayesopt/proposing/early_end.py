"""Decides whether a study ends before its budget is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kfp_bayesopt.folder.results import cost_of
from kfp_bayesopt.folder.trials import Record, Trials
from kfp_bayesopt.growing import Growing
from kfp_bayesopt.space.goals import Standing, growing_standing
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study


@dataclass(frozen=True)
class Stop:
    """The reason that a study ends, and whether it has failed."""

    reason: str
    failed: bool = False


def too_many_failed(study: Study, ledger: Sequence[Record]) -> Stop | None:
    """Return the reason a study fails if too many of its trials have, or None."""
    failed = sum(record.state == "failed" for record in ledger)
    if failed <= study.failures_allowed:
        return None
    return Stop(
        f"{failed} of {len(ledger)} trials have failed, more than {study.failures_allowed} (max_failed_trials); "
        "failures.json has their reasons",
        failed=True,
    )


def reason_to_stop(
    study: Study, ledger: Sequence[Record], standings: Growing[Record, Standing[Record]] | None = None
) -> Stop | None:
    """Return the reason to stop proposing and evaluating, or None.

    It follows from the ledger alone: hours are those of the batches, each as long as its longest trial, and those of
    trials without a batch, as if `parallel_trials` of them had always been running.

    Args:
        study: The study.
        ledger: The records of the trials that have ended.
        standings: A cache of the best trials of ledgers, for a caller that asks after each trial.
    """
    if stop := too_many_failed(study, ledger):
        return stop
    what = "the front" if study.objectives else "the best value"
    best, stop_at = (standings or growing_standing(study)).of(ledger).last, study.stop
    if best is not None:
        if stop_at.target is not None and best.value is not None and not study.is_better(stop_at.target, best.value):
            return Stop(f"the best value, {best.value:g}, has reached {stop_at.target:g} (stop.target)")
        idle = max(record.iteration or 0 for record in ledger) - (best.iteration or 0)
        if stop_at.no_improvement_iterations is not None and idle >= stop_at.no_improvement_iterations:
            return Stop(f"{idle} iterations have not improved {what} (stop.no_improvement_iterations)")
        since = sum(record.trial > best.trial for record in ledger)
        if stop_at.no_improvement_trials is not None and since >= stop_at.no_improvement_trials:
            return Stop(f"{since} trials have not improved {what} (stop.no_improvement_trials)")
    if stop_at.max_cost is not None and (cost := cost_of(ledger) or 0.0) >= stop_at.max_cost:
        return Stop(f"the trials have cost {cost:.2f}, of {stop_at.max_cost:g} (stop.max_cost)")
    if stop_at.max_hours is not None and (hours := _hours(study, ledger)) >= stop_at.max_hours:
        return Stop(f"{hours:.2f} hours have passed, of {stop_at.max_hours:g} (stop.max_hours)")
    return None


def early_end(study: Study, trials: Trials) -> Stop | None:
    """Return the reason a study ends before its budget is spent, or has failed, by its known trials; or None."""
    ended = {record.trial: record for record in trials.ended}
    if all(number in ended for number in range(1, study.budget + 1)):
        return too_many_failed(study, [record for record in trials.ended if record.trial <= study.budget])
    last = SCHEDULES[study.schedule].settled(study, ended)
    return reason_to_stop(study, [record for record in trials.ended if record.trial <= last])


def _hours(study: Study, ledger: Sequence[Record]) -> float:
    """Return the hours that the trials took, by their own clocks, so that wrong ones do not matter."""
    longest: dict[int, float] = {}
    alone = 0.0
    for record in ledger:
        if record.iteration is None:
            alone += record.seconds
        else:
            longest[record.iteration] = max(longest.get(record.iteration, 0.0), record.seconds)
    return (sum(longest.values()) + alone / study.parallel_trials) / 3600
