"""Simulates the duration of a study on machines that start slowly, with trials of unequal duration."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.schedules.base import Given
from kfp_bayesopt.study.study import Study

SPREAD = 0.5
"""Standard deviation of the logarithm of a trial's seconds, if unknown: 10 % take over 1.9 times the median."""


@dataclass(frozen=True)
class TrialTime:
    """Durations of trials: log-normal, like most things that people time.

    Attributes:
        median: Seconds.
        spread: Standard deviation of their logarithm.
        known: Seconds of ended trials, which come first.
    """

    median: float
    spread: float = SPREAD
    known: tuple[float, ...] = ()

    @classmethod
    def of(cls, seconds: Sequence[float]) -> TrialTime:
        """Fit it to ended trials."""
        logs = [math.log(max(each, 1e-3)) for each in seconds]
        # A few trials say little of the spread: the default counts as three of them.
        spread = SPREAD
        if len(logs) > 1:
            spread = math.sqrt(((len(logs) - 1) * stdev(logs) ** 2 + 3 * SPREAD**2) / (len(logs) + 2))
        return cls(math.exp(fmean(logs)), spread, tuple(seconds))

    def draw(self, count: int, rng: random.Random) -> list[float]:
        """Return the seconds of a number of trials."""
        drawn = [self.median * math.exp(self.spread * rng.gauss(0, 1)) for _ in range(count - len(self.known))]
        return [*self.known[:count], *drawn]


@dataclass(frozen=True)
class Machines:
    """The machines of trials.

    Attributes:
        start_seconds: From the order of a machine to the start of our program.
        step_seconds: Duration of a step that proposes or reports.
        losses_per_hour: Preemptions per hour.
    """

    start_seconds: float
    step_seconds: float
    losses_per_hour: float = 0.0


@dataclass(frozen=True)
class Taken:
    """The times of one simulated study, in seconds.

    Attributes:
        wall: From its begin to its end.
        trials: Of machines that evaluate, with their starts.
        steps: Of machines of the other steps, with theirs.
    """

    wall: float
    trials: float
    steps: float


def simulate(study: Study, seconds: Sequence[float], machines: Machines, rng: random.Random) -> Taken:
    """Return the times of a study whose trials take these seconds, in the order of their numbers, within its limits."""
    longest = study.max_trial_seconds or math.inf
    seconds = [min(each, longest) for each in seconds]
    seconds = [_with_losses(each, machines, rng) for each in seconds]
    start = machines.start_seconds
    step = start + machines.step_seconds
    wall, trials, steps = step, 0.0, step  # init
    for stage in SCHEDULES[study.schedule].stages(study):
        if stage.given is Given.TRIAL:  # each on a machine of its own
            own = [start + seconds[number - 1] for number in stage.numbers]
            wall += max(_ends(own, min(stage.at_once or 1, len(own))))
            trials += sum(own)
        elif stage.given is Given.WORKER:  # machines that take one trial after another
            ends = _ends(seconds, len(stage.numbers), start)
            wall, trials = wall + max(ends), trials + sum(ends)
        else:
            wall, steps = wall + step, steps + step
    return Taken(wall + step, trials, steps + step)  # report


def repeat(study: Study, time: TrialTime, machines: Machines, seed: int = 1) -> list[Taken]:
    """Return the times of a study in many simulations; in fewer if it is large."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    runs = min(max(200_000 // study.budget, 20), 200)
    return [simulate(study, time.draw(study.budget, rng), machines, rng) for _ in range(runs)]


def between(taken: Sequence[Taken], of: Callable[[Taken], float]) -> tuple[float, float]:
    """Return the tenth and the ninetieth percentile of one of the times."""
    return percentiles(map(of, taken))


def percentiles(values: Iterable[float]) -> tuple[float, float]:
    """Return the tenth and the ninetieth percentile of values."""
    ordered = sorted(values)
    return ordered[len(ordered) // 10], ordered[-1 - len(ordered) // 10]


def _with_losses(seconds: float, machines: Machines, rng: random.Random) -> float:
    """Return the duration of a trial, including its preempted attempts."""
    lost = 0.0
    while rng.random() < -math.expm1(-machines.losses_per_hour * seconds / 3600):
        lost += rng.uniform(0, seconds) + machines.start_seconds
        if lost > 100 * seconds + 100 * machines.start_seconds:
            break  # it will never end
    return seconds + lost


def _ends(seconds: Sequence[float], slots: int, begin: float = 0.0) -> list[float]:
    """Return the end of each slot, if each takes the next task as soon as it is free."""
    ends = [begin] * slots
    for each in seconds:
        heapq.heapreplace(ends, ends[0] + each)
    return ends
