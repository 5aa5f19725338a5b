"""The study folder: what its files say together, and what is refused because it contradicts itself."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import ExistsError, UserError
from kfp_bayesopt.folder import study_folder as folder_module
from kfp_bayesopt.folder.lookout import Lookout
from kfp_bayesopt.folder.results import ledger_lines
from kfp_bayesopt.folder.study_folder import MOST_ATTEMPTS, Files, Retry, StudyFolder, study_uri
from kfp_bayesopt.folder.trials import Claim, Reason, Record, Suggestion, Trials, digest_of
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.store import storage
from tests.builders import a_batch, a_record, a_study, a_suggestion, records_of, write_folder
from tests.ledgers import contents

STUDY = a_study()
POINTS: list[Parameters] = [{"x1": 1.0, "x2": 2.0}, {"x1": 3.0, "x2": 4.0}]
FIRST = a_batch(STUDY, POINTS)
LEDGER = records_of(STUDY, FIRST, [1.0, None])
SECOND = a_batch(STUDY, POINTS[::-1], iteration=2, first=3, ledger=LEDGER)
LOST = Reason(kind="lost", message="its worker was lost")


def a_claim(trial: int, attempt: int, **changes: Any) -> Claim:
    return Claim(
        **{
            "study": STUDY.name, "fingerprint": STUDY.fingerprint, "trial": trial, "attempt": attempt,
            "worker": "here:1", "token": "a", "claimed": "2026-01-01T00:00:00+00:00", **changes,
        }
    )  # fmt: skip


def said(function: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        function()
    return caught.value.message


@pytest.fixture(params=["here", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where a study folder may be: on this machine, and in a bucket."""
    return str(tmp_path) if request.param == "here" else f"{request.getfixturevalue('bucket')}/studies/branin"


@pytest.fixture
def half(tmp_path: Path) -> StudyFolder:
    """Return a folder of this machine whose first batch has ended, and whose second waits."""
    return write_folder(tmp_path, STUDY, [*FIRST, *SECOND], LEDGER)


def change(path: str, **changes: Any) -> str:
    Path(path).write_text(json.dumps({**json.loads(Path(path).read_bytes()), **changes}))
    return path


# --- reading -----------------------------------------------------------------------------------


def test_trials_come_by_the_end_of_their_last_attempt(tmp_path: Path) -> None:
    study = a_study()
    folder = write_folder(tmp_path, study, a_batch(study, [{"x1": 1.0, "x2": 2.0}] * 3))
    for seconds, (trial, attempt) in enumerate([(1, 1), (3, 1), (2, 1), (1, 2)]):
        folder.write_record(a_record(study, trial, attempt=attempt))
        os.utime(folder.record_uri(trial, attempt), (10**9 + seconds, 10**9 + seconds))
    assert [(record.trial, record.attempt) for record in folder.by_their_end()] == [(3, 1), (2, 1), (1, 2)]


def test_a_folder_that_is_not_there_has_no_trials(root: str) -> None:
    assert StudyFolder(root, STUDY).read() == Trials()


def test_what_was_written_is_read_again(root: str) -> None:
    folder = write_folder(root, STUDY, [*FIRST, *SECOND], LEDGER)
    assert folder.read() == Trials({1: LEDGER[0], 2: LEDGER[1]}, {3: SECOND[0], 4: SECOND[1]})


def test_reading_writes_nothing(half: StudyFolder) -> None:
    before = contents(half.root)
    half.read()
    assert contents(half.root) == before


def test_trials_may_end_in_any_order(root: str) -> None:
    records = records_of(STUDY, SECOND, [3.0, 4.0])
    trials = write_folder(root, STUDY, [*FIRST, *SECOND], [*LEDGER, records[1]]).read()
    assert (list(trials.records), list(trials.pending)) == ([1, 2, 4], [3])


