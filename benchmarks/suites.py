"""Compares optimisers on public suites: the 24 functions of BBOB, their mixed-integer versions, and noisy versions.

They come from the package `coco-experiment` (Hansen et al. 2021, COCO): independent functions by which none of our
settings was chosen. A seed is an instance: another shift and rotation of each function. The budget is at most 6 core
hours a suite, so methods that take a minute for a run have one seed of a third of the functions, or none. Each run is a
line in `suites.jsonl`, existing ones are not run again, and several of these can run side by side:

    python -m benchmarks.suites --suite bbob --methods gp,random --seeds 3
    python -m benchmarks.suites --methods optuna-gp --seeds 1 --third
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.problems import Problem
from benchmarks.ranks import NAMES, Comparison, rank_table, wins_table
from benchmarks.runs import Run, read_runs, run_missing

RESULTS = Path(__file__).parent / "suites.jsonl"
SEEDS = 5
BATCH = 4
LOOKS = (48, 100)
"""The numbers of trials after which the methods are compared; each run has at least the last."""
NOISES = (0.1, 0.3, 1.0)
"""For BBOB in 5 dimensions: the standard deviation of the noise, relative to that of the better half of random points.
"""
SLOW = ("ax", "optuna-gp")
"""Methods that run a third of the functions."""
FUNCTIONS = range(1, 25)
GROUPS = {
    "separable": range(1, 6),
    "moderate": range(6, 10),
    "ill-conditioned": range(10, 15),
    "multimodal, with a structure": range(15, 20),
    "multimodal, without": range(20, 25),
}
"""The groups of functions by the authors of BBOB."""


@dataclass(frozen=True)
class Task:
    """A function of a suite with a number of parameters, and the noise of its values."""

    suite: str
    function: int
    dimensions: int
    noise: float = 0.0

    @property
    def name(self) -> str:
        """The name of its runs."""
        noisy = f" with noise of {self.noise}" if self.noise else ""
        return f"{self.suite} f{self.function:02} in {self.dimensions}{noisy}"


@dataclass(frozen=True)
class Set:
    """Functions for one comparison of methods.

    Attributes:
        tasks: The functions.
        batch: The number of trials proposed at a time.
        groups: Parts of them with a table of their own.
    """

    tasks: list[Task]
    batch: int = BATCH
    groups: dict[str, list[Task]] = field(default_factory=dict)


def _grouped(tasks: list[Task]) -> Set:
    """Return a set with the groups of BBOB's authors."""
    of = {group: [task for task in tasks if task.function in functions] for group, functions in GROUPS.items()}
    return Set(tasks, groups=of)


def _third(dimensions: int) -> list[Task]:
    """Return every third function of BBOB."""
    return [Task("bbob", each, dimensions) for each in FUNCTIONS if each % 3 == 0]


_NOISY = {f"noise of {noise}": [Task("bbob", each, 5, noise) for each in FUNCTIONS] for noise in NOISES}
SETS = {
    "bbob": _grouped([Task("bbob", each, size) for size in (2, 5, 10) for each in FUNCTIONS]),
    "bbob-mixint": _grouped([Task("bbob-mixint", each, size) for size in (5, 10) for each in FUNCTIONS]),
    "bbob with noise": Set([task for tasks in _NOISY.values() for task in tasks], groups=_NOISY),
    "bbob in 20 parameters, every third": Set(_third(20)),
    "bbob in 40 parameters, every third": Set(_third(40)),
    "bbob in batches of 16, every third": Set(_third(5) + _third(10), batch=16),
    "bbob in batches of 32, every third": Set(_third(5) + _third(10), batch=32),
}


def problem(task: Task, seed: int) -> Problem:
    """Return a function of a suite, in the instance of a seed."""
    import cocoex

    found = cocoex.Suite(task.suite, "", f"dimensions: {task.dimensions} instance_indices: {seed + 1}")
    objective = found.get_problem_by_function_dimension_instance(task.function, task.dimensions, seed + 1)
    names = [f"x{number:02}" for number in range(task.dimensions)]
    space: dict[str, dict[str, Any]] = {}
    for number, (name, low, high) in enumerate(zip(names, objective.lower_bounds, objective.upper_bounds, strict=True)):
        if number < objective.number_of_integer_variables:
            space[name] = {"type": "integer", "low": int(low), "high": int(high), "log": False, "step": 1}
        else:
            space[name] = {"type": "real", "low": float(low), "high": float(high), "log": False}

    def value(**parameters: float) -> float:
        # The problem keeps the suite: without it its memory is freed.
        assert found is not None
        return float(objective(np.array([parameters[name] for name in names], dtype=float)))

    noise = 0.0
    if task.noise:
        low, high = np.array(objective.lower_bounds), np.array(objective.upper_bounds)
        points = low + np.random.default_rng(seed).random((1000, len(names))) * (high - low)
        values = np.sort([float(objective(point)) for point in points])
        noise = task.noise * float(values[: len(values) // 2].std())
    return Problem(task.name, "reporting", space, value, None, noise)


def measure() -> str:
    """Return the figures of the existing runs as Markdown."""
    runs = read_runs(RESULTS)
    parts = []
    for title, chosen in SETS.items():
        tasks, batch = chosen.tasks, chosen.batch
        names = {task.name for task in tasks}
        theirs = [run for run in runs if run["problem"] in names and run["batch"] == batch]
        methods = [method for method in NAMES if any(run["method"] == method for run in theirs)]
        fast = [method for method in methods if method not in SLOW]

        compare = functools.partial(_compared, theirs, batch)
        parts += [f"### {title}\n", rank_table(compare(tasks, fast))]
        for slow in methods:
            if slow in SLOW:
                parts += [f"Of those that {NAMES[slow]} has run too:\n", rank_table(compare(tasks, [*fast, slow]))]
        parts.append(wins_table([compare(tasks, ["gp", other]) for other in methods if other != "gp"]))
        for group, some in chosen.groups.items():
            parts += [f"Of these, {group}:\n", rank_table(compare(some, fast))]
    return "\n".join(parts)


def _compared(runs: Sequence[Run], batch: int, tasks: Iterable[Task], methods: Sequence[str]) -> Comparison:
    return Comparison(runs, dict.fromkeys(task.name for task in tasks), batch, methods, LOOKS)


def main() -> None:
    """Run the missing runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=list(SETS), help="default: all")
    parser.add_argument("--methods", default="gp,optuna-tpe,random", help="by commas; default: %(default)s")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many; default: %(default)s")
    parser.add_argument("--third", action="store_true", help="every third function alone")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of the runs")
    arguments = parser.parse_args()
    for title in [arguments.suite] if arguments.suite else SETS:
        chosen = SETS[title]
        tasks = [task for task in chosen.tasks if not arguments.third or task.function % 3 == 0]
        for seed in range(arguments.seeds):
            problems = [problem(task, seed) for task in tasks]
            run_missing(arguments.out, arguments.methods.split(","), problems, [chosen.batch], [seed], LOOKS[-1])


if __name__ == "__main__":
    main()
