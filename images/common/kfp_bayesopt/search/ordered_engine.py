"""The engine of `random`, `sobol` and `grid`: the first untried points of an order.

An order is computed once in a process and serves every suggestion of a study.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Protocol

import numpy as np

from kfp_bayesopt.search.encoding import Encoding, Floats
from kfp_bayesopt.search.keys import STUDIES, Named, keys_of
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.space.problem import Problem, Told

Keyed = tuple[bytes | None, Floats]
"""A row and its key, the same for equal rows; None if it breaks a constraint."""


class Order:
    """Rows in an order, with their keys, made on demand."""

    def __init__(self, encoding: Encoding, rows: Iterator[Floats]) -> None:
        self._encoding = encoding
        self._rows = rows
        self._nothing: Keyed = (None, np.empty(0))
        self._made: list[Keyed] = []

    def first(self, count: int | None = None) -> Iterator[Keyed]:
        """Yield the first rows, or all; for one that breaks a constraint an empty entry."""
        return islice(chain(self._made, self._more()), count)

    def _more(self) -> Iterator[Keyed]:
        for row in self._rows:
            is_kept = bool(self._encoding.keeps(row[None])[0])
            self._made.append((self._encoding.key(row), row) if is_kept else self._nothing)
            yield self._made[-1]


class Ordered(Protocol):
    """Settings whose points come in an order that follows from the problem alone."""

    def orders(self, study: Problem, encoding: Encoding) -> Sequence[Iterator[Floats]]:
        """Return orders of rows, (d,); when one ends, the next one continues."""

    def taken_of_first(self, encoding: Encoding, begun: int) -> int | None:
        """Return the number of points to take from the first order before the next one; None for all."""


class OrderedEngine:
    """Suggests the first untried points of an order, and remembers only the points of records."""

    def __init__(self, study: Problem, settings: Ordered) -> None:
        self._settings = settings
        self._keys = keys_of(study)
        self._orders = _orders_of(Named.of(study))
        self._tried = [self._keys.of(each.parameters) for each in study.earlier if each.same]

    def suggest(self, count: int, pending: Sequence[Parameters] = ()) -> list[Parameters]:
        """Propose the next `count` trials beside the running ones, or as many as there are points left."""
        encoding = self._keys.encoding
        tried = {*self._tried, *map(self._keys.of, pending)}
        first, *others = self._orders
        taken = self._settings.taken_of_first(encoding, len(self._tried) + len(pending) + count)

        def untried() -> Iterator[Parameters]:
            for key, row in chain(first.first(taken), *(order.first() for order in others)):
                if key is not None and key not in tried:
                    tried.add(key)
                    yield encoding.decode(row)

        return list(islice(untried(), count))

    def learn(self, records: Sequence[Told]) -> None:
        """Learn the points of the records of a batch."""
        self._tried += map(self._keys.of_record, records)


@functools.lru_cache(STUDIES)
def _orders_of(named: Named) -> list[Order]:
    study = named.study
    encoding = keys_of(study).encoding
    return [Order(encoding, rows) for rows in study.optimizer.orders(study, encoding)]
