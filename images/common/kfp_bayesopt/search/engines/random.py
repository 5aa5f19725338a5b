"""The engine `random`: the baseline for all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from kfp_bayesopt.search.engines.base import RandomState
from kfp_bayesopt.search.engines.ordered import OrderedSettings

if TYPE_CHECKING:
    from kfp_bayesopt.search.encoding import Encoding, Floats
    from kfp_bayesopt.space.problem import Problem


class RandomSettings(OrderedSettings):
    """Random points (Bergstra and Bengio 2012); a trial's point follows from its number alone."""

    engine: Literal["random"]
    random_state: RandomState = 0

    def orders(self, study: Problem, encoding: Encoding) -> list[Iterator[Floats]]:
        """Return random points."""
        from kfp_bayesopt.search.sampling import random_numbers, sequence

        return [sequence(encoding, random_numbers(study, 0))]
