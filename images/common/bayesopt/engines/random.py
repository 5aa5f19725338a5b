"""The engine `random`: what every other one must beat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from bayesopt.engines.base import EngineSettings, RandomState

if TYPE_CHECKING:
    from optimizer.encoding import Floats
    from optimizer.ledger_engine import View


class RandomSettings(EngineSettings):
    """Points at random (Bergstra and Bengio 2012); that of a trial follows from its number alone."""

    engine: Literal["random"]
    random_state: RandomState = 0

    def propose(self, view: View, count: int) -> Iterator[Floats]:
        """Yield points at random."""
        from optimizer.sampling import random_numbers, sequence

        yield from sequence(view.encoding, random_numbers(view.study, 0))
