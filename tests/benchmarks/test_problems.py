"""The problems of the benchmark: their minima are where the literature has them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks.peers import a_study
from benchmarks.problems import PROBLEMS, Problem
from kfp_bayesopt.search.engine import new_engine

MINIMA: dict[str, dict[str, Any]] = {
    "branin": {"x1": math.pi, "x2": 2.275},
    "goldstein-price": {"x1": 0.0, "x2": -1.0},
    "hartmann 6": dict(
        zip(
            [f"x{n}" for n in range(1, 7)],
            [0.20168952, 0.15001069, 0.47687398, 0.27533243, 0.31165162, 0.65730054],
            strict=True,
        )
    ),
    "hartmann 3 noisy": {"x1": 0.114614, "x2": 0.555649, "x3": 0.852547},
    "ackley 4": dict.fromkeys(["x1", "x2", "x3", "x4"], 0.0),
    "levy 4": dict.fromkeys(["x1", "x2", "x3", "x4"], 1.0),
    "rosenbrock 5": dict.fromkeys(["x1", "x2", "x3", "x4", "x5"], 1.0),
    "mixed ackley": {"a": 1.5, "b": -1.5, "n": 3, "m": 12, "kind": "moved"},
    "six-hump camel": {"x1": 0.0898, "x2": -0.7126},
    "zakharov 4": dict.fromkeys(["x1", "x2", "x3", "x4"], 0.0),
    "michalewicz 5 noisy": {"x1": 2.202906, "x2": 1.570796, "x3": 1.284992, "x4": 1.923058, "x5": 1.720470},
    "styblinski-tang 10": {f"x{n}": -2.903534 for n in range(1, 11)},
}


@pytest.mark.parametrize(
    "problem", [problem for problem in PROBLEMS if problem.lowest is not None], ids=lambda p: p.name
)
def test_the_lowest_value_is_reached_and_lies_in_the_space(problem: Problem) -> None:
    minimum = MINIMA[problem.name]
    assert problem.function(**minimum) == pytest.approx(problem.lowest, abs=1e-4)
    for name, value in minimum.items():
        parameter = problem.space[name]
        assert value in parameter.get("choices", [value])
        assert parameter.get("low", value) <= value <= parameter.get("high", value)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_a_problem_is_a_study_and_its_function_is_deterministic(problem: Problem) -> None:
    study = a_study(problem, 4, {"engine": "random"})
    (point,) = new_engine(study).suggest(1)
    assert problem.function(**point) == problem.function(**point)


def test_there_are_enough_problems_of_each_kind_in_both_halves() -> None:
    for half in ("tuning", "reporting"):
        names = [problem.name for problem in PROBLEMS if problem.half == half]
        assert len(names) >= 8
        assert sum(problem.noise > 0 for problem in PROBLEMS if problem.half == half) >= 1
    assert sum(" on " in problem.name for problem in PROBLEMS) >= 4  # real models
