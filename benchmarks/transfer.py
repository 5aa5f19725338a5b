"""The trials that trials of another study save: six families of related functions, and four unrelated pairs.

All ten were used to choose the weighting of other studies.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.engine_runs import Point, run_study, study_of
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.space.earlier import Earlier
from kfp_bayesopt.study.study import Study

TRIALS = 40
LOOKS = (12, 24, 40)
SEEDS = 8
Function = Callable[[Point], float]

_A = np.array([[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]])
_P = 1e-4 * np.array([[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]])


def _hartmann(shift: float = 0.0, scale: float = 1.0) -> Function:
    weights = np.array([1, 1.2, 3, 3.2])
    return lambda x: -scale * float(weights @ np.exp(-(_A * (np.array(x) - shift - _P) ** 2).sum(1)))


def _bowl(centre: float, weights: list[float]) -> Function:
    return lambda x: float((np.array(weights) * (np.array(x) - centre) ** 2).sum())


def _branin(shift: float = 0.0, scale: float = 1.0) -> Function:
    def value(x: Point) -> float:
        a, b = 15 * (x[0] + shift) - 5, 15 * (x[1] - shift)
        bent = scale * b - 5.1 / (4 * np.pi**2) * a**2 + 5 / np.pi * a - 6
        return float(bent**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(a) + 10)

    return value


def _rosenbrock(steepness: float) -> Function:
    def value(x: Point) -> float:
        z = 4 * np.array(x) - 2
        return float(np.log1p((steepness * (z[1:] - z[:-1] ** 2) ** 2 + (1 - z[:-1]) ** 2).sum()))

    return value


def _ackley(centre: float) -> Function:
    def value(x: Point) -> float:
        z = (np.array(x) - centre) * 10
        return float(-20 * np.exp(-0.2 * np.sqrt((z**2).mean())) - np.exp(np.cos(2 * np.pi * z).mean()) + 20 + np.e)

    return value


_SIX = [1, 5, 0.1, 2, 1, 0.5]
FAMILIES: dict[str, tuple[Function, Function, int]] = {
    "Hartmann, shifted and scaled": (_hartmann(), _hartmann(0.05, 10), 3),
    "bowl, other weights and centre": (_bowl(0.3, _SIX), _bowl(0.35, [2, 4, 0.2, 2, 1, 0.5]), 6),
    "Branin, shifted": (_branin(), _branin(0.04, 1.1), 2),
    "Rosenbrock, less steep": (_rosenbrock(100), _rosenbrock(60), 4),
    "Ackley, shifted": (_ackley(0.4), _ackley(0.44), 5),
    "bowl, exponential": (_bowl(0.7, [3, 1, 1, 1]), lambda x: float(np.exp(_bowl(0.65, [2, 1, 1, 1])(x))), 4),
    "unrelated: Hartmann from a bowl": (_hartmann(), _bowl(0.9, [1, 1, 1]), 3),
    "unrelated: a bowl from its opposite": (_bowl(0.3, _SIX), lambda x: -_bowl(0.3, _SIX)(x), 6),
    "unrelated: Branin from a wave": (_branin(), lambda x: float(np.sin(9 * x[0] + 4 * x[1])), 2),
    "unrelated: Ackley from Rosenbrock": (_ackley(0.4), _rosenbrock(100), 5),
}
"""The function to search, that of the other study, and the number of parameters."""


def _run(study: Study, function: Function) -> list[Record]:
    return run_study(study, lambda point: {"value": function(point)}, TRIALS)


def _best(study: Study, function: Function) -> list[float]:
    """Return the best value after each trial."""
    return list(np.minimum.accumulate([record.values["value"] for record in _run(study, function)]))


def measure() -> str:
    """Return the number of trials with another study that match the best value without one, as Markdown."""
    rows = []
    for name, (function, other, dimensions) in FAMILIES.items():
        cold, warm = [], []
        for seed in range(SEEDS):
            ledger = _run(study_of(dimensions, "gp", 100 + seed), other)
            study = study_of(dimensions, "gp", seed)
            earlier = [
                Earlier(origin="other", same=False, parameters=each.parameters, values=each.values) for each in ledger
            ]
            cold.append(_best(study, function))
            warm.append(_best(study.with_earlier(tuple(earlier)), function))
        without, with_it = np.median(cold, axis=0), np.median(warm, axis=0)
        cells = [
            str(next((trial for trial, value in enumerate(with_it, 1) if value <= without[look - 1]), "more"))
            for look in LOOKS
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    head = [f"| family | {' | '.join(map(str, LOOKS))} |", "| --- |" + " --- |" * len(LOOKS)]
    return "\n".join(
        [
            f"Trials, with {TRIALS} of another study, until the median value is as good as without it after "
            f"{', '.join(map(str, LOOKS))} trials; {SEEDS} seeds:",
            "",
            *head,
            *rows,
            "",
        ]
    )
