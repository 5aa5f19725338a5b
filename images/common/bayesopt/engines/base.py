"""What the settings of every engine share."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from bayesopt.strict import StrictModel

RandomState = Annotated[int, Field(ge=0, lt=2**32, description="Seed: the same study gives the same suggestions.")]


class EngineSettings(StrictModel):
    """The settings of an engine, as a study names them.

    Attributes:
        implementation: Module and class of the engine, imported only when a study names it: that takes seconds.
        keeps_state: Whether the engine is saved between steps, because it takes long to rebuild from the ledger.
    """

    implementation: ClassVar[str]
    keeps_state: ClassVar[bool] = False
