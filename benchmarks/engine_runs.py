"""Runs an engine of this project on a study whose objective is a function of numbers from 0 to 1."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.search.engine import new_engine
from kfp_bayesopt.study.study import Study

Point = Sequence[float]
BATCH = 4


def study_of(dimensions: int, engine: str, seed: int, **changes: Any) -> Study:
    """Return a study of a number of parameters from 0 to 1."""
    data = {
        "name": "benchmark",
        "objective": {"python": "benchmarks:objective"},
        "trials": 1000,
        "parallel_trials": BATCH,
        "space": {f"x{number}": {"type": "real", "low": 0.0, "high": 1.0} for number in range(dimensions)},
        "optimizer": {"engine": engine, "random_state": seed},
    }
    return Study.from_text(json.dumps({**data, **changes}).encode())


def run_study(study: Study, values_of: Callable[[Point], Mapping[str, float]], trials: int) -> list[Record]:
    """Propose and evaluate batches, and return the records."""
    engine = new_engine(study)
    ledger: list[Record] = []
    while len(ledger) < trials:
        batch = [
            Record(
                study=study.name, fingerprint=study.fingerprint, iteration=len(ledger) // BATCH + 1, trial=number,
                parameters=point, state="completed", started="2026-01-01T00:00:00+00:00", seconds=0.0,
                values=dict(values_of([float(point[name]) for name in study.space])),  # type: ignore[arg-type]
            )
            for number, point in enumerate(engine.suggest(BATCH), len(ledger) + 1)
        ]  # fmt: skip
        engine.learn(batch)
        ledger += batch
    return ledger