def test_of_several_attempts_the_record_that_counts_is_read(root: str) -> None:
    attempts = [
        a_record(STUDY, 1, None, reason=LOST),
        a_record(STUDY, 1, 7.0, attempt=2),
        a_record(STUDY, 1, 8.0, attempt=3),
    ]
    assert write_folder(root, STUDY, FIRST, attempts).read().records == {1: attempts[1]}


def test_a_trial_that_has_not_ended_has_its_record_and_is_not_learnt(root: str) -> None:
    trials = write_folder(root, STUDY, FIRST, [a_record(STUDY, 1, None, reason=LOST)]).read()
    assert (list(trials.records), trials.ended, list(trials.pending)) == ([1], [], [2])


def test_what_is_nobodys_is_left_alone(half: StudyFolder) -> None:
    before = half.read()
    for name in (
        ".claim-1.json", "notes.txt", "log-1.txt", "record-1.json.bak", "record-x.json", ".new-abc", "suggestion.yaml",
    ):  # fmt: skip
        (Path(half.root) / "trials" / "000001" / name).write_text("{")
    (Path(half.root) / "trials" / "best" / "record-1.json").parent.mkdir()
    (Path(half.root) / "trials" / "best" / "record-1.json").write_text("{")
    assert half.read() == before


def test_many_records_are_read_side_by_side_without_a_warning(bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    batch = a_batch(STUDY, POINTS * 20)
    records = records_of(STUDY, batch, [0.5] * 40)
    folder = write_folder(f"{bucket}/many", STUDY, batch, records)
    with caplog.at_level(logging.WARNING):
        assert folder.read().ledger == records
    assert caplog.messages == []


def test_the_files_of_a_trial_say_what_was_tried(root: str) -> None:
    folder = write_folder(root, STUDY, FIRST)
    assert folder.files_of(9) == Files()
    assert folder.claim(a_claim(1, 1))
    assert folder.claim(a_claim(1, 10))
    folder.write_record(LEDGER[0])
    files = folder.files_of(1)
    assert files.suggested is not None
    assert (sorted(files.claims), files.records, files.next_attempt) == ([1, 10], [1], 11)
    assert folder.files_of(2).next_attempt == 1


# --- what is refused ---------------------------------------------------------------------------


def test_a_folder_of_another_study_is_refused(half: StudyFolder) -> None:
    other = a_study(name="other")
    assert said(StudyFolder(half.root, other).read).endswith(
        f"is of another study, 'branin' ({STUDY.fingerprint!r}), and not of 'other' ({other.fingerprint}): it has "
        "another name; use the study file that it was made with, or another folder"
    )


def test_a_file_of_a_newer_format_is_refused(half: StudyFolder) -> None:
    path = change(half.record_uri(1, 1), format=3)
    assert said(half.read) == (
        f"{path}: has format 3, but this version reads formats up to 2; use a newer version of kfp-bayesopt, at least "
        "the one that wrote it"
    )


def test_a_damaged_record_is_evaluated_again_once_it_is_deleted(half: StudyFolder) -> None:
    half.claim(a_claim(1, 1))
    path = Path(half.record_uri(1, 1))
    path.write_bytes(path.read_bytes()[:40])
    assert (
        said(half.read) == f"{path}: damaged record: EOF while parsing a string at line 1 column 40; {Record.way_out}"
    )
    path.unlink()
    trials = half.read()
    assert (list(trials.records), list(trials.pending)) == ([2], [1, 3, 4])


@pytest.mark.parametrize(
    "changes",
    [{"values": {"value": -9.0}}, {"state": "failed", "values": {}, "reason": {"kind": "raised", "message": "no"}}],
    ids=str,
)
def test_a_record_that_was_edited_is_said_and_counts_as_it_is(
    half: StudyFolder, changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    path = change(half.record_uri(1, 1), **changes)
    trials = half.read()
    assert trials.records[1].state == json.loads(Path(path).read_bytes())["state"]
    assert list(trials.pending) == [3, 4]
    half.read()
    assert caplog.messages == [
        f"{half.root}: trial 4 was proposed from other records than those that are here, as if one of trials 1 to 2 "
        "was edited since; the study goes on with what is here; where a record was edited, restore it from a copy, and "
        "see `make verify`"
    ]


@pytest.mark.parametrize("twice", [[1], [2], [1, 2]], ids=str)
def test_a_trial_that_a_suggestion_counts_twice_has_ended(
    half: StudyFolder, twice: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that was overtaken while it took a trial has proposed so."""
    seen = json.loads(Path(half.suggestion_uri(4)).read_bytes())["seen"]
    change(half.suggestion_uri(4), seen={**seen, "pending": twice})
    trials = half.read()
    assert (list(trials.records), list(trials.pending)) == ([1, 2], [3, 4])
    learnt = trials.pending[4].learnt_from(trials.records)
    assert learnt is not None
    assert (learnt.records, learnt.twice) == (LEDGER, tuple(twice))
    assert caplog.messages == []


def test_of_many_trials_that_a_suggestion_may_count_twice_those_are_found() -> None:
    batch = a_batch(STUDY, POINTS * 100)
    ledger = records_of(STUDY, batch, [0.5] * 200)
    (last, _) = a_batch(STUDY, POINTS, iteration=2, first=201, ledger=ledger[:150])
    seen = last.seen.model_copy(update={"highest": 150, "pending": [*range(100, 180)], "unknown": []})
    without = [record for record in ledger[:150] if record.trial < 100 or record.trial in (117, 149)]
    last = last.model_copy(update={"seen": seen.model_copy(update={"ledger": digest_of(without)})})
    learnt = last.learnt_from({record.trial: record for record in ledger})
    assert learnt is not None
    assert (learnt.records, learnt.twice) == (without, (117, 149))


def test_a_record_of_another_machine_with_the_same_value_is_accepted(half: StudyFolder) -> None:
    change(half.record_uri(1, 1), machine="there", seconds=9.0)
    assert half.read().records[1].machine == "there"


@pytest.mark.parametrize("parameters", [POINTS[1], {"x1": 1, "x2": 2.0}], ids=str)
def test_a_record_with_other_parameters_is_refused(tmp_path: Path, parameters: Parameters) -> None:
    folder = write_folder(tmp_path, STUDY, FIRST, [a_record(STUDY, 1, parameters=parameters)])
    assert said(folder.read) == (
        f"{folder.record_uri(1, 1)}: trial 1 was proposed with other parameters; {Record.way_out}"
    )


def test_a_record_whose_suggestion_is_lost_counts(half: StudyFolder) -> None:
    Path(half.suggestion_uri(2)).unlink()
    assert half.read().ledger == LEDGER


def test_a_lost_attempt_whose_suggestion_is_lost_is_no_trial(tmp_path: Path) -> None:
    lost = a_record(STUDY, 2, None, parameters=POINTS[1], reason=LOST)
    folder = write_folder(tmp_path, STUDY, FIRST[:1], [LEDGER[0], lost])
    assert list(folder.read().records) == [1]


@pytest.mark.parametrize("trial", [2, 4])
def test_a_suggestion_that_is_damaged_costs_nothing_where_the_trial_has_ended(
    trial: int, half: StudyFolder, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (3, 4):
        half.write_record(a_record(STUDY, number, 2.0, iteration=2, parameters=POINTS[::-1][number - 3]))
    path = Path(half.suggestion_uri(trial))
    path.write_bytes(b"")
    found = half.read_suggestions([1, 2, 3, 4], half.read().records)
    assert [each.trial for each in found] == [each for each in (1, 2, 3, 4) if each != trial]
    assert list(half.read().records) == [1, 2, 3, 4]
    assert caplog.messages == [
        f"left out: {path}: damaged suggestion: EOF while parsing a value at line 1 column 0; {Suggestion.way_out}"
    ]


def test_a_suggestion_that_is_damaged_is_refused_while_the_trial_has_no_record(half: StudyFolder) -> None:
    path = Path(half.suggestion_uri(4))
    path.write_bytes(b"")
    assert said(half.read) == (
        f"{path}: damaged suggestion: EOF while parsing a value at line 1 column 0; {Suggestion.way_out}"
    )
    path.unlink()
    assert list(half.read().pending) == [3]


PLANTED = [
    "trials/100000000/record-1.json",
    "trials/100000000/suggestion.json",
    "trials/100000000/claim-1.json",
    "trials/999999999999/record-1.json",
    "trials/99999²/record-1.json",
    "trials/00000٣/record-1.json",
    "trials/0000001/record-1.json",
    "trials/000001/record-².json",
    "trials/000001/record-02.json",
    "trials/000001/record-1000000000.json",
    "trials/000001/record-2.json",
    "trials/000001/claim-99999999999.json",
    "trials/000001/heartbeat-1.json",
    "trials/000007/record-1.json",
    "trials/000700/record-1.json",
    "trials/000700/suggestion.json",
    "retries/a.json",
    "retries/²",
]


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b"\xff", LEDGER[1].to_bytes(), FIRST[1].to_bytes()], ids=range(6)
)
def test_a_file_that_somebody_planted_is_no_trial_and_stops_nothing(
    half: StudyFolder, name: str, content: bytes
) -> None:
    path = Path(half.root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    started = time.process_time()
    trials = half.read()
    assert (trials.ledger, list(trials.pending)) == (LEDGER, [3, 4])
    watch = Lookout(half)
    watch.look()
    assert watch.trials.ledger == LEDGER
    assert sorted(half.by_their_end(), key=lambda record: record.trial) == LEDGER
    assert time.process_time() - started < 5
    assert half.files_of(1).next_attempt <= MOST_ATTEMPTS + 1


def test_a_trial_beyond_what_anybody_asked_for_is_named(half: StudyFolder, caplog: pytest.LogCaptureFixture) -> None:
    folder = Path(half.root, "trials", "100000000")
    folder.mkdir()
    (folder / "record-1.json").write_bytes(b"{}")
    half.read()
    assert caplog.messages == [
        f"{folder}: left out: the study has a budget of {STUDY.budget} trials, and none that is known between "
        f"{max(STUDY.budget, 4)} and this one; delete the folder"
    ]


def test_trials_beyond_a_budget_that_was_larger_are_read(tmp_path: Path) -> None:
    small = a_study(iterations=1)
    batch = a_batch(small, POINTS * 1250)
    ledger = records_of(small, batch, [0.5] * 2500)
    folder = write_folder(tmp_path, small, batch, ledger)
    assert folder.read().ledger == ledger


def test_a_trial_that_is_missing_before_a_record_is_named(half: StudyFolder) -> None:
    shutil.rmtree(Path(half.root) / "trials" / "000001")
    assert said(half.read) == (
        f"{half.root}: trial 1 is missing, but there are records of later ones; restore {half.suggestion_uri(1)} and "
        "its record from a copy, or run the study once more with schedule: asynchronous, which evaluates it again"
    )


def test_a_claim_alone_is_no_trial(half: StudyFolder) -> None:
    Path(half.suggestion_uri(1)).unlink()
    Path(half.record_uri(1, 1)).rename(half.claim_uri(1, 1))
    assert said(half.read) == (
        f"{half.root}: trial 1 was claimed by a worker, and not proposed; run the study once more with schedule: "
        "asynchronous, which finishes it"
    )


def test_a_claim_alone_is_finished_by_the_next_worker(half: StudyFolder) -> None:
    """Workers claim a number before they propose what it tries."""
    Path(half.suggestion_uri(1)).unlink()
    Path(half.record_uri(1, 1)).rename(half.claim_uri(1, 1))
    other = a_study(schedule="asynchronous", optimizer={"engine": "gp"})
    assert 1 not in StudyFolder(half.root, other).read().records


def test_a_suggestion_that_is_missing_before_another_one_is_proposed_again(half: StudyFolder) -> None:
    Path(half.suggestion_uri(3)).unlink()
    assert list(half.read().pending) == [4]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"trial": 2}, "must be trial 1, attempt 1, but got 2, 1"),
        ({"attempt": 2}, "must be trial 1, attempt 1, but got 1, 2"),
    ],
    ids=str,
)
def test_a_record_that_lies_in_the_wrong_place_is_refused(
    half: StudyFolder, changes: dict[str, Any], problem: str
) -> None:
    half.claim(a_claim(1, 1))
    path = change(half.record_uri(1, 1), **changes)
    assert said(half.read) == f"{path}: damaged record: {problem}; {Record.way_out}"


@pytest.mark.parametrize(
    ("trial", "changes", "problem"),
    [
        (3, {"trial": 2}, "trial: must be 3, but got 2"),
        (3, {"parameters": {"x1": 1.0}}, "it is not in the space of the study: it has no x2"),
        (4, {"trial": 2}, "trial: must be 4, but got 2"),
        (4, {"parameters": {"x1": 1.0}}, "it is not in the space of the study: it has no x2"),
    ],
    ids=str,
)
def test_a_suggestion_that_cannot_be_used_is_refused(
    half: StudyFolder, trial: int, changes: dict[str, Any], problem: str
) -> None:
    path = change(half.suggestion_uri(trial), **changes)
    assert said(half.read) == f"{path}: damaged suggestion: {problem}; {Suggestion.way_out}"


# --- writing -----------------------------------------------------------------------------------


def test_a_suggestion_that_is_there_stays_and_is_returned(root: str) -> None:
    folder = write_folder(root, STUDY, FIRST[:1])
    others = [a_suggestion(STUDY, trial, POINTS[1]) for trial in (1, 2)]
    assert folder.write_suggestions(others) == [FIRST[0], others[1]]
    assert folder.read_suggestion(1) == FIRST[0]


def test_a_claim_is_given_once(root: str) -> None:
    folder = StudyFolder(root, STUDY)
    assert folder.claim(a_claim(1, 1))
    assert folder.claim(a_claim(1, 1))  # an answer that was lost
    assert not folder.claim(a_claim(1, 1, token="b"))
    assert folder.claim(a_claim(1, 2, token="b"))


def test_an_attempt_has_one_record(root: str) -> None:
    folder = write_folder(root, STUDY, FIRST, LEDGER)
    folder.write_record(LEDGER[0])
    with pytest.raises(ExistsError):
        folder.write_record(a_record(STUDY, 1, 9.0))
    assert folder.read_record(1, 1) == LEDGER[0]


def test_a_study_file_lies_under_its_digest(root: str) -> None:
    folder = StudyFolder(root, STUDY)
    uri = folder.write_study(b"name: branin\n")
    assert uri == folder.write_study(b"name: branin\n") == study_uri(root, b"name: branin\n")
    assert uri == f"{root}/study/fd8f3edec02cbff87b3a47c2a5c21ff8c07f88220545217830ea8ff24de76425.yaml"
    assert storage.read(uri, limit=100) == b"name: branin\n"


def test_a_slash_at_the_end_of_a_root_changes_nothing(root: str) -> None:
    assert StudyFolder(f"{root}/", STUDY).record_uri(1, 2) == f"{root}/trials/000001/record-2.json"


# --- retries -----------------------------------------------------------------------------------


def test_a_trial_that_was_tried_again_counts_with_its_new_record(half: StudyFolder) -> None:
    half.retry("job-1", [2])
    again = a_record(STUDY, 2, 0.25, attempt=2, parameters=POINTS[1])
    half.write_record(again)
    # What was proposed from the old record stays.
    assert half.read() == Trials({1: LEDGER[0], 2: again}, {3: SECOND[0], 4: SECOND[1]})


def test_after_a_retry_parameters_are_still_compared(half: StudyFolder) -> None:
    half.retry("job-1", [2])
    half.write_record(a_record(STUDY, 2, 0.25, attempt=2, parameters=POINTS[0]))
    assert said(half.read) == (f"{half.record_uri(2, 2)}: trial 2 was proposed with other parameters; {Record.way_out}")


def test_a_damaged_list_of_retries_is_left_out(half: StudyFolder, caplog: pytest.LogCaptureFixture) -> None:
    half.retry("job-1", [2])
    path = change(f"{half.root}/retries/job-1.json", trials=[0])
    assert half.read().ledger == LEDGER
    assert caplog.messages == [
        f"left out: {path}: damaged list of retried trials: trials.0: must be greater than or equal to 1, but got 0; "
        f"{Retry.way_out}"
    ]


# --- folds -------------------------------------------------------------------------------------


@pytest.fixture
def _small_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "FOLD", 10)


@pytest.fixture
def folded(_small_folds: None, tmp_path: Path) -> tuple[StudyFolder, list[Record]]:
    """Return a folder of 25 trials whose first 20 are in folds, and its ledger."""
    batch = a_batch(STUDY, POINTS * 13)[:25]
    ledger = records_of(STUDY, batch, [None, *map(float, range(1, 25))])
    folder = write_folder(tmp_path, STUDY, batch, ledger)
    folder.fold(ledger)
    return folder, ledger


Folded = tuple[StudyFolder, list[Record]]


def test_folds_hold_the_records_of_whole_blocks(folded: Folded) -> None:
    folder, ledger = folded
    assert sorted(path.name for path in Path(folder.root).glob("ledger-*")) == [
        "ledger-00000010.jsonl", "ledger-00000020.jsonl",
    ]  # fmt: skip
    assert Path(folder.fold_uri(20)).read_bytes() == ledger_lines(ledger[10:20])
    assert folder.read() == Trials({record.trial: record for record in ledger})


def test_what_is_folded_is_not_read_from_its_records(folded: Folded) -> None:
    folder, ledger = folded
    for number in range(1, 21):
        shutil.rmtree(Path(folder.root) / "trials" / f"{number:06d}")
    assert folder.read().ledger == ledger


def test_everyone_writes_the_same_folds(folded: Folded) -> None:
    folder, ledger = folded
    before = contents(folder.root)
    folder.fold(ledger)
    folder.fold(ledger[:12])
    assert contents(folder.root) == before


@pytest.mark.usefixtures("_small_folds")
def test_a_ledger_with_a_gap_is_folded_up_to_it(tmp_path: Path) -> None:
    batch = a_batch(STUDY, POINTS * 15)
    ledger = records_of(STUDY, batch, [0.5] * 30)
    folder = write_folder(tmp_path, STUDY, batch, [*ledger[:14], *ledger[15:]])
    folder.fold([*ledger[:14], *ledger[15:]])
    assert [path.name for path in tmp_path.glob("ledger-*")] == ["ledger-00000010.jsonl"]
    assert list(folder.read().pending) == [15]


def test_a_retry_of_a_folded_trial_counts_before_what_is_folded(folded: Folded) -> None:
    folder, ledger = folded
    folder.retry("job-1", [1])
    again = a_record(STUDY, 1, 0.25, attempt=2, parameters=POINTS[0])
    folder.write_record(again)
    assert folder.read().ledger == [again, *ledger[1:]]
    folder.fold(folder.read().ledger)  # the fold that is there stays
    assert Path(folder.fold_uri(10)).read_bytes() == ledger_lines(ledger[:10])
    assert folder.read().ledger == [again, *ledger[1:]]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda lines: lines[:9], ": damaged record: must have 10 whole lines"),
        (lambda lines: [*lines[:9], lines[9][:-1]], ": damaged record: must have 10 whole lines"),
        (lambda _: [], ": damaged record: must have 10 whole lines"),
        (
            lambda lines: [lines[1], lines[0], *lines[2:]],
            ", line 1: damaged record: must be trial 11, but got trial 12",
        ),
        (lambda lines: [*lines[:3], b"{\n", *lines[4:]], ", line 4: damaged record: EOF while parsing an object"),
    ],
    ids=["a line is missing", "cut off", "empty", "order", "damaged"],
)
@pytest.mark.parametrize("has_records", [True, False])
def test_a_damaged_fold_is_named_and_made_again_once_it_is_deleted(
    has_records: bool,
    folded: Folded,
    damage: Callable[[list[bytes]], list[bytes]],
    problem: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder, ledger = folded
    path = Path(folder.fold_uri(20))
    path.write_bytes(b"".join(damage(path.read_bytes().splitlines(keepends=True))))
    if has_records:
        assert folder.read().ledger == ledger
        (message,) = caplog.messages
    else:
        aside = [(Path(folder.record_uri(number, 1)), folder.root + f"/{number}") for number in range(11, 21)]
        for record, other in aside:
            record.rename(other)
        message = f"left out: {said(folder.read)}"
        for record, other in aside:
            Path(other).rename(record)
    assert message.startswith(f"left out: {path}{problem}")
    assert message.endswith("; delete the file; it is made again from the records")
    path.unlink()
    assert folder.read().ledger == ledger
    folder.fold(folder.read().ledger)
    assert path.read_bytes() == ledger_lines(ledger[10:20])


def test_a_fold_of_another_study_is_refused(folded: Folded) -> None:
    folder, _ = folded
    message = said(StudyFolder(folder.root, a_study(direction="maximize")).read)
    assert message.startswith(f"{folder.root}/trials/")
    assert "/suggestion.json: the suggestion is of another study, 'branin'" in message


@pytest.mark.usefixtures("_small_folds")
def test_an_edited_record_of_a_fold_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    batch = a_batch(STUDY, POINTS * 5)
    ledger = records_of(STUDY, batch, [0.5] * 10)
    following = a_batch(STUDY, POINTS, iteration=2, first=11, ledger=ledger)
    folder = write_folder(tmp_path, STUDY, [*batch, *following], ledger)
    folder.fold(ledger)
    path = Path(folder.fold_uri(10))
    path.write_bytes(path.read_bytes().replace(b'"value":0.5', b'"value":0.4', 1))
    assert folder.read().records[1].value == 0.4
    (message,) = caplog.messages
    assert message.startswith(f"{tmp_path}: trial 12 was proposed from other records than those that are here")


def test_2500_trials_are_read_with_their_folds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folder_module, "FOLD", 100)
    batch = a_batch(STUDY, POINTS * 1250)
    ledger = records_of(STUDY, batch, [0.5] * 2500)
    folder = StudyFolder(str(tmp_path), STUDY)
    folder.fold(ledger[:2400])
    write_folder(tmp_path, STUDY, batch[2400:], ledger[2400:2450])
    trials = folder.read()
    assert trials.ledger == ledger[:2450]
    assert sorted(trials.pending) == list(range(2451, 2501))


@pytest.mark.usefixtures("_small_folds")
def test_folds_are_read_from_a_bucket(bucket: str) -> None:
    batch = a_batch(STUDY, POINTS * 6)
    ledger = records_of(STUDY, batch, [0.5] * 12)
    folder = write_folder(f"{bucket}/folded", STUDY, batch, ledger)
    folder.fold(ledger)
    for number in range(1, 11):
        storage.delete(folder.record_uri(number, 1))
    assert folder.read().ledger == ledger
