"""The source `returned`: the number that a function returns, or one of a mapping that it returns."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field

from bayesopt.errors import shown_name
from bayesopt.sources.base import Evidence, Name, NoValueError, Source, seen


class Returned(Source):
    """What a function returns; the default of functions."""

    first_keys = ("source", "name")
    of_commands: ClassVar[bool] = False

    source: Literal["returned"]
    name: Name | None = Field(None, description="Which of them, where the function returns a mapping of metrics.")

    @property
    def has_names(self) -> bool:
        """Tell whether a mapping is returned."""
        return self.name is not None

    def read(self, evidence: Evidence, direction: str) -> dict[str, float]:
        """Return the number, or that of the mapping with the name, and the others.

        What a mapping holds that is no number came as text that describes it.
        """
        returned = evidence.returned
        if self.name is None:
            if isinstance(returned, dict):
                which = ", ".join(map(shown_name, returned)) or "nothing"
                raise NoValueError(
                    f"{evidence.who} returned a mapping ({which[:500]}); name the metric to optimise: "
                    "objective.value: NAME"
                )
            return {"value": returned}
        if not isinstance(returned, dict):
            raise NoValueError(f"{evidence.who} must return a mapping with {shown_name(self.name)}, but got {returned}")
        if self.name not in returned:
            raise NoValueError(f"{evidence.who} returned no {shown_name(self.name)}; {seen(self.name, list(returned))}")
        value = returned[self.name]
        if not isinstance(value, float) or not math.isfinite(value):
            raise NoValueError(f"{evidence.who}: {shown_name(self.name)} must be a finite number, but got {value}")
        others = {name: each for name, each in returned.items() if isinstance(each, float) and math.isfinite(each)}
        return {**others, "value": value}
