"""When a study ends before its budget is spent, and what its batches then say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bayesopt.study import Study
from bayesopt.trials import Record
from optimizer.iteration import first_batch, next_batch
from optimizer.stopping import reason_to_stop, still_due
from tests.builders import a_record, a_study, records_of

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def ledger_of(study: Study, values: list[float | None], minutes: float = 0.0) -> list[Record]:
    """Return a ledger of batches of 2; each batch begins so many minutes after the one before."""
    return [
        a_record(
            study,
            trial,
            value,
            iteration=(trial + 1) // 2,
            started=(BEGIN + timedelta(minutes=minutes * ((trial - 1) // 2))).isoformat(timespec="milliseconds"),
            seconds=60.0,
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
        ({"max_hours": 1.0}, "minimize", [1.0, 2.0, 3.0, 4.0], None),
        (
            {"max_hours": 0.5},
            "minimize",
            [1.0, 2.0, 3.0, 4.0],
            "0.52 hours have passed, of 0.5 (stop.max_hours)",
        ),
    ],
)
def test_a_study_ends_when_it_asked_to(
    stop: dict[str, Any], direction: str, values: list[float | None], reason: str | None
) -> None:
    study = a_study(stop=stop, direction=direction, iterations=10)
    assert reason_to_stop(study, ledger_of(study, values, minutes=30.0)) == reason


def test_too_many_failures_end_a_study() -> None:
    study = a_study(max_failed_trials=1)
    assert reason_to_stop(study, ledger_of(study, [None, 1.0])) is None
    reason = reason_to_stop(study, ledger_of(study, [None, None]))
    assert reason == "2 trials have failed, more than 1 (max_failed_trials)"


def test_an_ended_study_proposes_nothing_and_says_why() -> None:
    study = a_study(stop={"target": 100.0}, iterations=2)
    engine, batch = first_batch(study)
    assert batch.ended is None
    ledger = records_of(study, batch, [0.5] * len(batch.suggestions))
    following = next_batch(study, engine, batch, ledger, ledger)
    assert following.suggestions == []
    assert following.ended is not None
    assert following.ended.endswith("(stop.target)")
    # The steps that follow on Kubeflow find it so, and leave it so.
    assert next_batch(study, engine, following, [], ledger) == following.model_copy(update={"iteration": 3})


def test_a_space_without_points_left_ends_the_study() -> None:
    study = a_study(space={"n": {"type": "integer", "low": 1, "high": 3}}, optimizer={"engine": "gp"}, iterations=10)
    engine, batch = first_batch(study)
    ledger: list[Record] = []
    while batch.suggestions:
        records = records_of(study, batch, [0.5] * len(batch.suggestions))
        ledger += records
        batch = next_batch(study, engine, batch, records, ledger)
    assert (len(ledger), batch.ended) == (3, "every point of the space has been tried, 3 trials")


@pytest.mark.parametrize(
    ("changes", "evaluated", "reason"),
    [
        ({"iterations": 1}, 0, "the budget of 1 x 2 trials is spent; trials 3 to 4 were proposed, but not evaluated"),
        (
            {"iterations": 3, "parallel_trials": 1},
            1,
            "the budget of 3 x 1 trials is spent; trial 4 was proposed, but not evaluated",
        ),
        (
            {"stop": {"target": 0.5}},
            0,
            "the best value, 0.5, has reached 0.5 (stop.target); trials 3 to 4 were proposed, but not evaluated",
        ),
        (
            {"max_failed_trials": 0},
            0,
            "1 trials have failed, more than 0 (max_failed_trials); trials 3 to 4 were proposed, but not evaluated",
        ),
    ],
)
def test_a_study_that_changed_leaves_out_what_was_proposed_and_says_why(
    changes: dict[str, Any], evaluated: int, reason: str
) -> None:
    study = a_study(iterations=3)
    engine, batch = first_batch(study)
    ledger = records_of(study, batch, [0.5, None])
    batch = next_batch(study, engine, batch, ledger, ledger)
    changed = a_study(**{"iterations": 3, **changes})
    assert still_due(study, batch, ledger) == 2
    assert still_due(changed, batch, ledger) == evaluated
    records = records_of(study, batch, [0.7, 0.8])[:evaluated]
    following = next_batch(changed, engine, batch, records, [*ledger, *records])
    assert (following.suggestions, following.ended) == ([], reason)


def test_the_last_batch_is_smaller_where_the_ones_before_were_larger() -> None:
    study = a_study(iterations=2, parallel_trials=4)
    engine, batch = first_batch(study)
    ledger = records_of(study, batch, [0.5] * 4)
    following = next_batch(a_study(iterations=2, parallel_trials=3), engine, batch, ledger, ledger)
    assert [suggestion.trial for suggestion in following.suggestions] == [5, 6]


def test_the_end_of_the_budget_is_no_early_end() -> None:
    study = a_study(iterations=1)
    engine, batch = first_batch(study)
    ledger = records_of(study, batch, [0.5] * len(batch.suggestions))
    following = next_batch(study, engine, batch, ledger, ledger)
    assert (following.suggestions, following.ended) == ([], None)
