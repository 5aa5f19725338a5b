"""The tables of the benchmark, from runs that are made up."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.problems import PROBLEMS
from benchmarks.ranks import Comparison, rank_table, regret_table, wins_table
from benchmarks.runs import Run, run

BRANIN = next(problem for problem in PROBLEMS if problem.name == "branin")


def a_run(method: str, seed: int, *best: tuple[int, float], problem: str = "branin") -> Run:
    return {"problem": problem, "method": method, "batch": 4, "seed": seed, "best": best, "seconds": 2.0}


LOWEST = BRANIN.lowest or 0.0
RUNS = [
    a_run("gp", 0, (1, LOWEST + 4), (10, LOWEST + 1)),
    a_run("gp", 1, (1, LOWEST + 4), (40, LOWEST + 0.5)),
    a_run("ax", 0, (1, LOWEST + 3), (20, LOWEST + 2)),
    a_run("ax", 1, (1, LOWEST + 4), (40, LOWEST + 0.5)),
    a_run("skopt", 0, (1, LOWEST + 5)),
]


def test_regrets_follow_the_best_trial_so_far() -> None:
    regrets = Comparison(RUNS, {"branin": BRANIN.lowest}, 4, ["gp", "ax"]).regrets("branin")
    assert regrets.shape == (2, 2, 64)
    assert regrets[0, 0, [0, 8, 9, 63]] == pytest.approx([4, 4, 1, 1])
    assert regrets[0, 1, [0, 18, 19]] == pytest.approx([3, 3, 2])


def test_ranks_share_ties_and_need_the_same_seeds() -> None:
    (ranks,) = Comparison(RUNS, {"branin": BRANIN.lowest}, 4, ["gp", "ax"]).ranks()
    assert ranks[:, :, 0].tolist() == [[2.0, 1.0], [1.5, 1.5]]
    assert ranks[:, :, 63].tolist() == [[1.0, 2.0], [1.5, 1.5]]
    (alone,) = Comparison(RUNS, {"branin": BRANIN.lowest}, 4, ["gp", "ax", "skopt"]).ranks()
    assert alone[:, :, 63].tolist() == [[1.0, 2.0, 3.0]]


def test_the_tables_say_who_is_better_and_how_many_seeds_there_are() -> None:
    comparison = Comparison(RUNS, {"branin": BRANIN.lowest}, 4, ["gp", "ax"])
    table = rank_table(comparison)
    assert "Mean rank of 2 over 1 problems, 2 seeds each" in table
    (ax,) = [line for line in table.splitlines() if line.startswith("| Ax ")]
    assert ax.endswith("| 2.0 |")
    assert "| Ax | 2 | 75% (" in wins_table([comparison])
    assert "| branin | 2.5 / 2.5 / 0.75 (2) | 3.5 / 3 / 1.2 (2) |" in regret_table(comparison)


def test_a_run_is_the_same_each_time_and_its_best_only_falls_without_noise() -> None:
    one, other = run(BRANIN, "random", 3, 10), run(BRANIN, "random", 3, 10)
    assert one["best"] == other["best"]
    trials, values = zip(*one["best"], strict=True)
    assert list(trials) == sorted(set(trials))
    assert max(trials) <= 64
    assert (np.diff(values) < 0).all()
