"""Points at random, and designs to begin with: what they promise, and what they cost."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from typing import Any

import numpy as np
import pytest

from kfp_bayesopt.search import sampling
from kfp_bayesopt.search.encoding import Encoding
from kfp_bayesopt.search.gp.acquisition import neighbours
from kfp_bayesopt.search.sampling import latin_hypercube, remaining, spread
from tests.builders import MIXED, X, a_study


def an_encoding(space: dict[str, Any]) -> Encoding:
    """Return the encoding of a space."""
    return Encoding(a_study(space=space).space)


def taken(encoding: Encoding, count: int, seed: int = 0) -> list[str]:
    """Return `count` points at random, as JSON, none twice; fewer where there are no more."""
    tried: set[bytes] = set()
    points: list[str] = []
    for row in remaining(encoding, tried, np.random.default_rng(seed)):
        key = encoding.key(row)
        if key not in tried:
            tried.add(key)
            points.append(json.dumps(encoding.decode(row)))
        if len(points) == count:
            break
    return points


@pytest.mark.parametrize("levels", [2, 3, 7, 10])
def test_a_finite_space_is_exhausted_and_each_point_comes_once(levels: int) -> None:
    encoding = an_encoding({name: {"type": "integer", "low": 1, "high": levels, "log": name == "a"} for name in "abc"})
    assert len(set(taken(encoding, levels**3 + 1))) == levels**3


def test_points_of_a_finite_space_are_uniform_and_independent() -> None:
    encoding = an_encoding({name: {"type": "integer", "low": 0, "high": 9} for name in "abcd"})
    points = np.array([list(json.loads(point).values()) for point in taken(encoding, 2000)])
    correlations = np.corrcoef(points.T)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 0.1
    for column in points.T:
        assert 150 < np.bincount(column, minlength=10).min() <= np.bincount(column, minlength=10).max() < 250
    follow = np.corrcoef(points[:-1, 0], points[1:, 0])[0, 1]
    assert abs(follow) < 0.1


def test_another_seed_gives_other_points() -> None:
    encoding = an_encoding({f"x{number}": {"type": "categorical", "choices": [True, False]} for number in range(64)})
    assert not set(taken(encoding, 20, seed=1)) & set(taken(encoding, 20, seed=2))


def test_rows_are_compared_by_blocks_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    encoding = an_encoding(MIXED)
    rows = latin_hypercube(encoding, 23, np.random.default_rng(0))
    squares = [
        np.where(encoding.categorical, a != b, (a - b) ** 2).sum() for a, b in itertools.combinations(rows, 2)
    ]  # fmt: skip
    for block in (1, 1000, 10**6):
        monkeypatch.setattr(sampling, "BLOCK", block)
        assert sampling._smallest_distance(rows, encoding) == pytest.approx(min(squares))


@pytest.mark.parametrize(
    ("parameters", "count", "rows"), [(1000, 300, 300), (6, 2000, 2000), (1000, 5000, 2000), (6, 10**9, 333_333)]
)
def test_a_large_design_needs_little_memory(parameters: int, count: int, rows: int) -> None:
    encoding = an_encoding({f"x{number}": X for number in range(parameters)})
    tracemalloc.start()
    design = spread(encoding, count, seed=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert design.shape == (rows, parameters)
    assert peak < 150e6


def test_of_many_rows_one_hypercube_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(encoding: Encoding, count: int, rng: np.random.Generator) -> Any:
        made.append(count)
        return latin_hypercube(encoding, count, rng)

    monkeypatch.setattr(sampling, "latin_hypercube", counted)
    encoding = an_encoding({f"x{number}": X for number in range(6)})
    for count, designs in ((20, 20), (500, 20), (1000, 6), (2000, 1)):
        made.clear()
        spread(encoding, count, seed=0)
        assert made == [count] * designs


def test_of_many_columns_some_make_neighbours() -> None:
    encoding = an_encoding({f"x{number}": {"type": "categorical", "choices": [1, 2, 3]} for number in range(1000)})
    point = encoding.from_cube(np.full((1, 1000), 0.5))[0]
    near = neighbours(encoding, point, np.random.default_rng(0))
    assert near.shape == (200, 1000)
    assert ((near != point).sum(1) == 1).all()
