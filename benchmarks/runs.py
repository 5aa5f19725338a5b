"""Runs optimisers on the problems, and keeps the results: a line of a file for each run."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.peers import new_method, version_of
from benchmarks.problems import Problem

BUDGET = 64
BATCHES = (4, 10)

Run = dict[str, Any]


def run(problem: Problem, method: str, seed: int, batch: int, budget: int = BUDGET) -> Run:
    """Run a method on a problem for a number of trials, on one core.

    Returns:
        The key of the run; `best`, a pair of number and true value for each trial that was observed to be the best so
        far; and `seconds` of processor time of the method.
    """
    optimizer = new_method(method, problem, seed, batch)
    noise = np.random.default_rng([seed, batch])
    best: list[tuple[int, float]] = []
    observed, seconds, trials = np.inf, 0.0, 0
    while trials < budget:
        began = time.process_time()
        suggestions = optimizer.ask(batch)
        seconds += time.process_time() - began
        truths = [problem.function(**parameters) for parameters in suggestions]
        values = [truth + problem.noise * float(noise.standard_normal()) for truth in truths]
        began = time.process_time()
        optimizer.tell(suggestions, values)
        seconds += time.process_time() - began
        for truth, value in zip(truths, values, strict=True):
            trials += 1
            if value < observed and trials <= budget:
                observed = value
                best.append((trials, float(f"{truth:.10g}")))
    return {
        "problem": problem.name, "method": method, "version": version_of(method), "batch": batch, "seed": seed,
        "best": best, "seconds": round(seconds, 2),
    }  # fmt: skip


def read_runs(path: Path) -> list[Run]:
    """Return the runs in a file, except for those of other versions than the installed ones."""
    runs: list[Run] = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [run for run in runs if run["version"] == version_of(run["method"])]


def run_missing(
    path: Path,
    methods: Sequence[str],
    problems: Sequence[Problem],
    batches: Sequence[int],
    seeds: Sequence[int],
    budget: int = BUDGET,
) -> None:
    """Add the missing runs to the file, seed by seed, so that all methods have about the same number."""
    done = {(run["problem"], run["method"], run["batch"], run["seed"]) for run in read_runs(path)}
    for seed in seeds:
        for problem in problems:
            for batch in batches:
                for method in methods:
                    if (problem.name, method, batch, seed) not in done:
                        with threadpool_limits(1):
                            line = json.dumps(run(problem, method, seed, batch, budget)) + "\n"
                        with path.open("a") as file:
                            file.write(line)
