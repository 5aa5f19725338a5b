"""The base of engines that learn nothing: each suggests the first untried points of a fixed order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kfp_bayesopt.search.engines.base import EngineSettings

if TYPE_CHECKING:
    from kfp_bayesopt.search.encoding import Encoding, Floats
    from kfp_bayesopt.search.engine import Engine
    from kfp_bayesopt.space.problem import Problem


class OrderedSettings(EngineSettings):
    """The settings of an engine whose order of points follows from the study alone.

    An engine implements `orders`, and `taken_of_first` if it does not take all of the first one.
    """

    def new_engine(self, study: Problem) -> Engine:
        """Return the engine of a study, before its first suggestion."""
        from kfp_bayesopt.search.ordered_engine import OrderedEngine

        return OrderedEngine(study, self)

    def orders(self, study: Problem, encoding: Encoding) -> Sequence[Iterator[Floats]]:
        """Return orders of rows, (d,); when one ends, the next one continues."""
        raise NotImplementedError

    def taken_of_first(self, encoding: Encoding, begun: int) -> int | None:
        """Return the number of points to take from the first order before the next one; None for all.

        Args:
            encoding: The space.
            begun: The number of trials begun, including those now wanted.
        """
        return None
