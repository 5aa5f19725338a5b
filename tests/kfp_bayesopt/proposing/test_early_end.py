"""When a study ends before its budget is spent."""

from __future__ import annotations

from typing import Any

import pytest

from kfp_bayesopt.folder.trials import Reason, Record, Trials
from kfp_bayesopt.proposing.early_end import Stop, early_end, reason_to_stop
from kfp_bayesopt.study.study import Study
from tests.builders import a_record, a_study, a_suggestion


def ledger_of(study: Study, values: list[float | None], **changes: Any) -> list[Record]:
    """Return a ledger of batches of 2, in which the first trial takes a minute and the second a quarter of an hour."""
    return [
        a_record(
            study, trial, value, iteration=(trial + 1) // 2, **{"seconds": 60.0 if trial % 2 else 900.0, **changes}
        )
        for trial, value in enumerate(values, 1)
    ]


@pytest.mark.parametrize(
    ("stop", "direction", "values", "reason"),
    [
        ({}, "minimize", [3.0, 2.0], None),
        ({"target": 2.0}, "minimize", [3.0, 2.5], None),
        ({"target": 2.0}, "minimize", [3.0, 2.0], "the best value, 2, has reached 2 (stop.target)"),
        ({"target": 2.0}, "minimize", [None, None], None),
        ({"target": 2.0}, "maximize", [1.0, 1.5], None),
        ({"target": 2.0}, "maximize", [1.0, 2.5], "the best value, 2.5, has reached 2 (stop.target)"),
        ({"no_improvement_iterations": 2}, "minimize", [1.0, 2.0, 3.0, 4.0], None),
        (
            {"no_improvement_iterations": 2},
            "minimize",
            [1.0, 2.0, 3.0, 4.0, 1.0, 5.0],
            "2 iterations have not improved the best value (stop.no_improvement_iterations)",
        ),
        ({"no_improvement_iterations": 2}, "maximize", [1.0, 2.0, 3.0, 4.0, 1.0, 5.0], None),
        ({"no_improvement_iterations": 1}, "minimize", [None, None, None, None], None),
        ({"max_hours": 0.6}, "minimize", [1.0, 2.0, 3.0, 4.0], None),
        ({"max_hours": 0.5}, "minimize", [1.0, 2.0, 3.0, 4.0], "0.50 hours have passed, of 0.5 (stop.max_hours)"),
        ({"max_hours": 0.5}, "minimize", [1.0, 2.0, 3.0], None),
        ({"max_hours": 0.5}, "minimize", [], None),
    ],
)
def test_a_study_ends_when_it_asked_to(
    stop: dict[str, Any], direction: str, values: list[float | None], reason: str | None
) -> None:
    study = a_study(stop=stop, direction=direction, iterations=10)
    assert reason_to_stop(study, ledger_of(study, values)) == (Stop(reason) if reason else None)


def test_a_study_ends_by_what_its_trials_have_cost() -> None:
    """Failed ones cost too; where a record has no cost, its job had no rate."""
    study = a_study(stop={"max_cost": 1.0}, iterations=10)
    assert reason_to_stop(study, ledger_of(study, [1.0, 2.0], cost=0.45)) is None
    assert reason_to_stop(study, ledger_of(study, [1.0, 2.0, 3.0, 4.0])) is None
    assert reason_to_stop(study, ledger_of(study, [1.0, None, 3.0], cost=0.45)) == Stop(
        "the trials have cost 1.35, of 1 (stop.max_cost)"
    )


@pytest.mark.parametrize("started", ["1970-01-01T00:00:00+00:00", "2999-12-31T23:59:59-12:00"])
def test_a_wrong_clock_changes_nothing(started: str) -> None:
    study = a_study(stop={"max_hours": 0.5}, iterations=10)
    ledger = ledger_of(study, [1.0, 2.0, 3.0])
    ledger[1] = ledger[1].model_copy(update={"started": started, "suggested": "2500-01-01T00:00:00+00:00"})
    assert reason_to_stop(study, ledger) is None
    assert reason_to_stop(study, ledger_of(study, [1.0, 2.0, 3.0, 4.0], started=started)) == Stop(
        "0.50 hours have passed, of 0.5 (stop.max_hours)"
    )


def test_too_many_failures_end_a_study() -> None:
    study = a_study(max_failed_trials=1)
    assert reason_to_stop(study, ledger_of(study, [None, 1.0])) is None
    assert reason_to_stop(study, ledger_of(study, [None, 1.0, None])) == Stop(
        "2 of 3 trials have failed, more than 1 (max_failed_trials); failures.json has their reasons", failed=True
    )


# --- what a whole folder says --------------------------------------------------------------------

TARGET = Stop("the best value, 1, has reached 2 (stop.target)")
FAILED = Stop(
    "2 of 4 trials have failed, more than 1 (max_failed_trials); failures.json has their reasons", failed=True
)


@pytest.mark.parametrize(
    ("changes", "values", "expected"),
    [
        ({}, [1.0, 1.0], None),
        ({"stop": {"target": 2.0}}, [1.0, 3.0], TARGET),
        ({"stop": {"target": 2.0}}, [1.0], None),  # the first batch is not done
        ({"stop": {"target": 2.0}}, [3.0, 3.0, 1.0], None),  # nor is the second
        ({"stop": {"target": 2.0}}, [1.0, 1.0, 1.0, 1.0], None),  # nothing was saved
        ({"max_failed_trials": 1}, [None, 1.0, None, 1.0], FAILED),
        ({"max_failed_trials": 1}, [None, 1.0, 1.0, 1.0], None),
        ({"max_failed_trials": 1, "iterations": 1}, [1.0, 1.0, None, None], None),  # beyond the budget of today
    ],
)
def test_what_is_known_of_the_trials_tells_whether_the_study_has_ended(
    changes: dict[str, Any], values: list[float | None], expected: Stop | None
) -> None:
    study = a_study(**changes)
    trials = Trials({record.trial: record for record in ledger_of(study, values)})
    assert early_end(study, trials) == expected


def test_a_trial_that_gets_another_attempt_keeps_its_batch_open() -> None:
    study = a_study(stop={"target": 2.0})
    records = ledger_of(study, [1.0, None])
    records[1] = records[1].model_copy(update={"reason": Reason(kind="mistake", message="no such module")})
    assert early_end(study, Trials({record.trial: record for record in records})) is None
    assert early_end(study, Trials({1: records[0]}, {2: a_suggestion(study, 2)})) is None
