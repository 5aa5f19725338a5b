"""How close the engines come to the minimum of problems that are not tuned to, with the same budget."""

from __future__ import annotations

import time

import numpy as np

from bayesopt.study import Study
from bayesopt.trials import Record
from benchmarks.problems import Problem, problems
from optimizer.engine import new_engine

ENGINES = ("gp", "skopt")
PARALLEL = 4
LOOKS = (16, 32, 48)


def measure(seeds: int = 5) -> str:
    """Return the figures as Markdown."""
    head = " / ".join(map(str, LOOKS))
    rows = [
        f"Median over {seeds} seeds of the regret after {head} trials, {PARALLEL} at a time, and seconds of a run:\n",
        f"| problem | {' | '.join(ENGINES)} | random |",
        "| --- |" + " --- |" * (len(ENGINES) + 1),
    ]
    for name, problem in problems().items():
        cells = [_cell([_run(problem, engine, seed) for seed in range(seeds)]) for engine in (*ENGINES, "random")]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _cell(runs: list[tuple[list[float], float]]) -> str:
    regrets = np.median([regret for regret, _ in runs], axis=0)
    seconds = np.median([seconds for _, seconds in runs])
    return f"{' / '.join(f'{regret:.2g}' for regret in regrets)} ({seconds:.1f} s)"


def _run(problem: Problem, engine: str, seed: int) -> tuple[list[float], float]:
    """Return the regret at each look, and the seconds that the engine took."""
    space, function = problem
    # Random search is skopt's start without an end.
    optimizer = {"engine": "skopt", "n_initial_points": 10**6} if engine == "random" else {"engine": engine}
    study = Study.model_validate(
        {
            "name": "quality",
            "objective": {"python": "benchmarks:problem"},
            "iterations": max(LOOKS) // PARALLEL,
            "parallel_trials": PARALLEL,
            "space": space,
            "optimizer": {**optimizer, "random_state": seed},
        }
    )
    began = time.perf_counter()
    proposer = new_engine(study)
    values: list[float] = []
    for iteration in range(1, study.iterations + 1):
        batch = []
        for parameters in proposer.suggest(PARALLEL):
            values.append(function(parameters))
            batch.append(
                Record(
                    study=study.name, fingerprint=study.fingerprint, iteration=iteration, trial=len(values),
                    parameters=parameters, state="completed", value=values[-1],
                    started="2026-01-01T00:00:00+00:00", seconds=0.0, host="here",
                )
            )  # fmt: skip
        proposer.learn(batch)
    return [min(values[:look]) for look in LOOKS], time.perf_counter() - began
