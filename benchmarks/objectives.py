"""Compares the hypervolume that optimisers of several objectives have found: ZDT, DTLZ and three others.

Zitzler, Deb and Thiele 2000; Deb et al. 2005; Belakaria, Deshwal and Doppa 2019 (Branin and Currin); Kursawe 1991. The
scale of the engine's directions was chosen on these problems. The budget: half an hour, with the fast methods.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.engine_runs import BATCH, Point, run_study, study_of
from kfp_bayesopt.space.front import hypervolume

TRIALS = 48
LOOKS = (16, 32, 48)
SEEDS = 10
Values = tuple[float, ...]


@dataclass(frozen=True)
class Problem:
    """Objectives to minimise together, of numbers from 0 to 1.

    Attributes:
        name: Its name.
        function: Returns the objectives.
        dimensions: The number of parameters.
        reference: Reference of the hypervolume; the optimisers do not know it.
    """

    name: str
    function: Callable[[Point], Values]
    dimensions: int
    reference: Values


def _zdt(kind: int) -> Callable[[Point], Values]:
    def objectives(point: Point) -> Values:
        first, g = point[0], 1 + 9 * sum(point[1:]) / (len(point) - 1)
        share = first / g
        shape = 1 - share**2 if kind == 2 else 1 - share**0.5
        if kind == 3:
            shape -= share * float(np.sin(10 * np.pi * first))
        return first, g * shape

    return objectives


def _dtlz2(count: int) -> Callable[[Point], Values]:
    def objectives(point: Point) -> Values:
        angles = np.array(point[: count - 1]) * np.pi / 2
        radius = 1 + float(((np.array(point[count - 1 :]) - 0.5) ** 2).sum())
        return tuple(
            radius * float(np.prod(np.cos(angles[: count - 1 - i])) * (np.sin(angles[count - 1 - i]) if i else 1.0))
            for i in range(count)
        )

    return objectives


def _branin_currin(point: Point) -> Values:
    x, y = point
    a, b = 15 * x - 5, 15 * y
    branin = (b - 5.1 / (4 * np.pi**2) * a**2 + 5 / np.pi * a - 6) ** 2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(a) + 10
    factor = 1 - (np.exp(-1 / (2 * y)) if y > 0 else 0.0)
    currin = factor * (2300 * x**3 + 1900 * x**2 + 2092 * x + 60) / (100 * x**3 + 500 * x**2 + 4 * x + 20)
    return float(branin), float(currin)


def _kursawe(point: Point) -> Values:
    x = np.array(point) * 10 - 5
    first = float((-10 * np.exp(-0.2 * np.hypot(x[:-1], x[1:]))).sum())
    return first, float((np.abs(x) ** 0.8 + 5 * np.sin(x**3)).sum())


PROBLEMS = (
    Problem("ZDT1, 6 parameters", _zdt(1), 6, (1.1, 1.1)),
    Problem("ZDT2, 6", _zdt(2), 6, (1.1, 1.1)),
    Problem("ZDT3, 4", _zdt(3), 4, (1.1, 1.1)),
    Problem("DTLZ2, 4", _dtlz2(2), 4, (1.1, 1.1)),
    Problem("DTLZ2, 5, three objectives", _dtlz2(3), 5, (1.1, 1.1, 1.1)),
    Problem("Branin-Currin, 2", _branin_currin, 2, (18.0, 6.0)),
    Problem("Kursawe, 3", _kursawe, 3, (-7.0, 5.0)),
)


def _ours(engine: str) -> Callable[[Problem, int], list[Values]]:
    def run(problem: Problem, seed: int) -> list[Values]:
        names = [f"f{number}" for number in range(len(problem.reference))]
        study = study_of(problem.dimensions, engine, seed, objectives=dict.fromkeys(names, "minimize"))
        ledger = run_study(study, lambda point: dict(zip(names, problem.function(point), strict=True)), TRIALS)
        return [tuple(record.values[name] for name in names) for record in ledger]

    return run


def _optuna(sampler: str) -> Callable[[Problem, int], list[Values]]:
    def run(problem: Problem, seed: int) -> list[Values]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        samplers: dict[str, Callable[[], Any]] = {
            "tpe": lambda: optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True),
            "nsga": lambda: optuna.samplers.NSGAIISampler(seed=seed, population_size=16),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = optuna.create_study(directions=["minimize"] * len(problem.reference), sampler=samplers[sampler]())
            found: list[Values] = []
            while len(found) < TRIALS:
                batch = [study.ask() for _ in range(BATCH)]
                points = [[t.suggest_float(f"x{i}", 0, 1) for i in range(problem.dimensions)] for t in batch]
                for trial, point in zip(batch, points, strict=True):
                    found.append(problem.function(point))
                    study.tell(trial, found[-1])
        return found

    return run


METHODS = {
    "`gp`, ours": _ours("gp"),
    "Optuna TPE": _optuna("tpe"),
    "Optuna NSGA-II": _optuna("nsga"),
    "random": _ours("random"),
}


def measure() -> str:
    """Return the mean volumes as Markdown."""
    seconds = dict.fromkeys(METHODS, 0.0)
    rows = []
    for problem in PROBLEMS:
        cells = []
        for name, method in METHODS.items():
            volumes = []
            for seed in range(SEEDS):
                began = time.process_time()
                found = method(problem, seed)
                seconds[name] += time.process_time() - began
                volumes.append([hypervolume(found[:look], problem.reference) for look in LOOKS])
            cells.append(" / ".join(f"{volume:.3g}" for volume in np.mean(volumes, axis=0)))
        rows.append(f"| {problem.name} | {' | '.join(cells)} |")
    a_run = [f"{each / SEEDS / len(PROBLEMS):.1f}" for each in seconds.values()]
    head = [f"| problem | {' | '.join(METHODS)} |", "| --- |" + " --- |" * len(METHODS)]
    tail = f"| seconds a run | {' | '.join(a_run)} |"
    return "\n".join(
        [f"Mean volume after {' / '.join(map(str, LOOKS))} trials, {SEEDS} seeds:", "", *head, *rows, tail, ""]
    )
