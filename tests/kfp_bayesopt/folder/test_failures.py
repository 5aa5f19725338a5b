"""Failed trials are shown with their reasons, and a study whose first two trials fail alike ends."""

from __future__ import annotations

from typing import Any

import pytest

from kfp_bayesopt.folder.failures import alike, details, grouped, kind_of
from kfp_bayesopt.folder.results import failures_of
from kfp_bayesopt.folder.trials import Reason, Record
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
        "  trials 3, 4 (2 of 3, 67 %): a",
        "    log: out/trials/000003/log-1.txt",
        "  trial 1 (1 of 3, 33 %): b",
        "    log: out/trials/000001/log-1.txt",
    ]
    assert list(grouped("out", [])) == []
    many = list(grouped("out", failures_of([failed(number, f"reason {'a' * number}") for number in range(1, 9)])))
    assert many[-1] == "  and 3 other reasons; failures.json has all"


def test_trials_that_failed_alike_but_for_numbers_paths_and_addresses_are_one_group() -> None:
    records = [
        failed(
            number, f"OutOfMemoryError: tried to allocate {number}.50 GiB at 0x7f{number:06x} for /tmp/run-{number}/x"
        )
        for number in range(1, 12)
    ]
    assert list(grouped("out", failures_of([*records, failed(12, "KeyError: 'loss'")])))[1:] == [
        "  trials 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1 more (11 of 12, 92 %): "
        "OutOfMemoryError: tried to allocate … GiB at … for …",
        "  trial 12 (1 of 12, 8 %): KeyError: 'loss'",
    ]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("ValueError: x1 = -1.5e-3 is below 2", "ValueError: x1 = … is below …"),
        ("cuda:0 is full: 1,024 MB of 16GB", "cuda:… is full: … MB of …GB"),
        ("cannot read gs://bucket/a b", "cannot read … b"),
        (r"cannot open C:\data\1.csv", "cannot open …"),
        ("no space on ../out/3/model.pt, 12:30:05", "no space on …, …"),
        ("job 3f2b8c1d-77aa-4e0f-9a52-0123456789ab of me@host ended", "job … of … ended"),
        ("connection to 10.0.0.7:8080 refused", "connection to … refused"),
        ("resnet50 and lr_2 keep their names, and so does a defaced word", None),
        ("and/or is no path", None),
    ],
)
def test_what_differs_from_trial_to_trial_is_left_out_and_names_stay(message: str, kind: str | None) -> None:
    assert kind_of(message) == (kind or message)


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
