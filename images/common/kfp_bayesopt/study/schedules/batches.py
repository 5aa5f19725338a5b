"""Batches: the trials of an iteration run side by side, and the next ones are proposed when all of them have ended."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from kfp_bayesopt.study.budget import START_SECONDS, batches, trial_seconds
from kfp_bayesopt.study.schedules.base import Given, Schedule, Scheduled, Stage

MOST_ITERATIONS = 1000


class Batches(Schedule):
    """Iterations with a barrier."""

    word = "batches"
    says = "the trials of an iteration wait for each other"
    gives = (Given.TRIAL, Given.AFTER)
    quicker = "asynchronous"
    grows_with = "iterations"
    smaller = "say schedule: asynchronous, whose pipeline does not grow with the trials, or ask for fewer iterations"

    def mistakes(self, study: Scheduled) -> Iterator[str]:
        """Yield the mistake of too many iterations."""
        if study.budget > MOST_ITERATIONS * study.parallel_trials:
            yield (
                f"trials: {study.budget} are more than {MOST_ITERATIONS} iterations of {study.parallel_trials} trials; "
                "say schedule: asynchronous, or raise parallel_trials"
            )

    def shape(self, study: Scheduled) -> str:
        """Return the numbers of iterations and of their trials, in words."""
        return f"{len(batches(study))} iterations of {study.parallel_trials} trials"

    def stages(self, study: Scheduled) -> Iterator[Stage]:
        """Yield the trials of each batch, and the task that proposes the next one."""
        for iteration, batch in enumerate(batches(study), 1):
            yield Stage(Given.TRIAL, batch, study.max_parallel or study.parallel_trials, iteration)
            yield Stage(Given.AFTER, batch[-1:], None, iteration)

    def task_seconds(self, study: Scheduled) -> float | None:
        """Return the longest duration of the job of one trial, or None if unbounded."""
        trial = trial_seconds(study)
        return None if trial is None else trial + START_SECONDS

    def settled(self, study: Scheduled, ended: Collection[int]) -> int:
        """Return the last trial of the batches that have ended completely."""
        return next(batch[0] for batch in batches(study) if not all(number in ended for number in batch)) - 1

    def against_idling(self, kind: str, engine: str) -> str:
        """Return the advantage of the other schedule."""
        return {
            "starting": "with `schedule: asynchronous` each machine starts once",
            "proposing": "with `schedule: asynchronous` the other machines go on while a trial is proposed",
            "waiting": "with `schedule: asynchronous` no trial waits for the slowest of its batch",
        }[kind]
