"""Failed trials are shown with their reasons, and a study whose first two trials fail alike ends."""

from __future__ import annotations

from typing import Any

import pytest

from bayesopt.failures import alike, details, grouped
from bayesopt.results import failures_of
from bayesopt.trials import Reason, Record
from tests.builders import a_record, a_study

STUDY = a_study(iterations=3)


def failed(trial: int, message: str = "no", kind: Any = "raised", lines: tuple[str, ...] = ()) -> Record:
    reason = Reason(kind=kind, message=message, last_lines=list(lines))
    return a_record(STUDY, trial, state="failed", values={}, reason=reason, log="log-1.txt" if lines else None)


def test_the_last_lines_of_a_trial_are_shown_with_its_log() -> None:
    record = failed(7, lines=("epoch 1", "\\x1b[0m"))
    assert list(details("gs://b/s/", record)) == [
        "    | epoch 1",
        "    | \\x1b[0m",
        "    log: gs://b/s/trials/000007/log-1.txt",
    ]
    assert list(details("out", failed(7))) == []


def test_failed_trials_are_grouped_by_their_reasons_the_most_frequent_first() -> None:
    records = [failed(1, "b", lines=("x",)), failed(4, "a\nsecond line"), failed(3, "a\nsecond line", lines=("x",))]
    assert list(grouped("out", failures_of(records))) == [
        "3 trials failed:",
        "  trials 3, 4: a",
        "    log: out/trials/000003/log-1.txt",
        "  trial 1: b",
        "    log: out/trials/000001/log-1.txt",
    ]
    assert list(grouped("out", [])) == []
    many = list(grouped("out", failures_of([failed(number, f"reason {number}") for number in range(1, 9)])))
    assert many[-1] == "  and 3 other reasons; failures.json has all"


def test_a_study_whose_first_two_trials_fail_alike_need_not_go_on() -> None:
    said = alike(STUDY, "out", [failed(2, "no", lines=("x",)), failed(1, "no"), failed(3, "other")])
    assert said == (
        "trials 2 and 1, the first two to end, failed alike: no; log: out/trials/000002/log-1.txt; mend it and run the "
        "same command again with RETRY_FAILED=1, or set max_failed_trials to go on regardless"
    )


@pytest.mark.parametrize(
    "first",
    [
        [],
        [failed(1)],
        [failed(1), failed(2, "another")],
        [failed(1), failed(2, kind="value")],
        [failed(1, kind="timeout"), failed(2, kind="timeout")],
        [a_record(STUDY, 1), failed(2), failed(3)],
        [failed(2), failed(3), a_record(STUDY, 1)],
    ],
    ids=["none", "one", "other reasons", "other kinds", "by chance", "the first has a value", "another has a value"],
)
def test_other_studies_go_on(first: list[Record]) -> None:
    assert alike(STUDY, "out", first) is None


def test_a_study_that_says_how_many_may_fail_goes_by_that() -> None:
    assert alike(a_study(max_failed_trials=5), "out", [failed(1), failed(2)]) is None
