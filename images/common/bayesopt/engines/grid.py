"""The engine `grid`: its settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bayesopt.engines.base import EngineSettings
from bayesopt.space import Categorical, Integer, Parameter, Real


class GridSettings(EngineSettings):
    """All points of a grid, in order."""

    implementation = "optimizer.simple_engines:GridEngine"

    engine: Literal["grid"]
    points_per_parameter: int = Field(
        5,
        ge=1,
        description="Values of a real or integer parameter, evenly spaced; a categorical one takes all its choices.",
    )

    def points_of(self, parameter: Parameter) -> int:
        """Return how many values of a parameter are on the grid."""
        match parameter:
            case Real():
                return self.points_per_parameter
            case Integer():
                return min(self.points_per_parameter, (parameter.high - parameter.low) // parameter.step + 1)
            case Categorical():
                return len(parameter.choices)
