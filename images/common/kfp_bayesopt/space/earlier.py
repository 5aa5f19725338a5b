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
        origin: Where it comes from.
        same: Whether it is of the same objective and a point of the space, so that it tells as much as a trial of the
            study itself; else only which parameters are probably good.
        parameters: What was tried.
        values: What came of it, by the names of the study; none where it failed.
    """

    origin: str
    same: bool
    parameters: Parameters
    values: dict[str, float] = Field({})

    def mismatch(self, space: Mapping[str, Parameter]) -> str | None:
        """Return why the trial tells nothing of a space: its own point, or a hint, which may leave parameters out."""
        if self.same:
            return difference(space, self.parameters)
        for name, value in self.parameters.items():
            if name not in space:
                return f"its {shown_name(name)} is no parameter of the study"
            if problem := space[name].problem_with(canonical(space[name], value)):
                return f"its {name}={shown(value)} {problem}"
        return None
