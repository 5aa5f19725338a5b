"""The keys of the points of a study, each computed once in a process, however often the ledger is read."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from kfp_bayesopt.search.encoding import Encoding
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.space.problem import Problem, Told

STUDIES = 4
"""The number of studies that a process remembers."""


class Keys:
    """Identifies the points of a study by keys.

    Attributes:
        encoding: Its space as columns of numbers.
    """

    def __init__(self, study: Problem) -> None:
        self.encoding = Encoding(study.space, study.kept)
        self._found: dict[str, bytes] = {}

    def of(self, parameters: Parameters) -> bytes:
        """Return the key of a point."""
        return self.encoding.key(self.encoding.encode(parameters))

    def of_record(self, record: Told) -> bytes:
        """Return the key of the point of a recorded trial."""
        key = self._found.get(record.learnt)
        if key is None:
            key = self._found[record.learnt] = self.of(record.parameters)
        return key


@dataclass(frozen=True)
class Named:
    """A study by all that it says, as caches know it."""

    name: str
    study: Problem = field(compare=False)

    @classmethod
    def of(cls, study: Problem) -> Named:
        """Name a study."""
        return cls(study.said, study)


def keys_of(study: Problem) -> Keys:
    """Return the keys of a study; equal studies share them."""
    return _keys_of(Named.of(study))


@functools.lru_cache(STUDIES)
def _keys_of(named: Named) -> Keys:
    return Keys(named.study)
