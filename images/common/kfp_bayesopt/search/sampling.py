"""Points that fill a space, a walk through all of them, and neighbours of good ones."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Set
from typing import TYPE_CHECKING

import numpy as np

from kfp_bayesopt.search.encoding import Encoding, Floats
from kfp_bayesopt.space.problem import Problem

if TYPE_CHECKING:
    from scipy.stats.qmc import Sobol

# The most numbers in an initial design; and of pairs of rows times columns, the most compared in all, and at once.
MOST_NUMBERS = 2_000_000
MOST_COMPARED = 2_000_000
BLOCK = 1_000_000
# The most points drawn to find some that keep constraints; half a second for a few constraints.
MOST_DRAWN = 50_000
# The largest budget; in a space of more points some are always left.
MOST_SHUFFLED = 1_000_000


def random_numbers(study: Problem, trials: int) -> np.random.Generator:
    """Return random numbers that are the same for the same study and number of trials done."""
    return np.random.default_rng([getattr(study.optimizer, "random_state", 0), trials])


def scrambled(columns: int, seed: int | np.random.Generator) -> Sobol:
    """Return a scrambled Sobol sequence (Owen 1998)."""
    from scipy.stats.qmc import Sobol  # here because it takes as long to import as everything else

    try:
        return Sobol(columns, rng=seed)
    except TypeError:  # SciPy before 1.15 calls it so
        return Sobol(columns, seed=seed)


def sobol(encoding: Encoding, count: int, seed: int | np.random.Generator, skip: int = 0) -> Floats:
    """Return rows, (count, d), of a scrambled Sobol sequence, after the first `skip` ones."""
    if count == 0:
        return np.empty((0, len(encoding)))
    sequence = scrambled(len(encoding), seed)
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
    """Return an initial design, (n, d): the centre, and the Latin hypercube of 20 with the largest smallest distance.

    The centre, because people mostly set bounds around the values that they expect to be good. For many rows it
    compares fewer hypercubes, and beyond `MOST_NUMBERS` it returns fewer than `count` rows: random ones are as good
    from there on.
    """
    d = len(encoding)
    count = min(count, max(MOST_NUMBERS // d, 1))
    rng = np.random.default_rng(seed)
    if encoding.constraints:
        return _farthest(encoding, keeping(encoding, 50 * count, rng), count)
    number = max(min(20, 20 * MOST_COMPARED // (count**2 * d)), 1)
    designs = [latin_hypercube(encoding, count, rng) for _ in range(number)]
    design = max(designs, key=lambda rows: _smallest_distance(rows, encoding)) if number > 1 else designs[0]
    design[0] = encoding.from_cube(np.full((1, d), 0.5))[0]
    return design


def keeping(encoding: Encoding, count: int, rng: np.random.Generator) -> Floats:
    """Return random rows that keep the constraints: (count, d), or fewer if they are very rare."""
    found: list[Floats] = []
    for _ in range(max(MOST_DRAWN // count, 1)):
        rows = encoding.from_cube(rng.random((count, len(encoding))))
        found.append(rows[encoding.keeps(rows)])
        if sum(map(len, found)) >= count:
            break
    return np.vstack(found)[:count]


def _farthest(encoding: Encoding, rows: Floats, count: int) -> Floats:
    """Return some of rows, (count, d): the one nearest to the centre, then each time the farthest from those."""
    scaled = np.where(encoding.categorical, 0.0, rows)
    chosen = [int(np.argmin(((scaled - scaled.mean(0)) ** 2).sum(1)))]
    distances = np.full(len(rows), np.inf)
    while len(chosen) < min(count, len(rows)):
        differences = rows - rows[chosen[-1]]
        squares = np.where(encoding.categorical, differences != 0, differences**2).sum(1)
        distances = np.minimum(distances, squares)
        chosen.append(int(np.argmax(distances)))
    return rows[chosen]


def _smallest_distance(rows: Floats, encoding: Encoding) -> float:
    """Return the smallest squared distance of two rows, computed in blocks to save memory."""
    smallest = math.inf
    block = max(BLOCK // rows.size, 1)
    for start in range(0, len(rows) - 1, block):
        some, others = rows[start : start + block], rows[start + 1 :]
        differences = some[:, None] - others[None]
        squares = np.where(encoding.categorical, differences != 0, differences**2).sum(2)
        smallest = min(smallest, float(squares[np.triu_indices(len(some), m=len(others))].min()))
    return smallest if len(rows) > 1 else 0.0


def sequence(encoding: Encoding, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield random rows, (d,), without end, or each point of a small space once: an order of all trials."""
    if encoding.size <= MOST_SHUFFLED:
        for number in rng.permutation(int(encoding.size)):
            yield encoding.row(int(number))
        return
    while True:
        yield from encoding.from_cube(rng.random((64, len(encoding))))


def remaining(encoding: Encoding, tried: Set[bytes], rng: np.random.Generator) -> Iterator[Floats]:
    """Yield random rows, (d,): without end, or until each point of a finite space was yielded.

    Args:
        encoding: The space.
        tried: Keys of points to skip; the caller adds each one that it takes.
        rng: Random numbers.
    """
    # While most points are left, few draws hit tried ones; the last ones are found in a shuffled list of all. If
    # constraints leave few, those are in the list too.
    drawn = 0
    while 2 * len(tried) < encoding.size and not (encoding.is_partial and drawn > MOST_DRAWN):
        yield from encoding.from_cube(rng.random((64, len(encoding))))
        drawn += 64
    if encoding.size > MOST_SHUFFLED:
        return
    for number in rng.permutation(int(encoding.size)):
        yield encoding.row(int(number))


def perturb(encoding: Encoding, centres: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return rows, (count, d), near rows (m, d), in a random subset of columns (Regis and Shoemaker 2013).

    At most about 20 columns move, however many there are, by steps of all sizes; a categorical one changes its choice.
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
