"""The budget of a study, and its batches: which trials are proposed together, by their numbers."""

from __future__ import annotations

from bayesopt.study import Study


def batch_after(study: Study, trial: int) -> range:
    """Return the numbers of the batch after a trial; there are none when the budget is spent."""
    return range(trial + 1, min(trial + study.parallel_trials, study.budget) + 1)


def batches(study: Study) -> list[range]:
    """Return the numbers of each batch."""
    return [batch_after(study, done) for done in range(0, study.budget, study.parallel_trials)]


def workers(study: Study) -> int:
    """Return how many workers an asynchronous study has: no more than may run at once, or than there are trials."""
    return min(study.parallel_trials, study.max_parallel or study.parallel_trials, study.budget)


def worker_seconds(study: Study) -> float | None:
    """Return how long a worker of an asynchronous study takes at most, or None where nothing bounds it.

    Its trials and one more, which begins as the others end; or `stop.max_hours`, at which it claims no more.
    """
    if study.stop.max_hours is not None:
        return study.stop.max_hours * 3600
    if study.max_trial_seconds is None:
        return None
    return (study.budget / workers(study) + 1) * study.max_trial_seconds


def shape(study: Study) -> str:
    """Return the budget as people say it."""
    if study.schedule == "asynchronous":
        return f"{study.budget} trials"
    return f"{len(batches(study))} iterations of {study.parallel_trials} trials"
