"""Compares the best values within a limit found by optimisers: Branin in a disc, Gramacy's problem, a bowl.

Gardner et al. 2014 and Gramacy et al. 2016. The power of the probability of keeping a limit was chosen on these.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.engine_runs import BATCH, Point, run_study, study_of

TRIALS = 48
LOOKS = (16, 32, 48)
SEEDS = 10
Found = list[tuple[float, float]]
"""The value of each trial, and its excess over the limit."""


def branin_in_a_disc(point: Point) -> tuple[float, float]:
    """Return the Branin function, and the excess of a point outside a disc around (2.5, 7.5)."""
    a, b = 15 * point[0] - 5, 15 * point[1]
    value = (b - 5.1 / (4 * np.pi**2) * a**2 + 5 / np.pi * a - 6) ** 2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(a) + 10
    return float(value), float((a - 2.5) ** 2 + (b - 7.5) ** 2 - 50)


def gramacy(point: Point) -> tuple[float, float]:
    """Return a sum with its lowest feasible value on a wave."""
    x, y = point
    return x + y, float(1.5 - x - 2 * y - 0.5 * np.sin(2 * np.pi * (x**2 - 2 * y)))


def bowl_beside_a_plane(point: Point) -> tuple[float, float]:
    """Return a bowl with its lowest point cut off by a plane."""
    return float(sum((x - 0.9) ** 2 for x in point)), sum(point) - 2


PROBLEMS: dict[str, tuple[Callable[[Point], tuple[float, float]], int]] = {
    "Branin in a disc, best 0.3979": (branin_in_a_disc, 2),
    "Gramacy, best 0.5998": (gramacy, 2),
    "bowl of 5 beside a plane, best 1.25": (bowl_beside_a_plane, 5),
}


def _ours(engine: str) -> Callable[..., Found]:
    def run(function: Callable[[Point], tuple[float, float]], dimensions: int, seed: int) -> Found:
        asked = {"objective": {"python": "benchmarks:objective", "value": "value"}, "limits": {"excess": "<= 0"}}
        study = study_of(dimensions, engine, seed, **asked)
        ledger = run_study(study, lambda point: dict(zip(("value", "excess"), function(point), strict=True)), TRIALS)
        return [(record.values["value"], record.values["excess"]) for record in ledger]

    return run


def _tpe(function: Callable[[Point], tuple[float, float]], dimensions: int, seed: int) -> Found:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found: Found = []

    def excess(trial: Any) -> tuple[float]:
        return (trial.user_attrs["excess"],)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True, constraints_func=excess)
        )
        while len(found) < TRIALS:
            batch = [study.ask() for _ in range(BATCH)]
            points = [[trial.suggest_float(f"x{i}", 0, 1) for i in range(dimensions)] for trial in batch]
            for trial, point in zip(batch, points, strict=True):
                found.append(function(point))
                trial.set_user_attr("excess", found[-1][1])
                study.tell(trial, found[-1][0])
    return found


METHODS = {"`gp`, ours": _ours("gp"), "Optuna TPE with its constraints": _tpe, "random": _ours("random")}


def measure() -> str:
    """Return the median best values within the limit as Markdown."""
    rows = []
    for name, (function, dimensions) in PROBLEMS.items():
        cells = []
        for method in METHODS.values():
            runs = [method(function, dimensions, seed) for seed in range(SEEDS)]
            best = [np.minimum.accumulate([value if excess <= 0 else np.inf for value, excess in run]) for run in runs]
            medians = np.median(best, axis=0)
            outside = np.mean([sum(excess > 0 for _, excess in run[LOOKS[0] :]) for run in runs])
            cells.append(" / ".join(f"{medians[look - 1]:.4g}" for look in LOOKS) + f" ({outside:.0f})")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    head = [f"| problem | {' | '.join(METHODS)} |", "| --- |" + " --- |" * len(METHODS)]
    return "\n".join(
        [
            f"Median best value within the limit after {' / '.join(map(str, LOOKS))} trials, {SEEDS} seeds; in "
            f"brackets how many of the last {TRIALS - LOOKS[0]} trials break it:",
            "",
            *head,
            *rows,
            "",
        ]
    )
