"""Studies, suggestions and records with defaults, so that a test says only what matters to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bayesopt.space import Parameters
from bayesopt.study import Study
from bayesopt.study_file import parse_study
from bayesopt.trials import Batch, Record, Suggestion
from optimizer.engine import Engine

X = {"type": "real", "low": -5.0, "high": 10.0}
BRANIN_SPACE: dict[str, Any] = {"x1": X, "x2": {"type": "real", "low": 0.0, "high": 15.0}}
MIXED: dict[str, Any] = {
    "width": {"type": "integer", "low": 10, "high": 100, "step": 15},
    "depth": {"type": "integer", "low": 1, "high": 9},
    "units": {"type": "integer", "low": 1, "high": 4096, "log": True},
    "rate": {"type": "real", "low": 1e-5, "high": 1e-1, "log": True},
    "drop": {"type": "real", "low": 0.0, "high": 0.5},
    "kind": {"type": "categorical", "choices": [1, 1.0, True, "1", None, "rbf"]},
}


def check_mixed(point: Parameters) -> None:
    """Check that a point lies in `MIXED`, in the order of its parameters, with plain types."""
    width, depth, units, rate, drop, kind = point.values()
    assert list(point) == list(MIXED)
    assert type(width) is int
    assert width in range(10, 101, 15)
    assert type(depth) is int
    assert depth in range(1, 10)
    assert type(units) is int
    assert units in range(1, 4097)
    assert type(rate) is float
    assert 1e-5 <= rate <= 1e-1
    assert type(drop) is float
    assert 0 <= drop <= 0.5
    assert any(type(kind) is type(choice) and kind == choice for choice in (1, 1.0, True, "1", None, "rbf"))


def study_data(**changes: Any) -> dict[str, Any]:
    """Return the content of a good study file, 2 x 2 trials of Branin; a change to None leaves a key out."""
    data = {
        "name": "branin",
        "objective": {"python": "objectives.branin:branin"},
        "iterations": 2,
        "parallel_trials": 2,
        "space": BRANIN_SPACE,
        "optimizer": {"engine": "skopt", "random_state": 1},
        **changes,
    }
    return {key: value for key, value in data.items() if value is not None}


def study_text(**changes: Any) -> bytes:
    """Return a study file; JSON is YAML too."""
    return json.dumps(study_data(**changes)).encode()


def a_study(**changes: Any) -> Study:
    """Return a checked study."""
    return parse_study(study_text(**changes))


def write_study(folder: Path, code: str = "", **changes: Any) -> Path:
    """Write a study file, and beside it the module `mine` that its objective comes from where code is given."""
    folder.mkdir(parents=True, exist_ok=True)
    if code:
        (folder / "mine.py").write_text(code)
        changes = {"objective": {"python": "mine:objective"}, **changes}
    path = folder / "study.yaml"
    path.write_bytes(study_text(**changes))
    return path


def a_batch(study: Study, parameters: Sequence[Parameters], iteration: int = 1, first: int = 1) -> Batch:
    """Return a batch that suggests these parameters, numbered from `first`."""
    suggestions = [Suggestion(trial=number, parameters=each) for number, each in enumerate(parameters, first)]
    return Batch(study=study.name, fingerprint=study.fingerprint, iteration=iteration, suggestions=suggestions)


def a_record(study: Study, trial: int | None = 1, value: float | None = 0.5, **changes: Any) -> Record:
    """Return the record of a completed trial, or of a failed one where the value is None."""
    return Record(
        **{
            "study": study.name,
            "fingerprint": study.fingerprint,
            "iteration": 1,
            "trial": trial,
            "parameters": {"x1": 1.0, "x2": 2.0},
            "state": "failed" if value is None else "completed",
            "value": value,
            "error": "ValueError: no" if value is None else None,
            "started": "2026-01-01T00:00:00.000+00:00",
            "seconds": 0.1,
            "host": "here",
            **changes,
        }
    )


def skipped(study: Study) -> Record:
    """Return the record of an index that the batch does not have."""
    return a_record(study, state="skipped", value=None, trial=None, parameters=None, error=None)


def records_of(study: Study, batch: Batch, values: Sequence[float | None]) -> list[Record]:
    """Return the records of a batch with these values; None is a failed trial."""
    return [
        a_record(study, suggestion.trial, value, iteration=batch.iteration, parameters=suggestion.parameters)
        for suggestion, value in zip(batch.suggestions, values, strict=True)
    ]


def learn_batch(study: Study, engine: Engine, ledger: list[Record], *, failed: bool = False) -> list[Record]:
    """Return a ledger with two more trials, which the engine has proposed and learnt."""
    batch = [
        a_record(study, trial, None if failed else 9.0 - trial, iteration=(trial + 1) // 2, parameters=parameters)
        for trial, parameters in enumerate(engine.suggest(2), len(ledger) + 1)
    ]
    engine.learn(batch)
    return [*ledger, *batch]
