"""The engine `sobol`: points that fill the space evenly, whatever their number."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count
from typing import TYPE_CHECKING, Literal

from kfp_bayesopt.search.engines.base import RandomState
from kfp_bayesopt.search.engines.ordered import OrderedSettings

if TYPE_CHECKING:
    from kfp_bayesopt.search.encoding import Encoding, Floats
    from kfp_bayesopt.space.problem import Problem


# A small space repeats points: up to this size, the sequence is followed until nearly all its points have come.
MOST_REPEATED = 4096
ROUNDS = 4
BLOCK = 64


class SobolSettings(OrderedSettings):
    """Points of a scrambled Sobol sequence (Owen 1998), in order; a trial's point follows from its number alone."""

    engine: Literal["sobol"]
    random_state: RandomState = 0

    def orders(self, study: Problem, encoding: Encoding) -> list[Iterator[Floats]]:
        """Return the points of the sequence, and random ones for a small space in which they repeat."""
        from kfp_bayesopt.search.sampling import random_numbers, sequence, sobol

        blocks = (sobol(encoding, BLOCK, self.random_state, skip) for skip in count(0, BLOCK))
        return [chain.from_iterable(blocks), sequence(encoding, random_numbers(study, 0))]

    def taken_of_first(self, encoding: Encoding, begun: int) -> int | None:
        """Return the number of points to take from the sequence, independent of who asks and of other trials."""
        return max(begun, ROUNDS * int(encoding.size)) if encoding.size <= MOST_REPEATED else begun
