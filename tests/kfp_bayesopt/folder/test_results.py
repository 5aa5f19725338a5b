"""What is derived from the records: the best trial, the failed ones, and the lines of the ledger."""

from __future__ import annotations

import json

import pytest

from kfp_bayesopt.folder.documents import Document, parse_document
from kfp_bayesopt.folder.results import Best, Failures, ledger_lines
from kfp_bayesopt.folder.trials import Reason, Record
from tests.builders import a_record, a_study

STUDY = a_study()
LEDGER = [
    a_record(STUDY, number, value, attempt=number) for number, value in enumerate([2.0, 5.0, -1.0, None, -1.0, 5.0], 1)
]


@pytest.mark.parametrize(("direction", "trial"), [("minimize", 3), ("maximize", 2)])
def test_the_best_trial_follows_the_direction_and_of_equal_ones_is_the_first(direction: str, trial: int) -> None:
    best = Best.of(a_study(direction=direction), LEDGER)
    assert (best.trial, best.completed, best.failed, best.trials) == (trial, 5, 1, 4)


def test_there_is_no_best_trial_while_none_has_completed() -> None:
    best = Best.of(STUDY, [a_record(STUDY, value=None)])
    assert (best.value, best.trial, best.parameters, best.completed, best.failed) == (None, None, None, 0, 1)
    assert Best.of(STUDY, []).trials == 4


def test_a_trial_that_was_stopped_early_is_not_the_best_whatever_its_value() -> None:
    """The others were better at the same step: what it would have come to nobody knows."""
    best = Best.of(STUDY, [a_record(STUDY, 1, 3.0), a_record(STUDY, 2, 1.0, state="stopped")])
    assert (best.trial, best.completed, best.stopped) == (1, 1, 1)


LOST = Reason(kind="lost", message="its worker gave no more sign of life")
MIXED = [
    a_record(STUDY, 1, 3.0), a_record(STUDY, 2, 1.0, state="stopped"), a_record(STUDY, 3, None),
    a_record(STUDY, 4, None, reason=LOST),
]  # fmt: skip


@pytest.mark.parametrize(
    ("budget", "ledger", "done", "recorded"),
    [
        (4, MIXED, 3, 4),
        (12, MIXED, 3, 4),
        (2, MIXED, 2, 4),
        (4, [MIXED[0], MIXED[3]], 1, 2),
        (2, [MIXED[2], MIXED[3]], 0, 2),
        (4, [], 0, 0),
    ],
)
def test_a_trial_has_ended_when_it_completed_failed_or_was_stopped_and_is_not_tried_again(
    budget: int, ledger: list[Record], done: int, recorded: int
) -> None:
    best = Best.of(a_study(trials=budget, iterations=None), ledger)
    assert (best.done, best.left, best.trials, best.recorded) == (done, budget - done, budget, recorded)
    assert parse_document(Best, best.to_bytes(), "best.json", STUDY).done == done


def test_best_json_of_before_says_how_many_have_ended_by_its_counts() -> None:
    best = Best.of(STUDY, MIXED).model_copy(update={"left": None})
    assert (best.done, best.counts) == (4, "1 completed, 2 failed, 1 stopped early")


def test_failed_trials_are_listed_with_their_reasons() -> None:
    reason = Reason(kind="exit", exit=-9, message="its process was killed", last_lines=["epoch 3"])
    failed = a_record(STUDY, 2, None, attempt=3, reason=reason, log="trials/000002/log-3.txt")
    (failure,) = Failures.of(STUDY, [a_record(STUDY), failed]).failures
    assert (failure.trial, failure.attempt, failure.reason, failure.log) == (2, 3, reason, "trials/000002/log-3.txt")


@pytest.mark.parametrize("document", [Best.of(STUDY, LEDGER), Best.of(STUDY, []), Failures.of(STUDY, LEDGER)], ids=repr)
def test_results_make_the_round_trip(document: Document) -> None:
    assert parse_document(type(document), document.to_bytes(), "best.json", STUDY) == document


def test_the_ledger_has_a_line_for_each_record() -> None:
    lines = ledger_lines(LEDGER).decode().splitlines(keepends=True)
    assert [Record.model_validate(json.loads(line)) for line in lines] == LEDGER
    assert all(line.endswith("\n") for line in lines)
    assert ledger_lines([]) == b""
