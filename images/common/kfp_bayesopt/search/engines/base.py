"""What every engine has: settings that a study names, and the suggestions that follow from them and the ledger."""

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
    from kfp_bayesopt.study.study import Study

RandomState = Annotated[int, Field(ge=0, lt=2**32, description="Seed: the same study gives the same suggestions.")]


class EngineSettings(StrictModel):
    """The settings of an engine, and how it proposes; what that takes is imported when it is asked, and not before.

    An engine writes `propose`; one whose suggestions do not follow from the study and the ledger alone writes
    `new_engine` instead.

    Attributes:
        keeps_state: Whether the engine is saved between steps, because it takes long to rebuild from the ledger.
        no_pending: Why it cannot propose beside trials that run; None where it can.
        knows_constraints: Whether it proposes no point that breaks one.
        knows_objectives: Whether it takes several.
        knows_earlier: Whether it learns trials of other studies.
    """

    keeps_state: ClassVar[bool] = False
    no_pending: ClassVar[str | None] = None
    knows_constraints: ClassVar[bool] = True
    knows_objectives: ClassVar[bool] = True
    knows_earlier: ClassVar[bool] = True

    def mistakes(self, space: Mapping[str, Parameter], trials: int) -> Iterator[str]:
        """Yield why these settings do not fit a search space and a budget of trials."""
        yield from ()

    def asynchronous_mistakes(self) -> Iterator[str]:
        """Yield why an asynchronous study cannot have this engine."""
        if self.no_pending:
            yield f"schedule: asynchronous needs another engine: {self.no_pending}; say optimizer: {{engine: gp}}"

    def new_engine(self, study: Study) -> Engine:
        """Return the engine of a study, before its first suggestion."""
        from kfp_bayesopt.search.ledger_engine import LedgerEngine

        return LedgerEngine(study)

    def promises(self, view: View, rows: Floats) -> Floats | None:
        """Return how much is expected of rows, (m,), as a logarithm; None where the engine compares no points.

        Args:
            view: What is known when suggestions are asked for.
            rows: (m, d).
        """
        return None

    def propose(self, view: View, count: int) -> Iterator[Floats]:
        """Yield rows of the encoded space, (d,), the best first.

        Those that were tried are passed over, and no more are taken than are needed.

        Args:
            view: What is known when the suggestions are asked for.
            count: How many are asked for.
        """
        raise NotImplementedError
