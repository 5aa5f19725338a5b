"""What is known of trials while others work on them: each look reads what is new, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.folder import lookout
from kfp_bayesopt.folder.lookout import Lookout, _listed_alone
from kfp_bayesopt.folder.study_folder import Files, StudyFolder
from kfp_bayesopt.folder.trials import Reason, Record
from kfp_bayesopt.store import storage
from tests.builders import a_batch, a_record, a_study, write_folder


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """Return a folder of 6 suggestions, the first 2 of them with records."""
    study = a_study(schedule="asynchronous", optimizer={"engine": "gp"}, iterations=3)
    batch = a_batch(study, [{"x1": 1.0, "x2": float(number)} for number in range(1, 7)])
    return write_folder(tmp_path, study, batch, [record_of(study_folder(tmp_path), number) for number in (1, 2)])


def study_folder(root: Path) -> StudyFolder:
    return StudyFolder(str(root), a_study(schedule="asynchronous", optimizer={"engine": "gp"}, iterations=3))


def record_of(folder: StudyFolder, number: int, **changes: Any) -> Record:
    return a_record(folder.study, number, parameters={"x1": 1.0, "x2": float(number)}, **changes)


def test_a_look_returns_what_has_come_since_the_last_one(folder: StudyFolder) -> None:
    found = Lookout(folder)
    assert found.look() == []
    folder.write_record(record_of(folder, 4))
    assert [record.trial for record in found.look()] == [4]
    assert found.look() == []
    assert sorted(found.trials.records) == [1, 2, 4]
    assert sorted(found.trials.pending) == sorted(found.files) == [3, 5, 6]


def test_a_claim_without_a_suggestion_is_unknown(folder: StudyFolder) -> None:
    found = Lookout(folder)
    storage.create(folder.claim_uri(8, 1), b"{}")
    found.look()
    assert (found.highest, found.unknown) == (8, [7, 8])


def test_the_attempt_that_did_not_fail_counts(folder: StudyFolder) -> None:
    found = Lookout(folder)
    lost = Reason(kind="lost", message="it was told to stop")
    folder.write_record(a_record(folder.study, 3, None, parameters={"x1": 1.0, "x2": 3.0}, reason=lost))
    assert [record.attempt for record in found.look()] == [1]
    assert 3 in found.files
    folder.write_record(record_of(folder, 3, attempt=2))
    assert [record.attempt for record in found.look()] == [2]
    assert 3 not in found.files


def test_what_has_ended_is_not_read_again_unless_it_is_opened(folder: StudyFolder) -> None:
    found = Lookout(folder)
    Path(folder.record_uri(1, 1)).write_text("damaged")
    assert found.look() == []
    found.reopen(2)
    folder.write_record(record_of(folder, 2, attempt=2))
    assert found.look() == []  # the first that did not fail counts
    assert sorted(found.attempts[2]) == [1, 2]


@pytest.mark.parametrize(
    ("unsettled", "highest", "alone"),
    [
        ([], 10, 0),
        ([10], 10, 0),
        ([1, 9, 10], 10, 0),
        ([1, 4990, 5000], 5000, 1),  # one request for the first, one for the others
        ([1, 2, 3, 4990], 5000, 3),
        (list(range(1, 100)), 100, 0),
        ([1, 300, 600], 600, 0),
        ([1, 590, 600], 600, 1),
    ],
)
def test_lists_take_the_fewest_requests(unsettled: list[int], highest: int, alone: int) -> None:
    assert _listed_alone(unsettled, highest) == alone


def test_a_trial_that_takes_long_has_no_later_one_listed_again(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3, 7):
        if number != 3:
            folder.write_record(record_of(folder, number))
    monkeypatch.setattr(lookout, "TRIALS_A_PAGE", 1)
    found = Lookout(folder)
    listed: list[int] = []

    def files_from(first: int) -> dict[int, Files]:
        listed.append(first)
        return {}

    monkeypatch.setattr(folder, "files_from", files_from)
    found.look()
    assert listed == [7]
    assert list(found.files) == [3]
