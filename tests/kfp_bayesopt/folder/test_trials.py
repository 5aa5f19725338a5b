"""Suggestions, claims and records of a trial: what they may say, and which record counts."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.documents import parse_document
from kfp_bayesopt.folder.trials import Reason, Record, Trials, digest_of, record_that_counts
from kfp_bayesopt.space.parameters import Parameters, difference_of
from kfp_bayesopt.study.study import Study
from tests.builders import a_batch, a_record, a_study, a_suggestion, several

STUDY = a_study()
FAILED: dict[str, Any] = {"state": "failed", "values": {}, "reason": Reason(kind="raised", message="no")}
OF_REASON = "reason is required of a failed trial alone"
OF_VALUE = "values.value is required of a trial that has not failed, and of it alone"


# --- a record ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"state": "failed"}, OF_REASON),
        ({"state": "failed", "values": {}}, OF_REASON),
        ({"reason": FAILED["reason"]}, OF_REASON),
        ({"values": {}}, OF_VALUE),
        ({"state": "stopped", "values": {}}, OF_VALUE),
        ({**FAILED, "values": {"value": 0.5}}, OF_VALUE),
    ],
    ids=str,
)
def test_a_record_that_contradicts_itself_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        a_record(STUDY, **changes)


@pytest.mark.parametrize(("study", "missing"), [(STUDY, "value"), (several(), "latency")])
def test_a_completed_trial_has_what_its_study_optimises(study: Study, missing: str) -> None:
    record = a_record(study, values={"accuracy": 1.0})
    with pytest.raises(
        UserError, match=f"x: damaged record: values.{missing}: required key is missing; delete the file"
    ):
        parse_document(Record, record.to_bytes(), "x", study)


def test_a_failed_trial_may_have_metrics_and_a_stopped_one_has_a_value() -> None:
    assert a_record(STUDY, **{**FAILED, "values": {"loss": 1.0}}).value is None
    assert a_record(STUDY, 1, 0.25, state="stopped").value == 0.25


@pytest.mark.parametrize(
    ("kind", "final"),
    [
        ("raised", True),
        ("value", True),
        ("exit", True),
        ("timeout", True),
        ("memory", True),
        ("mistake", False),
        ("lost", False),
    ],
)
def test_a_mistake_and_a_lost_worker_do_not_end_a_trial(kind: str, final: bool) -> None:
    assert a_record(STUDY, **{**FAILED, "reason": {"kind": kind, "message": "no"}}).is_final is final
    assert a_record(STUDY).is_final


@pytest.mark.parametrize(
    ("states", "counts"),
    [
        (["completed"], 1),
        (["failed", "completed"], 2),
        (["failed", "failed"], 2),
        (["completed", "completed"], 1),
        (["completed", "failed"], 1),
        (["failed", "stopped", "completed"], 2),
    ],
    ids=str,
)
def test_of_several_attempts_the_first_that_did_not_fail_counts_else_the_last(states: list[str], counts: int) -> None:
    attempts = [
        a_record(STUDY, attempt=attempt, **FAILED)
        if state == "failed"
        else a_record(STUDY, attempt=attempt, state=state)
        for attempt, state in enumerate(states, 1)
    ]
    for order in (attempts, attempts[::-1]):
        record = record_that_counts(order)
        assert record is not None
        assert record.attempt == counts


def test_a_trial_without_attempts_has_no_record() -> None:
    assert record_that_counts([]) is None


# --- the digest --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"values": {"value": -100.0}},
        {"values": {"value": 0.5, "loss": 1.0}},
        {"parameters": {"x1": 1.5, "x2": 2.0}},
        {"parameters": {"x1": 1, "x2": 2.0}},
        {"state": "stopped"},
        {"iteration": 2},
        {"trial": 3},
        FAILED,
    ],
    ids=str,
)
def test_what_engines_learn_changes_the_digest(changes: dict[str, Any]) -> None:
    ledger = [a_record(STUDY, 1), a_record(STUDY, 2)]
    assert digest_of([ledger[0], ledger[1].model_copy(update=changes)]) != digest_of(ledger)


@pytest.mark.parametrize(
    "changes", [{"machine": "there"}, {"seconds": 9.0}, {"attempt": 2}, {"log": "log-1.txt"}], ids=str
)
def test_the_run_of_a_trial_does_not_change_the_digest(changes: dict[str, Any]) -> None:
    ledger = [a_record(STUDY, 1), a_record(STUDY, 2)]
    assert digest_of([ledger[0], ledger[1].model_copy(update=changes)]) == digest_of(ledger)


def test_the_digest_of_a_ledger_never_changes() -> None:
    ledger = [
        a_record(STUDY, 1, 1e-7, parameters={"k": None, "b": True, "t": "é", "n": 1e16}),
        a_record(STUDY, 2, None),
    ]
    assert digest_of([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_of(ledger) == "cfc9d616619ee70df76e5fe36e3a44f5e82a609cc692d0b4a212a6d49d55fb96"


# --- what is known of the trials ---------------------------------------------------------------


def test_engines_learn_the_trials_that_have_ended_in_the_order_of_their_numbers() -> None:
    mistake = a_record(STUDY, 2, **{**FAILED, "reason": {"kind": "mistake", "message": "no module"}})
    trials = Trials({record.trial: record for record in (a_record(STUDY, 3), mistake, a_record(STUDY, 1))})
    assert [record.trial for record in trials.ledger] == [1, 2, 3]
    assert [record.trial for record in trials.ended] == [1, 3]


def test_a_record_that_is_added_is_no_longer_pending() -> None:
    trials = Trials({}, {1: a_suggestion(STUDY)})
    trials.add(a_record(STUDY))
    assert (list(trials.records), trials.pending) == ([1], {})


POINTS: list[Parameters] = [{"x1": 1.0, "x2": 2.0}] * 12


def test_trials_that_have_not_ended_are_named() -> None:
    batch = a_batch(STUDY, POINTS)
    trials = Trials({}, {each.trial: each for each in batch})

    def said(numbers: range) -> str:
        with pytest.raises(UserError) as caught:
            trials.check_ended(numbers)
        return caught.value.message

    assert said(range(1, 13)) == (
        "the records of trials 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more are missing; run `evaluate` for them again"
    )
    trials.add(a_record(STUDY, 1))
    assert said(range(1, 3)) == "the record of trial 2 is missing; run `evaluate` for it again"
    trials.add(a_record(STUDY, 2, **{**FAILED, "reason": {"kind": "mistake", "message": "No module named 'a'"}}))
    assert said(range(1, 4)) == "trial 2: No module named 'a'"
    trials.check_ended(range(1, 2))
    trials.check_ended(range(13, 15))  # nobody proposed them


# --- parameters --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "difference"),
    [
        ({"n": 3, "kind": 1}, "its n=3 is not 0 plus a multiple of 2"),
        ({"n": 2.0, "kind": 1}, "its n=2.0 is not of type integer"),
        ({"n": 2, "kind": 1.0}, "its kind=1.0 is none of the choices"),
        ({"n": 2, "kind": 1, "m": 1}, "its m is no parameter of the study"),
        ({"n": 2, "kind": 1}, None),
    ],
    ids=str,
)
def test_a_discrete_value_outside_the_space_is_named(parameters: Parameters, difference: str | None) -> None:
    study = a_study(
        space={
            "n": {"type": "integer", "low": 0, "high": 4, "step": 2},
            "kind": {"type": "categorical", "choices": [1, True]},
        }
    )
    assert difference_of(study.space, parameters) == difference
