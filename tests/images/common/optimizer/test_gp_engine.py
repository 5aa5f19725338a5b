"""The engine `gp`: what it proposes, and that nothing a study may hold confuses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import dill
import numpy as np
import pytest

from bayesopt.study import Parameters, Study
from bayesopt.trials import Record
from objectives.branin import branin
from optimizer.engine import new_engine, replay
from tests.builders import a_record, a_study

Value = Callable[[Parameters], float | None]

MIXED: dict[str, Any] = {
    "rate": {"type": "real", "low": 1e-4, "high": 1.0, "log": True},
    "width": {"type": "integer", "low": 1, "high": 1000, "log": True},
    "step": {"type": "integer", "low": 0, "high": 100, "step": 10},
    "kind": {"type": "categorical", "choices": ["a", 1, True, None, 1.0]},
    "fixed": {"type": "categorical", "choices": ["only"]},
}


def _study(**changes: Any) -> Study:
    return a_study(**{"optimizer": {"engine": "gp"}, "iterations": 8, "parallel_trials": 4, **changes})


def _run(study: Study, value: Value, iterations: int | None = None) -> list[Record]:
    """Run a study with an objective of its parameters; None is a failed trial."""
    engine = new_engine(study)
    ledger: list[Record] = []
    for iteration in range(1, (iterations or study.iterations) + 1):
        batch = [
            a_record(study, len(ledger) + number, value(parameters), iteration=iteration, parameters=parameters)
            for number, parameters in enumerate(engine.suggest(study.parallel_trials), 1)
        ]
        engine.learn(batch)
        ledger += batch
    return ledger


def _branin(parameters: Parameters) -> float:
    return branin(**parameters)  # type: ignore[arg-type]


def _mixed(parameters: Parameters) -> float:
    rate, width, step, kind = (parameters[name] for name in ("rate", "width", "step", "kind"))
    assert isinstance(rate, float)
    assert isinstance(width, int)
    assert isinstance(step, int)
    return float((np.log10(rate) + 2) ** 2 + (np.log(width) - 3) ** 2 + ((step - 40) / 30) ** 2 + (kind is not None))


def _best(ledger: list[Record]) -> float:
    return min(record.value for record in ledger if record.value is not None)


def test_it_is_the_engine_of_a_study_that_names_none() -> None:
    assert a_study(optimizer=None).optimizer.engine == "gp"
    assert a_study(optimizer={"random_state": 3}).optimizer.model_dump()["random_state"] == 3


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_minimum_of_branin_in_32_trials(seed: int) -> None:
    study = _study(optimizer={"engine": "gp", "random_state": seed})
    assert _best(_run(study, _branin)) < 0.397887 + 0.05


def test_it_finds_the_best_of_a_mixed_space() -> None:
    assert _best(_run(_study(space=MIXED), _mixed)) < 0.2


def test_maximising_is_minimising_the_negative() -> None:
    low = _run(_study(), _branin, iterations=4)
    high = _run(_study(direction="maximize"), lambda parameters: -_branin(parameters), iterations=4)
    assert [record.parameters for record in low] == [record.parameters for record in high]


@pytest.mark.parametrize("space", [None, MIXED])
def test_a_replay_of_the_ledger_proposes_the_same_as_the_engine_and_its_dill(space: Any) -> None:
    changes = {"space": space} if space else {}
    study = _study(**changes)
    engine = new_engine(study)
    ledger: list[Record] = []
    for iteration in range(1, 5):
        batch = [
            a_record(study, len(ledger) + n, float(n) if n % 3 else None, iteration=iteration, parameters=parameters)
            for n, parameters in enumerate(engine.suggest(4), 1)
        ]
        engine.learn(batch)
        ledger += batch
    expected = json.dumps(engine.suggest(4))
    assert json.dumps(replay(study, ledger).suggest(4)) == expected
    assert json.dumps(dill.loads(dill.dumps(engine)).suggest(4)) == expected


def test_the_order_of_parameters_in_the_file_changes_nothing_but_their_order() -> None:
    turned = dict(reversed(MIXED.items()))
    one, other = (_run(_study(space=space), _mixed, iterations=4) for space in (MIXED, turned))
    assert [record.parameters for record in one] == [record.parameters for record in other]
    assert list(other[0].parameters or {}) == list(turned)


def test_no_trial_is_proposed_twice_until_the_space_is_exhausted() -> None:
    space = {
        "a": {"type": "integer", "low": 0, "high": 3},
        "b": {"type": "categorical", "choices": ["x", "y", "z"]},
    }
    ledger = _run(_study(space=space, iterations=4), lambda parameters: float(str(parameters["a"])))
    seen = [json.dumps(record.parameters) for record in ledger]
    assert len(set(seen[:12])) == 12
    assert len(set(seen)) == 12


@pytest.mark.parametrize(
    "value",
    [
        lambda _: 1.0,
        lambda _: None,
        lambda p: None if p["x1"] > 0 else float(p["x1"]),
        lambda p: 1e300 * float(p["x1"]),
        lambda p: 1e-300 * float(p["x1"]),
        lambda p: 1e308 if p["x1"] > 0 else -1e308,
    ],
    ids=["all equal", "all failed", "half failed", "huge", "tiny", "huge jumps"],
)
def test_values_of_any_kind_are_coped_with(value: Value) -> None:
    ledger = _run(_study(), value, iterations=5)
    assert len({json.dumps(record.parameters) for record in ledger}) == 20


def test_failed_trials_are_kept_away_from() -> None:
    def value(parameters: Parameters) -> float | None:
        return None if float(str(parameters["x1"])) > 2 else _branin(parameters)

    later = _run(_study(iterations=10), value)[20:]
    assert sum(record.state == "failed" for record in later) <= len(later) // 4


@pytest.mark.parametrize(
    "space",
    [
        {"only": {"type": "categorical", "choices": ["x"]}},
        {f"x{number}": {"type": "real", "low": 0.0, "high": 1.0} for number in range(50)},
        {"many": {"type": "categorical", "choices": list(range(200))}},
        {"wide": {"type": "integer", "low": -(10**9), "high": 10**9}},
    ],
    ids=["one point", "50 parameters", "200 choices", "wide integer"],
)
def test_spaces_of_any_shape_are_coped_with(space: dict[str, Any]) -> None:
    ledger = _run(
        _study(space=space), lambda parameters: float(str(parameters.get("x0", parameters.get("many", 1.0)))), 4
    )
    assert len(ledger) == 16


def test_the_state_stays_small() -> None:
    study = _study(space={f"x{number}": {"type": "real", "low": 0.0, "high": 1.0} for number in range(6)})
    engine = new_engine(study)
    rng = np.random.default_rng(0)
    engine.learn(
        [
            a_record(study, number, float(number), parameters={f"x{n}": float(rng.random()) for n in range(6)})
            for number in range(1, 401)
        ]
    )
    assert len(dill.dumps(engine)) < 100_000
