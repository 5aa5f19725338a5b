"""Asynchronous: workers that take one trial after another, and never wait for each other."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from kfp_bayesopt.study.budget import START_SECONDS, trial_seconds, workers
from kfp_bayesopt.study.schedules.base import Given, Schedule, Scheduled, Stage


class Asynchronous(Schedule):
    """Workers that never wait for each other."""

    word = "asynchronous"
    says = "workers that never wait for each other"
    gives = (Given.WORKER,)
    claims_first = True
    can_join = True
    unbounded = "nothing bounds how long a worker runs"
    grows_with = "parallel_trials"
    smaller = "lower parallel_trials or max_parallel"

    def mistakes(self, study: Scheduled) -> Iterator[str]:
        """Yield the mistake of an engine that cannot propose while trials are running."""
        yield from study.optimizer.asynchronous_mistakes()

    def shape(self, study: Scheduled) -> str:
        """Return the number of trials."""
        return f"{study.budget} trials"

    def stages(self, study: Scheduled) -> Iterator[Stage]:
        """Yield all workers at once."""
        numbers = range(1, workers(study) + 1)
        yield Stage(Given.WORKER, numbers, len(numbers))

    def task_seconds(self, study: Scheduled) -> float | None:
        """Return the longest duration of the job of a worker, or None if unbounded.

        That is a net for a job that hangs, and no part of the budget, so it leaves room for what others lose: all
        trials of the study, should this worker be the only one that is left; or twice `stop.max_hours`, which counts
        trials that have ended, and one trial more, which was under way then. A machine takes its time to start besides.
        """
        trial = trial_seconds(study)
        bounds = []
        if trial is not None:
            bounds.append(study.budget * trial)
        if study.stop.max_hours is not None:
            hours = study.stop.max_hours * 3600
            bounds.append(2 * hours + (hours if trial is None else trial))
        return min(bounds) + START_SECONDS if bounds else None

    def settled(self, study: Scheduled, ended: Collection[int]) -> int:
        """Return the last ended trial; the others need not have ended."""
        return max(ended, default=0)

    def against_idling(self, kind: str, engine: str) -> str:
        """Return the remedy for machines that wait for proposals, or have little to do."""
        if kind == "proposing":
            return f"longer trials use them better, or an engine that proposes faster than `{engine}`"
        return "fewer workers, or longer trials on each, use them better"
