"""The time of one proposal as the ledger grows: the engine `gp`, scikit-optimize and Optuna's GPSampler."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.peers import a_study, records_of
from benchmarks.problems import PROBLEMS
from benchmarks.ranks import NAMES as TITLES
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.search.engine import new_engine
from kfp_bayesopt.space.parameters import Parameters

# Trials in the ledger and size of the batch. A method that takes minutes is not tried with more.
SIZES = {
    "gp": ((50, 8), (100, 8), (200, 8), (400, 8), (1000, 16), (2000, 32)),
    "optuna-gp": ((50, 8), (100, 8), (200, 8), (400, 8), (1000, 16)),
    "skopt": ((50, 8), (100, 8), (200, 8), (400, 8)),
}
NAMES = {name: TITLES[name] for name in SIZES}
ENGINES: dict[str, dict[str, Any]] = {
    "gp": {"engine": "gp"},
    "optuna-gp": {"engine": "optuna", "sampler": "gp"},
    "skopt": {"engine": "skopt"},
}
HARTMANN = next(problem for problem in PROBLEMS if problem.name == "hartmann 6")
PLOT = Path(__file__).parent.parent / "docs" / "performance" / "speed.png"


def measure() -> str:
    """Return the figures as Markdown, and draw the curves."""
    seconds = {(name, *size): _seconds(name, *size) for name in NAMES for size in SIZES[name]}
    plot(seconds)
    lines = [
        "Learning a ledger of Hartmann 6 and proposing the next batch, seconds of processor time on one core, and "
        "how many times as long as `gp`:",
        "",
        f"| trials | batch | {' | '.join(NAMES.values())} |",
        "| --- | --- |" + " --- |" * len(NAMES),
    ]
    for size in SIZES["gp"]:
        ours = seconds["gp", *size]
        cells = [_cell(seconds.get((name, *size)), ours, name) for name in NAMES]
        lines.append(f"| {size[0]} | {size[1]} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "![Seconds of a proposal](performance/speed.png)", ""])


def _cell(seconds: float | None, ours: float, name: str) -> str:
    if seconds is None:
        return "not tried"
    return f"{seconds:.2f}" if name == "gp" else f"{seconds:.2f} ({seconds / ours:.1f})"


def _seconds(name: str, trials: int, batch: int) -> float:
    study = a_study(HARTMANN, batch, ENGINES[name])
    points = np.random.default_rng(0).random((trials, len(study.space)))
    parameters: list[Parameters] = [dict(zip(study.space, map(float, point), strict=True)) for point in points]
    records = records_of(study, parameters, [HARTMANN.function(**point) for point in parameters])
    with threadpool_limits(1):
        _proposal(new_engine(study), records[:50], 8)  # what happens once in a process is not counted
        engine = new_engine(study)
        began = time.process_time()
        _proposal(engine, records, batch)
        return time.process_time() - began


def _proposal(engine: Any, records: list[Record], batch: int) -> None:
    engine.learn(records)
    engine.suggest(batch)


def plot(seconds: dict[tuple[str, int, int], float]) -> None:
    """Draw a curve for each engine."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6, 3.8))
    for name, title in NAMES.items():
        curve = [(trials, value) for (method, trials, _), value in seconds.items() if method == name]
        axis.plot(*zip(*curve, strict=True), marker="o", label=title.replace("`", ""))
    axis.set(xscale="log", yscale="log", xlabel="trials in the ledger", ylabel="seconds")
    axis.set_xticks([50, 100, 200, 400, 1000, 2000], labels=["50", "100", "200", "400", "1,000", "2,000"])
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    axis.legend()
    figure.tight_layout()
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=120)
