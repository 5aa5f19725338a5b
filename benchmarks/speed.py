"""How long one proposal takes the engine `gp` as the ledger grows, against scikit-optimize on a small ledger."""

from __future__ import annotations

import time

import numpy as np

from bayesopt.study import Study
from bayesopt.trials import Record
from optimizer.engine import new_engine

SIZES = ((100, 8), (400, 8), (1000, 16), (2000, 32))


def measure() -> str:
    """Return the figures as Markdown."""
    baseline = _seconds("skopt", 100, 8)
    rows = [f"| skopt | 100 | 8 | {baseline:.1f} s | 1 |"]
    for trials, batch in SIZES:
        seconds = _seconds("gp", trials, batch)
        rows.append(f"| gp | {trials} | {batch} | {seconds:.1f} s | {seconds / baseline:.2f} |")
    return (
        "Learning the last batch and proposing the next one, 6 parameters, one thread:\n\n"
        "| engine | trials | batch | wall time | ratio to the first |\n| --- | --- | --- | --- | --- |\n"
        + "\n".join(rows)
        + "\n"
    )


def _seconds(engine: str, trials: int, batch: int) -> float:
    names = [f"x{number}" for number in range(6)]
    study = Study.model_validate(
        {
            "name": "speed",
            "objective": {"python": "benchmarks:problem"},
            "iterations": 100,
            "parallel_trials": batch,
            "space": {name: {"type": "real", "low": 0.0, "high": 1.0} for name in names},
            "optimizer": {"engine": engine},
        }
    )
    points = np.random.default_rng(0).random((trials, 6))
    records = [
        Record(
            study=study.name, fingerprint=study.fingerprint, iteration=1, trial=number, state="completed",
            parameters=dict(zip(names, point.tolist(), strict=True)), value=float(((point - 0.3) ** 2).sum()),
            started="2026-01-01T00:00:00+00:00", seconds=0.0, host="here",
        )
        for number, point in enumerate(points, 1)
    ]  # fmt: skip
    proposer = new_engine(study)
    began = time.perf_counter()
    proposer.learn(records)
    proposer.suggest(batch)
    return time.perf_counter() - began
