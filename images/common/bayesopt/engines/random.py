"""The engine `random`: what every other one must beat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from bayesopt.engines.base import EngineSettings, RandomState

if TYPE_CHECKING:
    from optimizer.encoding import Floats
    from optimizer.ledger_engine import View


class RandomSettings(EngineSettings):
    """Points at random (Bergstra and Bengio 2012)."""

    engine: Literal["random"]
    random_state: RandomState = 0

    def propose(self, view: View, count: int) -> Iterator[Floats]:
        """Yield points at random."""
        from optimizer.sampling import remaining

        yield from remaining(view.encoding, view.tried, view.rng)
