"""The search space as columns of numbers, as a model sees it.

Every parameter is one column. A continuous one lies in [0, 1], linear or logarithmic. So do ordered levels, such as
integers, each in the middle of a bin as wide as its share of the range, so that rounding favours none. Unordered
levels, the choices of a categorical, are their indices, which are only equal or not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from kfp_bayesopt.space.constraints import Constraint, keeps
from kfp_bayesopt.space.parameters import Axis, Parameter, Parameters, Value, in_order, meets, present

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]

# Points count as equal if no column differs by more than a billionth of its range, or by a few floats.
FINEST = 1e9
FEW_FLOATS = 16


class Encoding:
    """Turns parameters into rows of numbers and back.

    Attributes:
        names: Of the parameters, in the order of the columns.
        parameters: In the order of the columns.
        categorical: (d,) mask of the columns that hold the index of an unordered level.
        discrete: (d,) mask of the columns with a limited number of values, including the categorical ones.
        levels: The number of values of each column, 0 for a continuous one.
        size: The number of points of the space, infinity with a continuous parameter.
    """

    def __init__(self, space: Mapping[str, Parameter], constraints: Sequence[Constraint] = ()) -> None:
        """Take a search space.

        Args:
            space: The parameters by name.
            constraints: The constraints that `keeps` checks.
        """
        self.constraints = constraints
        self._file_order = list(space)
        # In sorted order: the order in the file is not part of the study's fingerprint.
        self._space = space
        self._order = in_order(space)
        self._has_conditions = any(parameter.when for parameter in space.values())
        self._constants = {name: each.value_at(0) for name, each in space.items() if not each.is_searched}
        self.names = sorted(space.keys() - self._constants.keys())
        self.parameters = [space[name] for name in self.names]
        self._axes = [parameter.axis for parameter in self.parameters]
        self.categorical: Booleans = np.array([axis is None for axis in self._axes])
        self.levels = [parameter.levels or 0 for parameter in self.parameters]
        self.discrete: Booleans = np.array(self.levels) > 0
        self.size = math.prod(self.levels) if all(self.levels) else math.inf
        self._middles = {name: _middle(each) for name, each in zip(self.names, self.parameters, strict=True)}
        self._resolution = np.array([_resolution(parameter) for parameter in self.parameters])
        self._middle_row = self.encode_all([{}])[0]

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def is_partial(self) -> bool:
        """Whether some combinations of values are not points."""
        return bool(self.constraints) or self._has_conditions

    def keeps(self, rows: Floats) -> Booleans:
        """Return a mask of the rows, (n, d), that keep the constraints: (n,)."""
        if not self.constraints:
            return np.ones(len(rows), dtype=bool)
        return np.array([keeps(self.constraints, point) for point in self.decode_all(rows)], dtype=bool)

    def encode(self, parameters: Parameters) -> Floats:
        """Return the row, (d,), of a point of the space."""
        row: Floats = self.encode_all([parameters])[0]
        return row

    def encode_all(self, points: Sequence[Parameters]) -> Floats:
        """Return the rows, (n, d), of points of the space."""
        rows = np.empty((len(points), len(self)))
        for column, (name, parameter, axis) in enumerate(zip(self.names, self.parameters, self._axes, strict=True)):
            # An inactive parameter is in the middle of its column, so that it distinguishes no points.
            values = [point.get(name, self._middles[name]) for point in points]
            if parameter.levels is not None:
                values = [parameter.index_of(value) for value in values]
            numbers = np.array(values, dtype=float)
            if axis is not None and parameter.levels is not None:
                numbers = axis.first + numbers * axis.step
            rows[:, column] = numbers if axis is None else _positions(axis, numbers)
        return rows

    def decode(self, row: Floats) -> Parameters:
        """Return the parameters of a row, (d,), in the order of the study file."""
        return self.decode_all(row[None])[0]

    def decode_all(self, rows: Floats) -> list[Parameters]:
        """Return the parameters of rows, (n, d), each in the order of the study file."""
        values = self._values_of(self._space, rows)
        if not self._has_conditions:
            return [{name: values[name][row] for name in self._file_order} for row in range(len(rows))]
        there = self._there(values, len(rows))
        return [{name: values[name][row] for name in self._file_order if there[name][row]} for row in range(len(rows))]

    def complete(self, values: Parameters) -> Parameters:
        """Return a point with given values: missing active parameters get their middle, inactive ones are removed."""
        return present(self._space, {**self._middles, **self._constants, **values}, self._order)

    def key(self, row: Floats) -> bytes:
        """Return the key of a row, equal for rows of the same point."""
        row = self.canonical(row[None])[0]
        rounded: Floats = np.rint(row * self._resolution) + 0.0
        return rounded.tobytes()

    def from_cube(self, points: Floats) -> Floats:
        """Turn points of the unit cube, (n, d), into rows; a uniform point gives each choice the same chance."""
        numbers = np.where(self.categorical, self.levels, 1)
        return self.snap(np.where(self.categorical, np.floor(points * numbers), points))

    def snap(self, rows: Floats) -> Floats:
        """Move rows, (n, d), to the nearest points of the space."""
        rows = np.array(rows)
        for column, (levels, axis) in enumerate(zip(self.levels, self._axes, strict=True)):
            x = rows[:, column]
            if axis is None:
                rows[:, column] = np.clip(np.round(x), 0, levels - 1)
            elif not levels:
                rows[:, column] = np.clip(x, 0, 1)
            else:
                rows[:, column] = _positions(axis, _nearest(axis, _coordinates(axis, np.clip(x, 0, 1)), levels))
        return self.canonical(rows)

    def canonical(self, rows: Floats) -> Floats:
        """Return rows, (n, d), with each inactive parameter in the middle of its column."""
        if not self._has_conditions:
            return rows
        values = self._values_of({other for each in self._space.values() for other in each.when}, rows)
        there = self._there(values, len(rows))
        return np.where(np.column_stack([there[name] for name in self.names]), rows, self._middle_row)

    def level(self, column: int, index: int) -> float:
        """Return the number in a discrete column for a level."""
        axis = self._axes[column]
        return float(index) if axis is None else float(_positions(axis, np.array(axis.first + index * axis.step)))

    def index(self, column: int, x: float) -> int:
        """Return the index of the level for a number in a discrete column."""
        return int(self._indices(column, np.array([x]))[0])

    def row(self, number: int) -> Floats:
        """Return the row, (d,), of a point of a finite space by its number, from 0 to `size` - 1."""
        row = np.empty(len(self))
        for column, levels in enumerate(self.levels):
            number, index = divmod(number, levels)
            row[column] = self.level(column, index)
        return row

    def value(self, column: int, x: float) -> Value:
        """Return the value of a parameter for a number in its column."""
        return self.values(column, np.array([x]))[0]

    def values(self, column: int, numbers: Floats) -> list[Value]:
        """Return the values of a parameter for numbers, (n,), in its column."""
        axis, levels, numbers = self._axes[column], self.levels[column], np.ascontiguousarray(numbers)
        if axis is not None and not levels:
            # The inverse of the logarithm may be out of bounds by a rounding error.
            return list(np.clip(_coordinates(axis, numbers), axis.low, axis.high).tolist())
        value_at = self.parameters[column].value_at
        return [value_at(index) for index in self._indices(column, numbers).tolist()]

    def _values_of(self, names: Iterable[str], rows: Floats) -> dict[str, Sequence[Value]]:
        """Return the values of some parameters in rows, (n, d), active or not."""
        columns = {name: column for column, name in enumerate(self.names)}
        return {
            name: self.values(columns[name], rows[:, columns[name]])
            if name in columns
            else [self._constants[name]] * len(rows)
            for name in names
        }

    def _indices(self, column: int, numbers: Floats) -> NDArray[np.int64]:
        """Return the indices, (n,), of the levels for numbers in a discrete column."""
        axis, levels = self._axes[column], self.levels[column]
        if axis is not None:
            numbers = (_nearest(axis, _coordinates(axis, numbers), levels) - axis.first) / axis.step
        return np.clip(np.rint(numbers), 0, levels - 1).astype(np.int64)

    def _there(self, values: Mapping[str, Sequence[Value]], count: int) -> dict[str, Booleans]:
        """Return for each parameter a mask of the rows in which it is active, (n,).

        Args:
            values: The values in each row, at least of the parameters that others depend on.
            count: The number of rows.
        """
        there: dict[str, Booleans] = {}
        for name in self._order:
            there[name] = np.ones(count, dtype=bool)
            for other, asked in self._space[name].when.items():
                met = np.array([meets(value, asked) for value in values[other]], dtype=bool)
                there[name] &= there[other] & met
        return there


def _middle(parameter: Parameter) -> Value:
    """Return the value that stands for an inactive parameter."""
    levels, axis = parameter.levels, parameter.axis
    if levels is not None:
        return parameter.value_at((levels - 1) // 2)
    assert axis is not None
    return min(max(axis.value(0.5), axis.low), axis.high)


def _resolution(parameter: Parameter) -> float:
    """Return the number of distinguishable numbers of a column."""
    if parameter.levels is not None or parameter.axis is None:
        return FINEST
    return min(FINEST, parameter.axis.floats / FEW_FLOATS)


def _nearest(axis: Axis, coordinates: Floats, levels: int) -> Floats:
    """Return the coordinates of the levels nearest to given coordinates."""
    if axis.counts:
        return np.asarray(np.round(np.clip(coordinates, axis.first, axis.first + levels - 1)))
    indices = np.clip(np.round((coordinates - axis.first) / axis.step), 0, levels - 1)
    return np.asarray(axis.first + indices * axis.step)


def _positions(axis: Axis, coordinates: Floats) -> Floats:
    if axis.kind in ("reverse_log", "logit"):
        return np.asarray(np.vectorize(axis.position, otypes=[float])(coordinates))
    if axis.log:
        return (np.log(coordinates) - math.log(axis.low)) / (math.log(axis.high) - math.log(axis.low))
    return (coordinates - axis.low) / (axis.high - axis.low)


def _coordinates(axis: Axis, positions: Floats) -> Floats:
    if axis.kind in ("reverse_log", "logit"):
        return np.asarray(np.vectorize(axis.value, otypes=[float])(positions))
    if axis.log:
        with np.errstate(over="ignore"):  # at the upper bound, where that is the largest float
            return np.exp(math.log(axis.low) + positions * (math.log(axis.high) - math.log(axis.low)))
    return axis.low + positions * (axis.high - axis.low)
