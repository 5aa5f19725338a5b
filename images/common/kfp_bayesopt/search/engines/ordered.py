"""The base of engines that learn nothing: each suggests the first points of an order that were not tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kfp_bayesopt.search.engines.base import EngineSettings

if TYPE_CHECKING:
    from kfp_bayesopt.search.encoding import Encoding, Floats
    from kfp_bayesopt.search.engine import Engine
    from kfp_bayesopt.study.study import Study


class OrderedSettings(EngineSettings):
    """The settings of an engine whose points come in an order that follows from the study alone.

    An engine writes `orders`, and `taken_of_first` where it takes not all of the first one.
    """

    def new_engine(self, study: Study) -> Engine:
        """Return the engine of a study, before its first suggestion."""
        from kfp_bayesopt.search.ordered_engine import OrderedEngine

        return OrderedEngine(study, self)

    def orders(self, study: Study, encoding: Encoding) -> Sequence[Iterator[Floats]]:
        """Return orders of rows, (d,), each followed by the next one where it ends."""
        raise NotImplementedError

    def taken_of_first(self, encoding: Encoding, begun: int) -> int | None:
        """Return how many points of the first order are taken before the next one; None for all.

        Args:
            encoding: The space.
            begun: How many trials have begun, with those that are asked for.
        """
        return None
