"""Trials of other studies that the search of a study begins with."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from kfp_bayesopt.errors import shown, shown_name
from kfp_bayesopt.space.decimals import canonical, difference
from kfp_bayesopt.space.parameters import Parameter, Parameters
from kfp_bayesopt.strict import StrictModel


class Earlier(StrictModel):
    """A trial of another study, or of a table.

    Attributes:
        origin: The name of its source.
        same: Whether it has the same objective and is a point of the space, so that it tells as much as a trial of the
            study itself; otherwise it is only a hint at good parameters.
        parameters: Its parameters.
        values: Its values, by the names of the study; empty if it failed.
    """

    origin: str
    same: bool
    parameters: Parameters
    values: dict[str, float] = Field({})

    def mismatch(self, space: Mapping[str, Parameter]) -> str | None:
        """Return the reason the trial does not fit a space, as its own point or as a hint, which may be partial."""
        if self.same:
            return difference(space, self.parameters)
        for name, value in self.parameters.items():
            if name not in space:
                return f"its {shown_name(name)} is no parameter of the study"
            if problem := space[name].problem_with(canonical(space[name], value)):
                return f"its {name}={shown(value)} {problem}"
        return None
