"""Points that fill a space, a walk through all of them, and neighbours of good ones."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from optimizer.encoding import Encoding, Floats


def sobol(encoding: Encoding, count: int, seed: int | np.random.Generator, skip: int = 0) -> Floats:
    """Return rows, (count, d), of a scrambled Sobol sequence (Owen 1998), after the first `skip` ones."""
    from scipy.stats.qmc import Sobol  # here because it takes as long to import as everything else

    if count == 0:
        return np.empty((0, len(encoding)))
    sequence = Sobol(len(encoding), rng=seed)
    if skip:
        sequence.fast_forward(skip)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that only a power of two is balanced
        return encoding.from_cube(sequence.random(count))


def latin_hypercube(encoding: Encoding, count: int, rng: np.random.Generator) -> Floats:
    """Return rows, (count, d), one in each of `count` slices of every column (McKay, Beckman and Conover 1979)."""
    slices = np.column_stack([rng.permutation(count) for _ in range(len(encoding))])
    return encoding.from_cube((slices + rng.random(slices.shape)) / count)


def spread(encoding: Encoding, count: int, seed: int) -> Floats:
    """Return rows, (count, d), to begin with: the centre, and the Latin hypercube of 20 whose rows are farthest apart.

    The centre, because bounds are mostly put around what people expect to be good.
    """
    rng = np.random.default_rng(seed)
    designs = [latin_hypercube(encoding, count, rng) for _ in range(20)]
    design = max(designs, key=lambda rows: _smallest_distance(rows, encoding))
    design[0] = encoding.from_cube(np.full((1, len(encoding)), 0.5))[0]
    return design


def _smallest_distance(rows: Floats, encoding: Encoding) -> float:
    if len(rows) < 2:
        return 0.0
    differences = rows[:, None] - rows[None]
    squares = np.where(encoding.categorical, differences != 0, differences**2).sum(2)
    return float(squares[np.triu_indices(len(rows), 1)].min())


def remaining(encoding: Encoding, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield rows, (d,), at random: of a finite space each point once, of another without end."""
    if encoding.size == np.inf:
        while True:
            yield from encoding.from_cube(rng.random((64, len(encoding))))
    size = int(encoding.size)
    # Any start and any stride without a common divisor with the size visit each number once.
    number, stride = (int(x) for x in rng.integers(2**62, size=2))
    while np.gcd(stride % size, size) != 1 and size > 1:
        stride += 1
    for _ in range(size):
        number = (number + stride) % size
        yield encoding.row(number)


def perturb(encoding: Encoding, centres: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return rows, (count, d), near rows (m, d), in a random subset of columns (Regis and Shoemaker 2013).

    About 20 columns move at most, however many there are, by steps of all sizes; a categorical one changes its choice.
    """
    d = len(encoding)
    rows = centres[rng.integers(len(centres), size=count)]
    moved = rng.random((count, d)) < np.minimum(1.0, rng.choice([2.0, 20.0], size=(count, 1)) / d)
    moved[np.arange(count), rng.integers(d, size=count)] = True
    widths = 10 ** rng.uniform(-3, -0.5, size=(count, 1))
    steps = rng.standard_normal((count, d)) * widths
    # At least to the next value of an integer.
    pitch = np.array([1 / levels if levels else 0.0 for levels in encoding.levels])
    steps = np.where(np.abs(steps) < pitch, np.sign(steps) * pitch, steps)
    fresh = encoding.from_cube(rng.random((count, d)))
    target = np.where(encoding.categorical, fresh, rows + steps)
    return encoding.snap(np.where(moved, target, rows))
