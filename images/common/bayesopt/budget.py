"""The batches of a study: which trials are proposed together, by their numbers."""

from __future__ import annotations

from bayesopt.study import Study


def batch_after(study: Study, trial: int) -> range:
    """Return the numbers of the batch after a trial; there are none when the budget is spent."""
    return range(trial + 1, min(trial + study.parallel_trials, study.trials) + 1)


def batches(study: Study) -> list[range]:
    """Return the numbers of each batch."""
    return [batch_after(study, iteration * study.parallel_trials) for iteration in range(study.iterations)]
