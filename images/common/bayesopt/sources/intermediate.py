"""Where intermediate values come from: what an objective says of itself on the way, as steps and numbers."""

from __future__ import annotations

from pydantic import Field

from bayesopt.sources.base import Name
from bayesopt.strict import StrictModel


class Intermediate(StrictModel):
    """Where intermediate values are in the lines that an objective prints."""

    name: Name
    step: Name | None = Field(
        None, description="Name of the step in the same line, such as `epoch`. Default: each value is one step more."
    )
