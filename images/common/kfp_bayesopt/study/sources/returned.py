"""The source `returned`: the number that a function returns, or one of a mapping that it returns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from kfp_bayesopt.errors import shown_name
from kfp_bayesopt.study.sources.base import VALUE, Direction, Evidence, Name, NoValueError, Source, seen


class Returned(Source):
    """The return value of a function; the default of functions."""

    first_keys = ("source", "name")
    of_commands: ClassVar[bool] = False
    of_objectives: ClassVar[bool] = True

    source: Literal["returned"]
    name: Name | None = Field(None, description="Which of them, where the function returns a mapping of metrics.")

    @property
    def has_names(self) -> bool:
        """Tell whether a mapping is returned."""
        return self.name is not None

    def read(self, evidence: Evidence, goals: Mapping[str, Direction]) -> dict[str, float]:
        """Return the number, or the named ones of the mapping, and the others.

        A value of the mapping that is no number arrives as a text that describes it.
        """
        returned, who = evidence.returned, evidence.who
        if self.name is None and list(goals) == [VALUE]:
            if not isinstance(returned, dict):
                return {VALUE: returned}
            which = ", ".join(map(shown_name, returned)) or "nothing"
            raise NoValueError(
                f"{who} returned a mapping ({which[:500]}); name the metric to optimise: objective.value: NAME"
            )
        names = {goal: self.name or goal for goal in goals}
        if not isinstance(returned, dict):
            wanted = " and ".join(map(shown_name, names.values()))
            raise NoValueError(f"{who} must return a mapping with {wanted}, but got {returned}")
        found = {name: each for name, each in returned.items() if isinstance(each, float) and math.isfinite(each)}
        for goal, name in names.items():
            if name not in returned:
                raise NoValueError(f"{who} returned no {shown_name(name)}; {seen(name, list(returned))}")
            if name not in found:
                raise NoValueError(f"{who}: {shown_name(name)} must be a finite number, but got {returned[name]}")
            found[goal] = found[name]
        return found
