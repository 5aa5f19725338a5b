"""Parameters as points: what a Gaussian process measures distances on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bayesopt.study import Categorical, Integer, Parameter, Parameters, Real, Scalar

Array = NDArray[np.float64]


class Encoding:
    """Turns parameters into positions and positions into coordinates.

    A position has one number for each parameter: of a real one between 0 and 1, of an integer or categorical
    one the index of its value. Coordinates are what the model sees: reals and integers between 0 and 1, and for
    each choice of a categorical one a coordinate that is 0 or 1 / sqrt(2), so that two choices are 1 apart.

    Attributes:
        sizes: How many values each parameter has, 0 for a real one. Shape (parameters,).
        categorical: Which parameters are categorical. Shape (parameters,).
        owners: The parameter that each coordinate belongs to. Shape (coordinates,).
    """

    def __init__(self, space: Mapping[str, Parameter]) -> None:
        # By name, because the order in the study file is not part of the study's fingerprint.
        self._space = dict(sorted(space.items()))
        self._order = list(space)
        self.sizes = np.array([_size(parameter) for parameter in self._space.values()])
        self._log = np.array([isinstance(p, Integer) and p.log for p in self._space.values()])
        self._lows = np.array([p.low if isinstance(p, Integer) and p.log else 1 for p in self._space.values()], float)
        self.categorical = np.array([isinstance(parameter, Categorical) for parameter in self._space.values()])
        widths = np.where(self.categorical, self.sizes, 1)
        self.owners = np.repeat(np.arange(len(widths)), widths)
        self._starts = np.concatenate([[0], np.cumsum(widths)[:-1]])

    @property
    def points(self) -> float:
        """How many different points there are; infinity with a real parameter."""
        return float("inf") if (self.sizes == 0).any() else float(np.prod(self.sizes.astype(float)))

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Draw positions evenly, one in each of `count` slices of every parameter (McKay et al. 1979)."""
        slices = np.array([rng.permutation(count) for _ in self.sizes]).T
        return self.place((slices + rng.random(slices.shape)) / count)

    def place(self, fractions: Array) -> Array:
        """Turn numbers between 0 and 1 into positions: the indexes of discrete parameters become whole."""
        logarithmic = self._lows * ((self._lows + self.sizes) / self._lows) ** fractions - self._lows
        whole = np.floor(np.where(self._log, logarithmic, fractions * self.sizes))
        whole = np.clip(whole, 0, np.maximum(self.sizes - 1, 0))
        return np.where(self.sizes > 0, whole, np.clip(fractions, 0, 1))

    def all_positions(self) -> Array:
        """Return every position of a space without real parameters. Shape (points, parameters)."""
        grid = np.meshgrid(*(np.arange(size, dtype=float) for size in self.sizes), indexing="ij")
        return np.stack([axis.ravel() for axis in grid], axis=1)

    def coordinates(self, positions: Array) -> Array:
        """Return the coordinates of positions: shape (n, parameters) to (n, coordinates)."""
        highest = np.maximum(self.sizes - 1, 1)
        logarithmic = np.log1p(np.where(self._log, positions, 0) / self._lows) / np.log1p(highest / self._lows)
        scaled = np.where(self._log, logarithmic, positions / highest)
        result = np.where(self.categorical[self.owners], 0.0, scaled[:, self.owners])
        rows = np.arange(len(positions))
        for parameter in np.flatnonzero(self.categorical):
            result[rows, self._starts[parameter] + positions[:, parameter].astype(int)] = np.sqrt(0.5)
        return result

    def decode(self, position: Array) -> Parameters:
        """Return the parameters at a position, in the order of the study file."""
        values = {
            name: _value(parameter, number)
            for (name, parameter), number in zip(self._space.items(), position.tolist(), strict=True)
        }
        return {name: values[name] for name in self._order}

    def encode(self, parameters: Sequence[Parameters]) -> Array:
        """Return the positions of parameters. Shape (n, parameters)."""
        rows = [[_position(parameter, row[name]) for name, parameter in self._space.items()] for row in parameters]
        return np.array(rows, dtype=float).reshape(len(parameters), len(self._space))


def _size(parameter: Parameter) -> int:
    match parameter:
        case Real():
            return 0
        case Integer():
            return (parameter.high - parameter.low) // parameter.step + 1
        case Categorical():
            return len(parameter.choices)


def _value(parameter: Parameter, position: float) -> Scalar:
    match parameter:
        case Real() if position in (0.0, 1.0):
            return parameter.high if position else parameter.low  # without a rounding error
        case Real(log=True):
            value = np.exp(np.log(parameter.low) + position * (np.log(parameter.high) - np.log(parameter.low)))
            return min(max(float(value), parameter.low), parameter.high)
        case Real():
            return min(max(parameter.low + position * (parameter.high - parameter.low), parameter.low), parameter.high)
        case Integer():
            return parameter.low + int(position) * parameter.step
        case Categorical():
            return parameter.choices[int(position)]


def _position(parameter: Parameter, value: Scalar) -> float:
    match parameter:
        case Real(log=True):
            assert isinstance(value, int | float)
            return float((np.log(value) - np.log(parameter.low)) / (np.log(parameter.high) - np.log(parameter.low)))
        case Real():
            assert isinstance(value, int | float)
            return (value - parameter.low) / (parameter.high - parameter.low)
        case Integer():
            assert isinstance(value, int)
            return float((value - parameter.low) // parameter.step)
        case Categorical():
            same = [type(choice) is type(value) and choice == value for choice in parameter.choices]
            return float(same.index(True))
