"""The search space as columns of numbers: what a model sees of the parameters.

Every parameter is one column. A real parameter lies in [0, 1], linear or logarithmic. An integer
lies there too, each of its values in the middle of a bin as wide as its share of the range, so that
rounding favours none. A categorical holds the index of its choice; only equal or not counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bayesopt.space import Categorical, Integer, Parameter, Parameters, Real, Scalar

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]


class Encoding:
    """Turns parameters into rows of numbers and back.

    Attributes:
        categorical: (d,) which columns hold an index.
        discrete: (d,) which columns take only some values; the categorical ones among them.
        levels: How many values each column takes, 0 for a real one.
        size: How many points the space has, infinity with a real parameter.
    """

    def __init__(self, space: Mapping[str, Parameter]) -> None:
        self._names = list(space)
        # In an order of their own: the one in the file is not part of the study's fingerprint.
        self._space = dict(sorted(space.items()))
        parameters = self._space.values()
        self.categorical: Booleans = np.array([isinstance(each, Categorical) for each in parameters])
        self.levels = [_levels(each) for each in parameters]
        self.discrete: Booleans = np.array(self.levels) > 0
        self.size = math.prod(self.levels) if all(self.levels) else math.inf

    def __len__(self) -> int:
        return len(self._space)

    def encode(self, parameters: Parameters) -> Floats:
        """Return the row, (d,), of a point of the space."""
        return np.array([_position(each, parameters[name]) for name, each in self._space.items()])

    def decode(self, row: Floats) -> Parameters:
        """Return the parameters of a row, (d,), in the order of the study file."""
        values = {name: _value(each, float(x)) for (name, each), x in zip(self._space.items(), row, strict=True)}
        return {name: values[name] for name in self._names}

    def key(self, row: Floats) -> bytes:
        """Return what is equal for rows of the same point; real ones closer than a billionth of the range are."""
        return (np.round(row, 9) + 0.0).tobytes()

    def from_cube(self, points: Floats) -> Floats:
        """Turn points of the unit cube, (n, d), into rows; a uniform point gives each choice the same chance."""
        scale = np.where(self.categorical, self.levels, 1)
        return self.snap(np.where(self.categorical, np.floor(points * scale), points))

    def snap(self, rows: Floats) -> Floats:
        """Move rows, (n, d), to the nearest points of the space."""
        rows = np.array(rows)
        for column, parameter in enumerate(self._space.values()):
            x = rows[:, column]
            match parameter:
                case Real():
                    rows[:, column] = np.clip(x, 0, 1)
                case Integer():
                    low, high = _bounds(parameter)
                    bins = np.clip(_unscale(parameter, np.clip(x, 0, 1)), low + 0.5, high - 0.5)
                    rows[:, column] = _scale(parameter, np.round(bins))
                case Categorical():
                    rows[:, column] = np.clip(np.round(x), 0, len(parameter.choices) - 1)
        return rows

    def level(self, column: int, index: int) -> float:
        """Return the number that stands in a discrete column for its value of this index."""
        parameter = list(self._space.values())[column]
        if isinstance(parameter, Integer):
            return float(_scale(parameter, np.array(index + (parameter.low if parameter.log else 0.0))))
        return float(index)

    def index(self, column: int, x: float) -> int:
        """Return the index of the value that stands in a discrete column."""
        parameter = list(self._space.values())[column]
        if isinstance(parameter, Integer):
            return round(float(_unscale(parameter, np.array(x)))) - (parameter.low if parameter.log else 0)
        return int(x)

    def row(self, number: int) -> Floats:
        """Return the row, (d,), of a point of a finite space by its number, from 0 to `size` - 1."""
        row = np.empty(len(self))
        for column, levels in enumerate(self.levels):
            number, index = divmod(number, levels)
            row[column] = self.level(column, index)
        return row


def _levels(parameter: Parameter) -> int:
    match parameter:
        case Real():
            return 0
        case Integer():
            return (parameter.high - parameter.low) // parameter.step + 1
        case Categorical():
            return len(parameter.choices)


def _bounds(parameter: Real | Integer) -> tuple[float, float]:
    """Return what 0 and 1 stand for: a linear integer counts its steps from `low`."""
    if isinstance(parameter, Real):
        return parameter.low, parameter.high
    if parameter.log:
        return parameter.low - 0.5, parameter.high + 0.5
    return -0.5, (parameter.high - parameter.low) // parameter.step + 0.5


def _scale(parameter: Real | Integer, values: Floats) -> Floats:
    low, high = _bounds(parameter)
    if parameter.log:
        return (np.log(values) - math.log(low)) / (math.log(high) - math.log(low))
    return (values - low) / (high - low)


def _unscale(parameter: Real | Integer, positions: Floats) -> Floats:
    low, high = _bounds(parameter)
    if parameter.log:
        return np.exp(math.log(low) + positions * (math.log(high) - math.log(low)))
    return low + positions * (high - low)


def _position(parameter: Parameter, value: Scalar) -> float:
    match parameter:
        case Categorical():
            same = [i for i, choice in enumerate(parameter.choices) if type(choice) is type(value) and choice == value]
            return float(same[0])
        case Integer(log=False):
            assert isinstance(value, int)
            return float(_scale(parameter, np.array((value - parameter.low) // parameter.step)))
        case _:
            assert isinstance(value, int | float)
            return float(_scale(parameter, np.array(float(value))))


def _value(parameter: Parameter, position: float) -> Scalar:
    match parameter:
        case Categorical():
            return parameter.choices[round(position)]
        case Real():
            # The way back from the logarithm can end a rounding error outside the bounds.
            return min(max(float(_unscale(parameter, np.array(position))), parameter.low), parameter.high)
        case Integer():
            index = round(float(_unscale(parameter, np.array(position))))
            value = index if parameter.log else parameter.low + index * parameter.step
            return min(max(value, parameter.low), parameter.high)
