"""The engine `skopt`: its suggestions, what it learns, and that the same calls give the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skopt.benchmarks import branin

from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.search.engine import new_engine, replay
from kfp_bayesopt.study.study import Study
from tests import builders
from tests.builders import BRANIN_SPACE, MIXED, X, a_record, check_mixed


def a_study(optimizer: dict[str, Any] | None = None, **changes: Any) -> Study:
    """Return a study with this engine."""
    return builders.a_study(optimizer={"engine": "skopt", **(optimizer or {"random_state": 1})}, **changes)


def value_of(parameters: dict[str, Any]) -> float:
    """Return some value that depends on every parameter."""
    if "x1" in parameters:
        return float(branin([parameters["x1"], parameters["x2"]]))
    return sum(len(str(value)) for value in parameters.values()) + float(parameters.get("drop", 0.0))


def run(study: Study, iterations: int, failing: tuple[int, ...] = ()) -> tuple[Any, list[Record]]:
    """Run a study without steps; return the engine that has learnt it and its ledger."""
    engine = new_engine(study)
    ledger: list[Record] = []
    for iteration in range(1, iterations + 1):
        records: list[Record] = []
        for parameters in engine.suggest(study.parallel_trials):
            trial = len(ledger) + len(records) + 1
            value = None if trial in failing else value_of(parameters)
            records.append(a_record(study, trial, value, iteration=iteration, parameters=parameters))
        engine.learn(records)
        ledger += records
    return engine, ledger


def test_the_loop_of_the_seed_ends_at_its_value() -> None:
    _, ledger = run(a_study(parallel_trials=4), 4)
    values = [record.value for record in ledger if record.value is not None]
    assert min(values) == pytest.approx(0.8080, abs=1e-3)


def test_suggestions_lie_in_the_space_and_have_plain_types() -> None:
    study = a_study(space=MIXED, optimizer={"n_initial_points": 4, "random_state": 3}, parallel_trials=4)
    _, ledger = run(study, 2)
    for record in ledger:
        assert record.parameters is not None
        check_mixed(record.parameters)


@pytest.mark.parametrize("points", ["random", "sobol", "halton", "hammersly", "lhs"])
def test_the_bounds_of_every_kind_are_kept_over_many_suggestions(points: str) -> None:
    space = {
        **MIXED,
        "tiny": {"type": "real", "low": 3e-7, "high": 7e3, "log": True},
        "odd": {"type": "integer", "low": 3, "high": 7, "log": True},
    }
    study = a_study(space=space, optimizer={"n_initial_points": 64, "initial_point_generator": points})
    for parameters in new_engine(study).suggest(64):
        assert 3e-7 <= parameters["tiny"] <= 7e3  # type: ignore[operator]
        assert 3 <= parameters["odd"] <= 7  # type: ignore[operator]
        assert 1 <= parameters["units"] <= 4096  # type: ignore[operator]


SOON = {"n_initial_points": 2}
CASES = {
    "a trial failed": (a_study(optimizer=SOON), (2, 4)),
    "mixed": (a_study(space=MIXED, optimizer={**SOON, "acq_func": "EI"}, direction="maximize"), ()),
    "first batch failed": (a_study(optimizer={"n_initial_points": 6, "initial_point_generator": "sobol"}), (1, 2)),
    "all failed": (a_study(optimizer=SOON), (1, 2, 3, 4)),
    "forest": (a_study(optimizer={**SOON, "base_estimator": "RF", "acq_func": "EI"}), ()),
}


@pytest.mark.parametrize("case", CASES)
def test_an_engine_made_from_the_ledger_suggests_the_same(case: str) -> None:
    study, failing = CASES[case]
    engine, ledger = run(study, 2, failing)
    assert replay(study, ledger).suggest(1) == engine.suggest(1)


@pytest.mark.parametrize("points", ["random", "sobol", "halton", "hammersly", "lhs"])
def test_trials_that_failed_are_not_proposed_again(points: str) -> None:
    study = a_study(optimizer={"initial_point_generator": points})
    _, ledger = run(study, 5, failing=(1, 2, 3, 4))
    assert len({tuple((record.parameters or {}).values()) for record in ledger}) == 10


def test_a_failed_trial_counts_as_bad_as_the_worst_one() -> None:
    study = a_study(optimizer={"n_initial_points": 2})
    engine = new_engine(study)
    points = [*engine.suggest(2), *engine.suggest(2)]
    engine.learn([a_record(study, trial, None, parameters=point) for trial, point in enumerate(points[:2], 1)])
    assert engine._optimizer.yi == []  # type: ignore[attr-defined]
    engine.learn([a_record(study, 3, 5.0, parameters=points[2]), a_record(study, 4, 7.0, parameters=points[3])])
    assert engine._optimizer.yi == [5.0, 7.0, 7.0, 7.0]  # type: ignore[attr-defined]


def test_a_maximised_study_learns_the_negative() -> None:
    study = a_study(direction="maximize")
    engine, ledger = run(study, 1)
    assert engine._optimizer.yi == [-(record.value or 0) for record in ledger]


@pytest.mark.parametrize("value", [1e308, -1e308])
def test_a_huge_value_does_not_end_the_study(value: float) -> None:
    study = a_study(optimizer={"n_initial_points": 2})
    engine = new_engine(study)
    engine.learn(
        [
            a_record(study, trial, v, parameters=point)
            for (trial, v), point in zip([(1, value), (2, 1.0)], engine.suggest(2), strict=True)
        ]
    )
    assert all(np.isfinite(list(map(float, point.values()))).all() for point in engine.suggest(2))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "space",
    [
        {"x": {"type": "categorical", "choices": ["only"]}},
        {"x": {"type": "categorical", "choices": [True, False]}},
        {"x": {"type": "categorical", "choices": ["only"]}, "y": X},
        {
            "n": {"type": "integer", "low": 1, "high": 2, "log": True},
            "k": {"type": "categorical", "choices": ["a", 1]},
        },
    ],
    ids=["constant", "boolean", "constant and real", "small"],
)
def test_a_space_smaller_than_the_budget_is_searched_to_the_end(space: dict[str, Any]) -> None:
    study = a_study(space=space, optimizer={"n_initial_points": 2})
    _, ledger = run(study, 3)
    assert len(ledger) == 6


def test_a_batch_of_one_and_a_batch_beyond_the_first_points_are_proposed() -> None:
    assert len(new_engine(a_study()).suggest(1)) == 1
    points = new_engine(a_study(optimizer={"n_initial_points": 2})).suggest(5)
    assert len({tuple(point.values()) for point in points}) == 5


def test_another_random_state_gives_other_suggestions() -> None:
    first, second = (new_engine(a_study(optimizer={"random_state": seed})).suggest(2) for seed in (1, 2))
    assert first != second


def test_the_order_of_parameters_in_the_file_changes_nothing() -> None:
    """Studies that differ in it have the same fingerprint, so that they share state and ledger."""
    study, turned = a_study(), a_study(space=dict(reversed(BRANIN_SPACE.items())))
    assert study.fingerprint == turned.fingerprint
    assert new_engine(study).suggest(2) == new_engine(turned).suggest(2)
