"""The budget of a study, and its batches: which trials are proposed together, by their numbers."""

from __future__ import annotations

from kfp_bayesopt.study.study import Study

START_SECONDS = 900
"""What a machine takes to start, at most: minutes on Vertex, and more where an image is large."""

BETWEEN_SECONDS = 60
"""What lies between two trials of a worker, at most: a proposal, and what is written."""


def batch_after(study: Study, trial: int) -> range:
    """Return the numbers of the batch after a trial; there are none when the budget is spent."""
    return range(trial + 1, min(trial + study.parallel_trials, study.budget) + 1)


def batches(study: Study) -> list[range]:
    """Return the numbers of each batch."""
    return [batch_after(study, done) for done in range(0, study.budget, study.parallel_trials)]


def workers(study: Study) -> int:
    """Return how many workers a study has, or trials at once: no more than may run, or than there are trials."""
    return min(study.parallel_trials, study.max_parallel or study.parallel_trials, study.budget)


def trial_seconds(study: Study) -> float | None:
    """Return how long a trial takes at most, with what lies around it, or None where nothing bounds it."""
    if study.max_trial_seconds is None:
        return None
    return study.max_trial_seconds + study.finish_seconds + BETWEEN_SECONDS


def longest_trial(study: Study) -> float | None:
    """Return how long the job of one trial may take, or None where nothing bounds it."""
    trial = trial_seconds(study)
    return None if trial is None else trial + START_SECONDS


def worker_seconds(study: Study) -> float | None:
    """Return how long the job of a worker may take, or None where nothing bounds it.

    That is a net for a job that hangs, and no part of the budget, so it leaves room for what others lose: all trials of
    the study, should this worker be the only one that is left; or twice `stop.max_hours`, which counts trials that have
    ended, and one trial more, which was under way then. A machine takes its time to start besides.
    """
    trial = trial_seconds(study)
    bounds = []
    if trial is not None:
        bounds.append(study.budget * trial)
    if study.stop.max_hours is not None:
        hours = study.stop.max_hours * 3600
        bounds.append(2 * hours + (hours if trial is None else trial))
    return min(bounds) + START_SECONDS if bounds else None


def shape(study: Study) -> str:
    """Return the budget as people say it."""
    if study.schedule == "asynchronous":
        return f"{study.budget} trials"
    return f"{len(batches(study))} iterations of {study.parallel_trials} trials"
