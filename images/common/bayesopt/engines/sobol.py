"""The engine `sobol`: points that fill the space evenly, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from bayesopt.engines.base import EngineSettings, RandomState

if TYPE_CHECKING:
    from optimizer.encoding import Floats
    from optimizer.ledger_engine import View


# A small space repeats points: of so many points the sequence is taken so far that nearly all of them have come.
MOST_REPEATED = 4096
ROUNDS = 4


class SobolSettings(EngineSettings):
    """Points of a scrambled Sobol sequence (Owen 1998), in order; that of a trial follows from its number alone."""

    engine: Literal["sobol"]
    random_state: RandomState = 0

    def propose(self, view: View, count: int) -> Iterator[Floats]:
        """Yield the points that follow; where a small space repeats them, others at random."""
        from optimizer.sampling import random_numbers, sequence, sobol

        wanted = view.begun + count
        if view.encoding.size <= MOST_REPEATED:  # whoever asks, and however many others are there
            wanted = max(wanted, ROUNDS * int(view.encoding.size))
        yield from sobol(view.encoding, wanted, self.random_state)
        yield from sequence(view.encoding, random_numbers(view.study, 0))
