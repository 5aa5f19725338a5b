"""The base of every engine: settings from the study, and suggestions that follow from them and the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from kfp_bayesopt.space.parameters import Parameter
from kfp_bayesopt.strict import StrictModel

if TYPE_CHECKING:  # the steps that only read a study have no numpy
    from kfp_bayesopt.search.encoding import Floats
    from kfp_bayesopt.search.engine import Engine
    from kfp_bayesopt.search.ledger_engine import View
    from kfp_bayesopt.space.problem import Problem

RandomState = Annotated[int, Field(ge=0, lt=2**32, description="Seed: the same study gives the same suggestions.")]


class EngineSettings(StrictModel):
    """The settings of an engine, and its proposals; the modules for these are imported only when needed.

    An engine implements `propose`; if its suggestions do not follow from study and ledger alone, it implements
    `new_engine` instead.

    Attributes:
        keeps_state: Whether the engine is saved between steps, because it takes long to rebuild from the ledger.
        no_pending: The reason it cannot propose while trials are running; None if it can.
        knows_constraints: Whether its points keep constraints.
        knows_objectives: Whether it supports several objectives.
        knows_earlier: Whether it learns from trials of other studies.
    """

    keeps_state: ClassVar[bool] = False
    no_pending: ClassVar[str | None] = None
    knows_constraints: ClassVar[bool] = True
    knows_objectives: ClassVar[bool] = True
    knows_earlier: ClassVar[bool] = True

    def mistakes(self, space: Mapping[str, Parameter], trials: int) -> Iterator[str]:
        """Yield the reasons these settings do not fit a search space and a budget of trials."""
        yield from ()

    def asynchronous_mistakes(self) -> Iterator[str]:
        """Yield the reasons an asynchronous study cannot have this engine."""
        if self.no_pending:
            yield f"schedule: asynchronous needs another engine: {self.no_pending}; say optimizer: {{engine: gp}}"

    def new_engine(self, study: Problem) -> Engine:
        """Return the engine of a study, before its first suggestion."""
        from kfp_bayesopt.search.ledger_engine import LedgerEngine

        return LedgerEngine(study)

    def promises(self, view: View, rows: Floats) -> Floats | None:
        """Return the acquisition of rows, (m,), as a logarithm; None if the engine does not score points.

        Args:
            view: The state of the study.
            rows: (m, d).
        """
        return None

    def propose(self, view: View, count: int) -> Iterator[Floats]:
        """Yield rows of the encoded space, (d,), the best first.

        Points already tried are skipped; only as many as needed are consumed.

        Args:
            view: The state of the study.
            count: The number of suggestions.
        """
        raise NotImplementedError
