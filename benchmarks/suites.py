"""Compares optimisers on public suites: the 24 functions of BBOB, and their mixed-integer versions.

They come from the package `coco-experiment` (Hansen et al. 2021, COCO), whose functions nobody here wrote, and none of
our settings was chosen by them. A seed is an instance: another shift and rotation of each function. The budget: at most
6 core hours a suite, so that methods that take a minute for a run have a seed or none. Each run is a line in
`suites.jsonl`, what is there is not run again, and several of these can run side by side:

    python -m benchmarks.suites --suite bbob --methods gp,random --seeds 3
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.problems import Problem
from benchmarks.ranks import NAMES, Comparison, rank_table, wins_table
from benchmarks.runs import read_runs, run_missing

RESULTS = Path(__file__).parent / "suites.jsonl"
SEEDS = 10
BATCH = 4
SUITES = {"bbob": (2, 5, 10), "bbob-mixint": (5, 10)}
"""The suites and the numbers of parameters."""
FUNCTIONS = range(1, 25)
GROUPS = {
    "separable": range(1, 6),
    "moderate": range(6, 10),
    "ill-conditioned": range(10, 15),
    "multimodal, with a structure": range(15, 20),
    "multimodal, without": range(20, 25),
}
"""As the authors of BBOB group its functions."""


def problem(suite: str, function: int, dimensions: int, seed: int) -> Problem:
    """Return a function of a suite, in the instance of a seed."""
    import cocoex

    found = cocoex.Suite(suite, "", f"dimensions: {dimensions} instance_indices: {seed + 1}")
    objective = found.get_problem_by_function_dimension_instance(function, dimensions, seed + 1)
    names = [f"x{number:02}" for number in range(dimensions)]
    space: dict[str, dict[str, Any]] = {}
    for number, (name, low, high) in enumerate(zip(names, objective.lower_bounds, objective.upper_bounds, strict=True)):
        if number < objective.number_of_integer_variables:
            space[name] = {"type": "integer", "low": int(low), "high": int(high), "log": False, "step": 1}
        else:
            space[name] = {"type": "real", "low": float(low), "high": float(high), "log": False}

    def value(**parameters: float) -> float:
        # The suite goes with the problem: without it its memory is freed.
        assert found is not None
        return float(objective(np.array([parameters[name] for name in names], dtype=float)))

    return Problem(name_of(suite, function, dimensions), "reporting", space, value, None)


def name_of(suite: str, function: int, dimensions: int) -> str:
    """Return the name of a function."""
    return f"{suite} f{function:02} in {dimensions}"


def measure() -> str:
    """Return the figures of the runs that are there as Markdown."""
    runs = read_runs(RESULTS)
    parts = []
    for suite, sizes in SUITES.items():
        parts.append(f"### {suite}\n")
        methods = [
            method
            for method in NAMES
            if any(run["method"] == method and run["problem"].startswith(f"{suite} ") for run in runs)
        ]
        everything = [name_of(suite, function, size) for function in FUNCTIONS for size in sizes]
        whole = Comparison(runs, dict.fromkeys(everything), BATCH, methods)
        others = [
            Comparison(runs, dict.fromkeys(everything), BATCH, ["gp", other]) for other in methods if other != "gp"
        ]
        parts += [rank_table(whole), wins_table(others)]
        for group, functions in GROUPS.items():
            names = [name_of(suite, function, size) for function in functions for size in sizes]
            parts += [f"Of these, {group}:\n", rank_table(Comparison(runs, dict.fromkeys(names), BATCH, methods))]
    return "\n".join(parts)


def main() -> None:
    """Run what is asked for and is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=list(SUITES), help="default: both")
    parser.add_argument("--methods", default="gp,optuna-tpe,random", help="by commas; default: %(default)s")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many; default: %(default)s")
    arguments = parser.parse_args()
    for suite in [arguments.suite] if arguments.suite else SUITES:
        for seed in range(arguments.seeds):
            problems = [problem(suite, function, size, seed) for size in SUITES[suite] for function in FUNCTIONS]
            run_missing(RESULTS, arguments.methods.split(","), problems, [BATCH], [seed])


if __name__ == "__main__":
    main()
