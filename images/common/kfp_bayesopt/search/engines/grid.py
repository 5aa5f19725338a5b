"""The engine `grid`: all combinations of a few values of each parameter."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from kfp_bayesopt.errors import shown
from kfp_bayesopt.search.engines.ordered import OrderedSettings
from kfp_bayesopt.space.parameters import Axis, Parameter

if TYPE_CHECKING:
    from kfp_bayesopt.search.encoding import Encoding, Floats
    from kfp_bayesopt.space.problem import Problem

# Multiplying thousands of numbers would take minutes.
_MANY = 10**18


class GridSettings(OrderedSettings):
    """All points of a grid, the last parameter by name varying fastest; then it ends."""

    engine: Literal["grid"]
    points_per_parameter: int = Field(
        5,
        ge=1,
        description="Values of a parameter, evenly spaced on its scale; a categorical one takes all its choices.",
    )

    def points_of(self, parameter: Parameter) -> int:
        """Return the number of values of a parameter on the grid."""
        if parameter.levels is None:
            return self.points_per_parameter
        return parameter.levels if parameter.axis is None else min(self.points_per_parameter, parameter.levels)

    def mistakes(self, space: Mapping[str, Parameter], trials: int) -> Iterator[str]:
        """Yield the reason the grid does not fit into a budget of trials."""
        sizes = {name: self.points_of(parameter) for name, parameter in space.items()}
        size = 1
        for number in sizes.values():
            size *= number
            if size > _MANY:
                break
        if size > trials:
            named = " x ".join(f"{name}: {shown(number)}" for name, number in list(sizes.items())[:5])
            yield (
                f"optimizer: the grid must fit into the budget of {trials} trials (iterations x parallel_trials), "
                f"but has {f'over {_MANY:.0e}' if size > _MANY else size} points "
                f"({named}{' x ...' if len(sizes) > 5 else ''}); lower points_per_parameter or raise iterations"
            )

    def orders(self, study: Problem, encoding: Encoding) -> list[Iterator[Floats]]:
        """Return the points of the grid."""
        import numpy as np

        axes = []
        for column, parameter in enumerate(encoding.parameters):
            number = self.points_of(parameter)
            if parameter.levels is None:
                axes.append(np.linspace(0, 1, number) if number > 1 else np.array([0.5]))
            else:
                indices = _spaced(parameter.levels, number, parameter.axis)
                axes.append(np.array([encoding.level(column, index) for index in indices]))
        return [(np.array(point) for point in itertools.product(*axes))]


def _spaced(levels: int, number: int, axis: Axis | None) -> list[int]:
    """Return distinct indices of levels, the outermost included, evenly spaced on an axis."""
    if number == levels or axis is None:
        return list(range(levels))
    shares = [index / (number - 1) for index in range(number)] if number > 1 else [0.5]
    if axis.kind == "linear":
        return [round(share * (levels - 1)) for share in shares]
    inside = Axis(axis.first, axis.first + (levels - 1) * axis.step, axis.kind, axis.first, axis.step)
    wanted = [inside.nearest(share, levels) for share in shares]
    # At the low end several may fall on one level: then the next ones are taken.
    spaced = list(itertools.accumulate(wanted, lambda before, index: max(before + 1, index)))
    return [min(index, levels - number + place) for place, index in enumerate(spaced)]
