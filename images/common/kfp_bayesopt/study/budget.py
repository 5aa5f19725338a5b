"""The budget of a study, and its batches: the numbers of the trials that are proposed together."""

from __future__ import annotations

from typing import Protocol

START_SECONDS = 900
"""The longest start of a machine: minutes on Vertex, and more for a large image."""

BETWEEN_SECONDS = 60
"""The longest time between two trials of a worker: a proposal, and writing."""


class Budgeted(Protocol):
    """The part of a study that sets the number of trials."""

    @property
    def budget(self) -> int:
        """The total number of trials."""
        ...

    @property
    def parallel_trials(self) -> int:
        """The number of trials evaluated side by side."""
        ...

    @property
    def max_parallel(self) -> int | None:
        """The number of them that run at the same time on Kubeflow and Vertex."""
        ...


class Hours(Protocol):
    """When a study ends, as far as that is a matter of time."""

    @property
    def max_hours(self) -> float | None:
        """The hours of its trials after which it ends."""
        ...


class Timed(Budgeted, Protocol):
    """The part of a study that limits durations."""

    @property
    def max_trial_seconds(self) -> float | None:
        """The seconds after which a trial is stopped."""
        ...

    @property
    def finish_seconds(self) -> float:
        """The seconds that an objective may take to exit once its value is there."""
        ...

    @property
    def stop(self) -> Hours:
        """When the study ends before its budget is spent."""
        ...


def batch_after(study: Budgeted, trial: int) -> range:
    """Return the numbers of the batch after a trial; none when the budget is spent."""
    return range(trial + 1, min(trial + study.parallel_trials, study.budget) + 1)


def batches(study: Budgeted) -> list[range]:
    """Return the numbers of each batch."""
    return [batch_after(study, done) for done in range(0, study.budget, study.parallel_trials)]


def workers(study: Budgeted) -> int:
    """Return the number of workers, or of trials at once: no more than may run, or than there are trials."""
    return min(study.parallel_trials, study.max_parallel or study.parallel_trials, study.budget)


def trial_seconds(study: Timed) -> float | None:
    """Return the longest duration of a trial, with the time around it, or None if unbounded."""
    if study.max_trial_seconds is None:
        return None
    return study.max_trial_seconds + study.finish_seconds + BETWEEN_SECONDS
