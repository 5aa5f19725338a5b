"""The engines that learn nothing: `random`, `sobol` and `grid`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.search.engine import new_engine, replay
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.study import Study
from tests.builders import MIXED, a_record, a_study, study_text

FEW = {
    "n": {"type": "integer", "low": 1, "high": 5},
    "kind": {"type": "categorical", "choices": ["a", 1, True]},
}


def run(optimizer: dict[str, Any], iterations: int, **changes: Any) -> list[Parameters]:
    """Return the points of a study, in batches of 4; what came of them is of no interest to these engines."""
    study = a_study(optimizer=optimizer, **{"parallel_trials": 4, "iterations": 50, **changes})
    engine = new_engine(study)
    points: list[Parameters] = []
    ledger: list[Record] = []
    for iteration in range(1, iterations + 1):
        batch = engine.suggest(4)
        assert json.dumps(replay(study, ledger).suggest(4)) == json.dumps(batch)
        records = [
            a_record(study, trial, None if trial % 3 else 1.0, iteration=iteration, parameters=point)
            for trial, point in enumerate(batch, len(points) + 1)
        ]
        engine.learn(records)
        ledger += records
        points += batch
    return points


def different(points: list[Parameters]) -> int:
    """Return how many points there are; as JSON, because Python takes 1 and True for equal."""
    return len({json.dumps(point) for point in points})


@pytest.mark.parametrize("engine", ["random", "sobol"])
def test_points_lie_all_over_the_space_and_come_once(engine: str) -> None:
    points = run({"engine": engine}, 16, space=MIXED)
    assert different(points) == 64
    rates = [np.log10(float(str(point["rate"]))) for point in points]
    assert np.histogram(rates, bins=4, range=(-5, -1))[0].min() >= 8
    assert {json.dumps(point["kind"]) for point in points} == {json.dumps(c) for c in MIXED["kind"]["choices"]}
    assert {point["depth"] for point in points} == set(range(1, 10))


@pytest.mark.parametrize("engine", ["random", "sobol"])
def test_another_random_state_gives_other_points(engine: str) -> None:
    one, other = (run({"engine": engine, "random_state": seed}, 2) for seed in (1, 2))
    assert not {json.dumps(point) for point in one} & {json.dumps(point) for point in other}


def test_sobol_points_are_spread_more_evenly_than_random_ones() -> None:
    space = {name: {"type": "real", "low": 0.0, "high": 1.0} for name in ("a", "b")}

    def cells(engine: str) -> int:
        points = run({"engine": engine}, 16, space=space)
        return len({(int(float(str(p["a"])) * 8), int(float(str(p["b"])) * 8)) for p in points})

    assert cells("sobol") == 64  # one in each, the property of the sequence
    assert cells("random") < 50


@pytest.mark.parametrize("engine", ["random", "sobol", "gp"])
def test_a_finite_space_is_tried_to_its_end_and_no_further(engine: str) -> None:
    points = run({"engine": engine}, 6, space=FEW)
    assert len(points) == different(points) == 15


def test_a_grid_has_every_combination_once_and_then_ends() -> None:
    space = {
        "rate": {"type": "real", "low": 1e-4, "high": 1.0, "log": True},
        "n": {"type": "integer", "low": 0, "high": 100, "step": 10},
        "few": {"type": "integer", "low": 1, "high": 2},
        "kind": {"type": "categorical", "choices": ["a", None]},
    }
    points = run({"engine": "grid", "points_per_parameter": 3}, 12, space=space)
    assert len(points) == different(points) == 3 * 3 * 2 * 2
    assert sorted({float(str(point["rate"])) for point in points}) == pytest.approx([1e-4, 1e-2, 1.0])
    assert {point["n"] for point in points} == {0, 50, 100}
    assert {point["few"] for point in points} == {1, 2}
    assert {point["kind"] for point in points} == {"a", None}


@pytest.mark.parametrize(
    ("high", "number", "values"),
    [
        (4096, 5, [1, 8, 64, 512, 4096]),
        (1000, 4, [1, 10, 100, 1000]),
        (10, 8, [1, 2, 3, 4, 5, 6, 7, 10]),
        (10, 9, [1, 2, 3, 4, 5, 6, 7, 8, 10]),
        (10, 10, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (100, 1, [10]),
    ],
)
def test_a_logarithmic_integer_is_evenly_spaced_in_its_logarithm(high: int, number: int, values: list[int]) -> None:
    space = {"n": {"type": "integer", "low": 1, "high": high, "log": True}}
    points = run({"engine": "grid", "points_per_parameter": number}, 4, space=space)
    assert [point["n"] for point in points] == values


def test_one_point_of_a_parameter_is_in_the_middle() -> None:
    points = run({"engine": "grid", "points_per_parameter": 1}, 1)
    assert points == [{"x1": 2.5, "x2": 7.5}]


def test_a_grid_larger_than_the_budget_is_refused() -> None:
    with pytest.raises(UserError) as error:
        Study.from_text(study_text(optimizer={"engine": "grid"}, iterations=4, parallel_trials=4), "a.yaml")
    assert error.value.message == (
        "a.yaml: optimizer: the grid must fit into the budget of 16 trials (iterations x parallel_trials), "
        "but has 25 points (x1: 5 x x2: 5); lower points_per_parameter or raise iterations"
    )
