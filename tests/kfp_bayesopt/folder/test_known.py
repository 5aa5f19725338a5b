"""Copies of what a worker knows: others read them instead of many files, and a bad one changes nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest

from kfp_bayesopt.errors import UnavailableError
from kfp_bayesopt.folder.known import Known, is_kept_at, read_known, write_known
from kfp_bayesopt.folder.lookout import Lookout
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record, Suggestion
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from tests.builders import a_record, a_study, a_suggestion, write_folder
from tests.proofs.faulty_storage import Door

WORKERS = 16


def the_study() -> Study:
    return a_study(
        schedule="asynchronous", optimizer={"engine": "gp"}, trials=100, iterations=None, parallel_trials=WORKERS
    )


def proposed(study: Study, *trials: int) -> list[Suggestion]:
    return [a_suggestion(study, trial, {"x1": 1.0, "x2": trial / 10}, iteration=None) for trial in trials]


def ended(study: Study, *trials: int) -> list[Record]:
    return [
        a_record(study, trial, float(trial), parameters={"x1": 1.0, "x2": trial / 10}, iteration=None)
        for trial in trials
    ]


def a_folder(root: str) -> StudyFolder:
    """Return a folder in which trials 1 to 20 have ended and 21 to 35 run."""
    study = the_study()
    return write_folder(root, study, proposed(study, *range(1, 36)), ended(study, *range(1, 21)))


def from_nothing(folder: StudyFolder) -> Lookout:
    """Return what a worker knows that has begun before all trials of a folder."""
    found = Lookout(folder, trials=StudyFolder(folder.root + "-empty", folder.study).read())
    found.highest = 36
    return found


def write_copy(folder: StudyFolder, trial: int = 36) -> str:
    study = folder.study
    write_known(folder, trial, ended(study, *range(5, 21)), proposed(study, *range(21, 34)))
    return folder.known_uri(trial)


def test_many_trials_are_read_with_one_request(faulty: Door, bucket: str) -> None:
    folder = a_folder(f"{bucket}/study")
    write_copy(folder)
    found = from_nothing(folder)
    faulty.open()
    found.look()
    assert sorted(found.trials.records) == list(range(1, 21))
    assert sorted(found.trials.pending) == list(range(21, 36))
    # The copy, and what it lacks: four records and two suggestions.
    assert faulty.operations.count("read") == 1 + 4 + 2
    assert found.trials.records[7] == ended(folder.study, 7)[0]
    assert found.trials.pending[30] == proposed(folder.study, 30)[0]


def test_few_files_are_read_by_themselves(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = a_folder(f"{bucket}/study")
    write_copy(folder)
    monkeypatch.setattr("kfp_bayesopt.folder.known._read", None)
    assert read_known(folder, [36], [(5, 1), (6, 1)], [21, 22]) == ({}, {})


def test_an_older_copy_has_what_a_newer_one_no_longer_has(bucket: str) -> None:
    study = the_study()
    folder = StudyFolder(f"{bucket}/study", study)
    for last in (16, 20, 36):
        write_known(folder, last, ended(study, *range(last - 15, last + 1)), [])
    records, suggestions = read_known(folder, [16, 20, 36], [(trial, 1) for trial in range(1, 37)], [])
    # That of trial 20 is near to the one of trial 36, as workers go, and has four trials that no other has.
    assert sorted(trial for trial, _ in records) == [*range(5, 37)]
    assert suggestions == {}


def test_no_look_reads_more_than_a_few_copies(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    study = the_study()
    folder = StudyFolder(f"{bucket}/study", study)
    copies = [WORKERS * each for each in range(1, 7)]
    for last in copies:
        write_known(folder, last, [], [])
    reads: list[str] = []
    read = storage.read

    def noted(uri: str, limit: int) -> bytes:
        reads.append(uri)
        return read(uri, limit)

    monkeypatch.setattr(storage, "read", noted)
    assert read_known(folder, copies, [(trial, 1) for trial in range(1, 96)], []) == ({}, {})
    assert reads == [folder.known_uri(last) for last in copies[:1:-1]]

    def silent(uri: str, limit: int) -> bytes:
        reads.append(uri)
        raise UnavailableError(f"{uri}: no answer, of at most {limit} bytes")

    reads.clear()
    monkeypatch.setattr(storage, "read", silent)
    assert read_known(folder, copies, [(trial, 1) for trial in range(1, 96)], []) == ({}, {})
    assert reads == [folder.known_uri(copies[-1])], "an outage is waited for once"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-30],
        lambda content: content[:0],
        lambda content: b"\xff" + content,
        lambda content: content.replace(b'"trial":36', b'"trial":12', 1),
        lambda content: content.replace(b'"study":"branin"', b'"study":"other","more":1', 1),
        lambda content: content.replace(b"[5,1]", b"[9,1]", 1),
        lambda content: content.replace(b'"x2":2.1}', b'"x2":99.0}'),
        lambda content: content + content,
    ],
)
def test_a_damaged_copy_is_left_out_with_a_word(
    damage: Callable[[bytes], bytes], bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = a_folder(f"{bucket}/study")
    content = storage.read(write_copy(folder), limit=10**6)
    changed = damage(content)
    assert changed != content
    storage.replace(folder.known_uri(36), changed)
    found = from_nothing(folder)
    with caplog.at_level(logging.WARNING):
        found.look()
    assert [record.value for record in found.trials.ledger] == [float(trial) for trial in range(1, 21)]
    assert sorted(found.trials.pending) == list(range(21, 36))
    assert "known.jsonl" in caplog.text
    assert "it is left out" in caplog.text


def test_a_copy_says_first_what_follows(bucket: str) -> None:
    folder = a_folder(f"{bucket}/study")
    first, second, *_ = storage.read(write_copy(folder), limit=10**6).split(b"\n")
    head = Known.model_validate(json.loads(first))
    assert head.records[0] == [5, 1]
    assert head.suggestions == list(range(21, 34))
    assert json.loads(second) == json.loads(ended(folder.study, 5)[0].to_bytes())


@pytest.mark.parametrize(
    ("workers", "trials"), [(1, []), (7, []), (8, [4, 8, 12, 16]), (64, [4, 8, 12, 16]), (256, [16])]
)
def test_of_many_workers_one_writes_every_few_trials(workers: int, trials: list[int]) -> None:
    study = the_study().model_copy(update={"parallel_trials": workers})
    assert [trial for trial in range(1, 17) if is_kept_at(StudyFolder("gs://bucket/a", study), trial)] == trials
    assert not any(is_kept_at(StudyFolder("a", study), trial) for trial in range(1, 17))  # files of a disk cost little


def test_a_copy_that_cannot_be_written_ends_nothing(bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = a_folder(f"{bucket}/study")
    write_copy(folder)
    write_known(folder, 36, [], [])  # of an attempt before, it stays
    assert read_known(folder, [36], [(trial, 1) for trial in range(5, 21)], [])[0]
    missing = StudyFolder("gs://not-there/study", folder.study)
    write_known(missing, 4, [], [])
    assert "trial 4: what this worker knows cannot be copied for others: gs://not-there/study" in caplog.text
