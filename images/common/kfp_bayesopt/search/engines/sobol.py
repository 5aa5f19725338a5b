"""The engine `sobol`: points that fill the space evenly, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count
from typing import TYPE_CHECKING, Literal

from kfp_bayesopt.search.engines.base import RandomState
from kfp_bayesopt.search.engines.ordered import OrderedSettings

if TYPE_CHECKING:
    from kfp_bayesopt.search.encoding import Encoding, Floats
    from kfp_bayesopt.study.study import Study


# A small space repeats points: of so many points the sequence is taken so far that nearly all of them have come.
MOST_REPEATED = 4096
ROUNDS = 4
BLOCK = 64


class SobolSettings(OrderedSettings):
    """Points of a scrambled Sobol sequence (Owen 1998), in order; that of a trial follows from its number alone."""

    engine: Literal["sobol"]
    random_state: RandomState = 0

    def orders(self, study: Study, encoding: Encoding) -> list[Iterator[Floats]]:
        """Return the points of the sequence, and others at random, for where a small space repeats them."""
        from kfp_bayesopt.search.sampling import random_numbers, sequence, sobol

        blocks = (sobol(encoding, BLOCK, self.random_state, skip) for skip in count(0, BLOCK))
        return [chain.from_iterable(blocks), sequence(encoding, random_numbers(study, 0))]

    def taken_of_first(self, encoding: Encoding, begun: int) -> int | None:
        """Return how many points are taken of the sequence, whoever asks, and however many others are there."""
        return max(begun, ROUNDS * int(encoding.size)) if encoding.size <= MOST_REPEATED else begun
