"""What engines share whose suggestions follow from the study and the ledger alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from kfp_bayesopt.search.encoding import Encoding, Floats
from kfp_bayesopt.search.sampling import random_numbers
from kfp_bayesopt.space.earlier import Earlier
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.space.problem import Problem, Told


@dataclass(frozen=True)
class Source:
    """The completed trials of another study.

    Attributes:
        points: (n, d) in the space of this one.
        values: (n,) lower is better.
    """

    points: Floats
    values: Floats


@dataclass(frozen=True)
class View:
    """What is known when suggestions are asked for.

    Attributes:
        study: The study.
        encoding: Its space as columns of numbers.
        points: (n, d) of all trials done.
        losses: (n, k) of each objective, lower is better; NaN where a trial failed.
        excesses: (n, l) by how much a trial lies beyond each limit; infinite where it has no such metric, NaN where it
            was stopped before it had one.
        pending: (m, d) of the trials that run.
        tried: The keys of all points done, pending or suggested; each suggestion is added when it is taken.
        sources: Other studies, which tell where good points probably are.
        rng: Random numbers that are the same for the same study and number of trials.
    """

    study: Problem
    encoding: Encoding
    points: Floats
    losses: Floats
    excesses: Floats
    pending: Floats
    tried: Set[bytes]
    sources: Sequence[Source]
    rng: np.random.Generator

    @property
    def values(self) -> Floats:
        """(n,) of the first objective, lower is better; NaN where a trial failed or broke a limit."""
        return values_of(self.losses, self.excesses)

    @property
    def reference(self) -> list[float | None]:
        """What nobody would take of each objective, lower is better; None where the study does not say."""
        asked = self.study.reference
        return [sign * asked[name] if name in asked else None for name, sign in self.study.signs.items()]

    @property
    def begun(self) -> int:
        """How many trials are done or pending."""
        return len(self.points) + len(self.pending)


class LedgerEngine:
    """Keeps the points and values of a ledger, and suggests what the settings of the study propose for them.

    No point is suggested twice. Where a finite space has no other left, fewer are suggested than
    were asked for, and in the end none.

    Attributes:
        study: The study.
        encoding: Its space as columns of numbers.
    """

    def __init__(self, study: Problem) -> None:
        self.study = study
        self.encoding = Encoding(study.space, study.kept)
        self._points: list[Floats] = []
        self._losses: list[Sequence[float]] = []
        self._excesses: list[Sequence[float]] = []
        self._add([(each.parameters, each.values) for each in study.earlier if each.same])
        self._sources = list(self._other_studies())

    @property
    def points(self) -> Floats:
        """(n, d) of all trials done."""
        return np.vstack([np.empty((0, len(self.encoding))), *self._points])

    @property
    def values(self) -> Floats:
        """(n,) lower is better; NaN where a trial failed or broke a limit."""
        return values_of(self.losses, self.excesses)

    @property
    def losses(self) -> Floats:
        """(n, k) of each objective, lower is better; NaN where a trial failed."""
        return np.array(self._losses, dtype=float).reshape(len(self._losses), len(self.study.signs))

    @property
    def excesses(self) -> Floats:
        """(n, l) by how much a trial lies beyond each limit."""
        return np.array(self._excesses, dtype=float).reshape(len(self._losses), len(self.study.bounds))

    def suggest(self, count: int, pending: Sequence[Parameters] = ()) -> list[Parameters]:
        """Propose the next `count` trials beside those that run, or as many as there are points left."""
        tried: set[bytes] = set()
        view = self._view(pending, tried)
        suggestions: list[Parameters] = []
        for row in self.study.optimizer.propose(view, count):
            key = self.encoding.key(row)
            if key not in tried and self.encoding.keeps(row[None])[0]:
                tried.add(key)
                suggestions.append(self.encoding.decode(row))
            if len(suggestions) == count:
                break
        return suggestions

    def promises(self, points: Sequence[Parameters], pending: Sequence[Parameters]) -> list[float] | None:
        """Return how much is expected of each of some points beside those that run, as logarithms.

        None where the engine compares no points.
        """
        found = self.study.optimizer.promises(self._view(pending, set()), self.encoding.encode_all(points))
        return None if found is None else [float(each) for each in found]

    def _view(self, pending: Sequence[Parameters], tried: set[bytes]) -> View:
        """Return what is known; to what was tried its points are added."""
        points, running = self.points, self.encoding.encode_all(pending)
        rng = random_numbers(self.study, len(points) + len(running))
        tried.update(self.encoding.key(row) for row in (*points, *running))
        return View(self.study, self.encoding, points, self.losses, self.excesses, running, tried, self._sources, rng)

    def learn(self, records: Sequence[Told]) -> None:
        """Take in the records of a batch, failed ones too."""
        self._add([(each.parameters, self._told(each)) for each in records])

    def _told(self, record: Told) -> Mapping[str, float]:
        """Return the values of a trial; NaN of a metric with a limit that it was stopped before it had."""
        if record.state == "completed":
            return record.values
        if record.state == "failed":
            return {}
        return {**{limit.metric: np.nan for limit in self.study.bounds}, **record.values}

    def _add(self, trials: Sequence[tuple[Parameters, Mapping[str, float]]]) -> None:
        """Take in trials with their values; a failed one has none."""
        signs, bounds = self.study.signs, self.study.bounds
        self._points.append(self.encoding.encode_all([parameters for parameters, _ in trials]))
        for _, values in trials:
            self._losses.append([sign * values.get(name, np.nan) for name, sign in signs.items()])
            self._excesses.append([limit.excess(values.get(limit.metric)) for limit in bounds])

    def _other_studies(self) -> Iterator[Source]:
        """Yield the completed trials of other studies, as far as they have parameters of this one."""
        (name, sign), *others = self.study.signs.items()
        origins: dict[str, list[Earlier]] = {}
        for each in self.study.earlier:
            if not each.same and name in each.values and not others:
                origins.setdefault(each.origin, []).append(each)
        for trials in origins.values():
            if len(trials) > 1:
                points = self.encoding.encode_all([self.encoding.complete(each.parameters) for each in trials])
                yield Source(points, np.array([sign * each.values[name] for each in trials]))


def values_of(losses: Floats, excesses: Floats) -> Floats:
    """Return the first of losses (n, k), or NaN where one of excesses (n, l) is above 0: (n,)."""
    return np.where((excesses > 0).any(1), np.nan, losses[:, 0])
