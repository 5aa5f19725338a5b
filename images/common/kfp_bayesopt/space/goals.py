"""Limits on metrics, and how trials are ranked.

A trial proposed before a constraint was added may break it, and is then outside like one that breaks a limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from kfp_bayesopt.growing import Growing
from kfp_bayesopt.space.front import Losses, is_as_good
from kfp_bayesopt.space.problem import Problem, Told

T = TypeVar("T", bound=Told)


def broken(study: Problem, record: Told) -> Iterator[str]:
    """Yield the violations of limits and constraints of its study by a completed trial, in words."""
    if record.state == "completed":
        yield from filter(None, (limit.broken_by(record.values) for limit in study.bounds))
        yield from (f"breaks {each.text}" for each in study.kept if not each.holds(record.parameters))


def excess(study: Problem, record: Told) -> tuple[int, float]:
    """Return the number of limits and constraints that a completed trial breaks, and their summed shares."""
    sizes = [abs(limit.bound) or 1.0 for limit in study.bounds] + [1.0] * len(study.kept)
    beyond = list(zip(excesses(study, record), sizes, strict=True))
    return sum(each > 0 for each, _ in beyond), sum(max(each, 0.0) / size for each, size in beyond)


def excesses(study: Problem, record: Told) -> list[float]:
    """Return the excess of a trial over each limit, and for each constraint 1 if it breaks it, else 0."""
    beyond = [limit.excess(record.values.get(limit.metric)) for limit in study.bounds]
    return beyond + [0.0 if each.holds(record.parameters) else 1.0 for each in study.kept]


def losses(study: Problem, record: Told) -> Losses | None:
    """Return the losses of a trial, one number for each objective; None if it failed."""
    if record.state == "failed":
        return None
    return tuple(sign * record.values[name] for name, sign in study.signs.items())


def counts(study: Problem, record: Told) -> bool:
    """Tell whether a trial can be the best: it has completed, and keeps all limits and constraints."""
    return record.state == "completed" and not any(broken(study, record))


def loss(study: Problem, record: Told) -> float | None:
    """Return the loss of a trial of one objective: lower is better. None if it cannot be the best."""
    found = losses(study, record)
    return found[0] if found and counts(study, record) else None


class Standing(Generic[T]):
    """The best so far: a trial, or the front of several objectives.

    Attributes:
        best: Losses and records, in order of arrival.
    """

    def __init__(self, study: Problem, best: Sequence[tuple[Losses, T]] = ()) -> None:
        self._study = study
        self.best = list(best)

    def add(self, record: T) -> bool:
        """Add a trial, and tell whether no earlier one is as good."""
        mine = losses(self._study, record)
        if mine is None or any(is_as_good(each, mine) for each, _ in self.best) or not counts(self._study, record):
            return False
        self.best = [(each, other) for each, other in self.best if not is_as_good(mine, each)]
        self.best.append((mine, record))
        return True

    @property
    def last(self) -> T | None:
        """The last trial that improved on all before it, or that joined the front of several objectives."""
        return self.best[-1][1] if self.best else None

    def after(self, record: T) -> Standing[T]:
        """Return the standing after one more trial; the same object if that is no improvement."""
        standing = Standing(self._study, self.best)
        return standing if standing.add(record) else self


def growing_standing(study: Problem) -> Growing[T, Standing[T]]:
    """Return the standing of a growing ledger: the next ledger costs only its new records."""
    return Growing(Standing(study), Standing.after)
