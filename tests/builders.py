"""Studies, suggestions and records with defaults, so that a test says only what matters to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Reason, Record, Seen, Suggestion, digest_of
from kfp_bayesopt.search.engine import Engine
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.study import Study

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
RICH: dict[str, Any] = {
    "rate": {"type": "real", "low": 0.1, "high": 0.9, "step": 0.1},
    "decay": {"type": "real", "low": 0.001, "high": 0.1, "step": 0.001, "log": True},
    "momentum": {"type": "real", "low": 0.5, "high": 0.999, "scale": "reverse_log"},
    "keep": {"type": "real", "low": 0.01, "high": 0.99, "scale": "logit"},
    "width": {"type": "integer", "low": 32, "high": 1024, "step": 32, "log": True},
    "batch": {"type": "ordinal", "values": [8, 32, 256]},
    "size": {"type": "ordinal", "values": ["small", "large", "huge"]},
    "shape": {"type": "categorical", "choices": [[64, 32], {"cells": 8}, "flat"]},
    "epochs": {"type": "constant", "value": 3},
}
"""What `MIXED` has not: steps and scales of reals, orders, lists and mappings, constants."""


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
    return json.dumps(study_data(**changes), ensure_ascii=False).encode()


def a_study(**changes: Any) -> Study:
    """Return a checked study."""
    return Study.from_text(study_text(**changes))


def several(objectives: dict[str, str] | None = None, **changes: Any) -> Study:
    """Return a checked study of several objectives: by default accuracy and latency."""
    both = {"accuracy": "maximize", "latency": "minimize"}
    asked = {"objective": {"python": "mine:objective"}, "optimizer": {"engine": "gp"}, "objectives": objectives or both}
    return a_study(**{**asked, **changes})


def write_study(folder: Path, code: str = "", **changes: Any) -> Path:
    """Write a study file, and beside it the module `mine` that its objective comes from where code is given."""
    folder.mkdir(parents=True, exist_ok=True)
    if code:
        (folder / "mine.py").write_text(code)
        changes = {"objective": {"python": "mine:objective"}, **changes}
    path = folder / "study.yaml"
    path.write_bytes(study_text(**changes))
    return path


def a_suggestion(study: Study, trial: int = 1, parameters: Parameters | None = None, **changes: Any) -> Suggestion:
    """Return the suggestion of a trial, proposed alone from records that are not asked for."""
    return Suggestion(
        **{
            "study": study.name,
            "fingerprint": study.fingerprint,
            "trial": trial,
            "iteration": 1,
            "parameters": parameters or {"x1": 1.0, "x2": 2.0},
            "seen": Seen(highest=0, ledger=digest_of([])),
            "optimizer": {},
            "versions": {},
            **changes,
        }
    )


def a_batch(
    study: Study, parameters: Sequence[Parameters], iteration: int = 1, first: int = 1, ledger: Sequence[Record] = ()
) -> list[Suggestion]:
    """Return the suggestions of a batch with these parameters, numbered from `first`, proposed from a ledger."""
    return [
        a_suggestion(
            study,
            trial,
            each,
            iteration=iteration,
            seen=Seen(highest=len(ledger), unknown=list(range(first, trial)), ledger=digest_of(ledger)),
        )
        for trial, each in enumerate(parameters, first)
    ]


def a_record(study: Study, trial: int = 1, value: float | None = 0.5, **changes: Any) -> Record:
    """Return the record of a completed trial, or of one whose objective raised where the value is None."""
    failed = value is None
    return Record(
        **{
            "study": study.name,
            "fingerprint": study.fingerprint,
            "iteration": 1,
            "trial": trial,
            "parameters": {"x1": 1.0, "x2": 2.0},
            "state": "failed" if failed else "completed",
            "values": {} if failed else {"value": value},
            "reason": Reason(kind="raised", message="ValueError: no") if failed else None,
            "started": "2026-01-01T00:00:00.000+00:00",
            "seconds": 0.1,
            "machine": "here",
            **changes,
        }
    )


def records_of(study: Study, batch: Sequence[Suggestion], values: Sequence[float | None]) -> list[Record]:
    """Return the records of suggestions with these values; None is a failed trial."""
    return [
        a_record(study, suggestion.trial, value, iteration=suggestion.iteration, parameters=suggestion.parameters)
        for suggestion, value in zip(batch, values, strict=True)
    ]


def write_folder(
    root: Path | str, study: Study, suggestions: Sequence[Suggestion] = (), records: Sequence[Record] = ()
) -> StudyFolder:
    """Write suggestions and records into a study folder, and return it."""
    folder = StudyFolder(str(root), study)
    folder.write_suggestions(suggestions)
    for record in records:
        folder.write_record(record)
    return folder


def learn_batch(study: Study, engine: Engine, ledger: list[Record], *, failed: bool = False) -> list[Record]:
    """Return a ledger with two more trials, which the engine has proposed and learnt."""
    batch = [
        a_record(study, trial, None if failed else 9.0 - trial, iteration=(trial + 1) // 2, parameters=parameters)
        for trial, parameters in enumerate(engine.suggest(2), len(ledger) + 1)
    ]
    engine.learn(batch)
    return [*ledger, *batch]
