"""The base of engines whose suggestions follow from the study and the ledger alone."""

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
        points: (n, d) in the space of this study.
        values: (n,) lower is better.
    """

    points: Floats
    values: Floats


@dataclass(frozen=True)
class View:
    """The state of a study, from which suggestions are made.

    Attributes:
        study: The study.
        encoding: Its space as columns of numbers.
        points: (n, d) of all trials done.
        losses: (n, k) of each objective, lower is better; NaN for failed trials.
        excesses: (n, l) over each limit; infinite if the metric is missing, NaN if the trial was stopped before it.
        pending: (m, d) of the running trials.
        tried: The keys of all points done, pending or suggested; each suggestion is added when it is taken.
        sources: Other studies, as hints at good points.
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
        """(n,) of the first objective, lower is better; NaN for a failed trial or one that broke a limit."""
        return values_of(self.losses, self.excesses)

    @property
    def reference(self) -> list[float | None]:
        """The reference point, per objective; lower is better; None if the study does not set it."""
        asked = self.study.reference
        return [sign * asked[name] if name in asked else None for name, sign in self.study.signs.items()]

    @property
    def begun(self) -> int:
        """The number of trials done or pending."""
        return len(self.points) + len(self.pending)


class LedgerEngine:
    """Keeps the points and values of a ledger, and suggests the proposals of the study's settings for them.

    No point is suggested twice. If a finite space runs out of points, fewer are suggested than asked for, and finally
    none.

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
        """(n,) lower is better; NaN for a failed trial or one that broke a limit."""
        return values_of(self.losses, self.excesses)

    @property
    def losses(self) -> Floats:
        """(n, k) of each objective, lower is better; NaN for failed trials."""
        return np.array(self._losses, dtype=float).reshape(len(self._losses), len(self.study.signs))

    @property
    def excesses(self) -> Floats:
        """(n, l) excess of each trial over each limit."""
        return np.array(self._excesses, dtype=float).reshape(len(self._losses), len(self.study.bounds))

    def suggest(self, count: int, pending: Sequence[Parameters] = ()) -> list[Parameters]:
        """Propose the next `count` trials beside the running ones, or as many as there are points left."""
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
        """Return the acquisition of points, given the running trials, as logarithms.

        None if the engine does not score points.
        """
        found = self.study.optimizer.promises(self._view(pending, set()), self.encoding.encode_all(points))
        return None if found is None else [float(each) for each in found]

    def _view(self, pending: Sequence[Parameters], tried: set[bytes]) -> View:
        """Return the current state; the keys of its points are added to `tried`."""
        points, running = self.points, self.encoding.encode_all(pending)
        rng = random_numbers(self.study, len(points) + len(running))
        tried.update(self.encoding.key(row) for row in (*points, *running))
        return View(self.study, self.encoding, points, self.losses, self.excesses, running, tried, self._sources, rng)

    def learn(self, records: Sequence[Told]) -> None:
        """Learn the records of a batch, including failed ones."""
        self._add([(each.parameters, self._told(each)) for each in records])

    def _told(self, record: Told) -> Mapping[str, float]:
        """Return the values of a trial; NaN for a limited metric that a stopped trial does not have."""
        if record.state == "completed":
            return record.values
        if record.state == "failed":
            return {}
        return {**{limit.metric: np.nan for limit in self.study.bounds}, **record.values}

    def _add(self, trials: Sequence[tuple[Parameters, Mapping[str, float]]]) -> None:
        """Add trials with their values; a failed one has none."""
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
    """Return the first of losses (n, k), or NaN if one of excesses (n, l) is above 0: (n,)."""
    return np.where((excesses > 0).any(1), np.nan, losses[:, 0])
