"""The engine `optuna`: that it learns, and what is said where the package is missing."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.search.engine import new_engine, replay
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.trial.process.examples.objectives.branin import branin
from tests.builders import MIXED, a_record, a_study, check_mixed


def run(iterations: int, **changes: Any) -> tuple[list[Record], list[Parameters]]:
    """Run a study of Branin; return its ledger and the suggestions after it, from the engine and from a replay."""
    study = a_study(**{"parallel_trials": 4, "iterations": 50, **changes})
    engine = new_engine(study)
    ledger: list[Record] = []
    for iteration in range(1, iterations + 1):
        records = [
            a_record(study, trial, None if trial % 5 == 0 else _value(point), iteration=iteration, parameters=point)
            for trial, point in enumerate(engine.suggest(4), len(ledger) + 1)
        ]
        engine.learn(records)
        ledger += records
    suggestions = engine.suggest(4)
    assert json.dumps(replay(study, ledger).suggest(4)) == json.dumps(suggestions)
    return ledger, suggestions


def _value(point: Parameters) -> float:
    return branin(**point) if "x1" in point else float(str(point["rate"]))  # type: ignore[arg-type]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_same_ledger_gives_the_same_suggestions(sampler: str) -> None:
    ledger, suggestions = run(5, optimizer={"engine": "optuna", "sampler": sampler})
    points = [*(record.parameters for record in ledger), *suggestions]
    assert len({json.dumps(point) for point in points}) == 24


def test_it_learns() -> None:
    ledger, _ = run(15, optimizer={"engine": "optuna"})
    best = [min(r.value for r in part if r.value is not None) for part in (ledger[:20], ledger[20:])]
    assert best[1] < min(best[0], 2.0)


def test_maximising_is_minimising_the_negative() -> None:
    study, other = (a_study(optimizer={"engine": "optuna"}, direction=d) for d in ("minimize", "maximize"))
    engines = [new_engine(study), new_engine(other)]
    for sign, engine in zip((1, -1), engines, strict=True):
        points = engine.suggest(12)
        engine.learn([a_record(study, t, sign * _value(p), parameters=p) for t, p in enumerate(points, 1)])
    assert engines[0].suggest(3) == engines[1].suggest(3)


def test_values_of_a_mixed_space_keep_their_types() -> None:
    ledger, _ = run(4, optimizer={"engine": "optuna"}, space=MIXED)
    for record in ledger:
        assert record.parameters is not None
        check_mixed(record.parameters)


def test_a_missing_package_is_named_with_the_way_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError) as error:
        new_engine(a_study(optimizer={"engine": "optuna"}))
    assert error.value.message == (
        "optimizer.engine: optuna needs packages that are not installed: `make .venv-cloud/installed` sets them up for "
        ".venv-cloud/bin/bayesopt"
    )
