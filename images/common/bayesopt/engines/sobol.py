"""The engine `sobol`: points that fill the space evenly, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from bayesopt.engines.base import EngineSettings, RandomState

if TYPE_CHECKING:
    from optimizer.encoding import Floats
    from optimizer.ledger_engine import View


class SobolSettings(EngineSettings):
    """Points of a scrambled Sobol sequence (Owen 1998), in order; that of a trial follows from its number alone."""

    engine: Literal["sobol"]
    random_state: RandomState = 0

    def propose(self, view: View, count: int) -> Iterator[Floats]:
        """Yield the points that follow; where a small space repeats them, others at random."""
        from optimizer.sampling import remaining, sobol

        yield from sobol(view.encoding, view.begun + count, self.random_state)
        yield from remaining(view.encoding, view.tried, view.rng)
