"""Folders of the layout before 0.1.0: they are read, they go on, and damage is named with the way out."""

from __future__ import annotations

import json
import shutil
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.old_folder import read_old_folder
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Reason, Trials, digest_of
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.places.in_process import Options, run
from tests import ROOT
from tests.builders import a_study
from tests.conftest import Answer
from tests.ledgers import comparable, contents

DATA = ROOT / "tests" / "data"
# By name: the values of the trials that have a record, None where one failed; the suggestions without one.
KINDS: dict[str, tuple[dict[int, float | None], list[int]]] = {
    # The first layout, whose batches have no digest.
    "folder-1": ({1: 15.331645306279745, 2: 238.4455587734342, 3: 63.87634918975899, 4: 4.102008448371345}, []),
    "folder-old-finished": (
        {1: 24.129964413622268, 2: 20.74747737236692, 3: 34.36157762375586, 4: 148.71542901633956},
        [],
    ),
    "folder-old-skopt": (
        {1: 17.117802423039286, 2: 25.636791759237006, 3: 27.58283942437193, 4: 5.875965455869532},
        [],
    ),
    "folder-old-failed-trials": ({1: 0.0316227766016838, 2: 0.024396755144395103, 3: None, 4: None}, []),
    "folder-old-ended-early": ({1: 40.0, 2: 40.0, 3: 85.0, 4: 85.0}, []),
    "folder-old-stopped-between-batches": ({1: 24.129964413622268, 2: 20.74747737236692}, [3, 4]),
    "folder-old-stopped-in-a-batch": ({1: 0.0, 2: -0.07511195502542256, 4: 0.9197561668465266}, [3]),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
AGAIN = "delete the file and run the study again, so that the trial is evaluated again"
RESTORE = (
    "restore it from a copy or an earlier version of the object, or move it and the folders of later iterations aside, "
    "and the study goes on from the trials before"
)


def study_of(kind: str) -> Study:
    return Study.from_file(str(DATA / kind / "study.yaml"))


def copy_of(kind: str, folder: Path, **changes: str) -> tuple[str, str]:
    """Copy a study folder, and its study file beside it with changed keys; return where both are."""
    shutil.copytree(DATA / kind, folder / "out")
    lines = (DATA / kind / "study.yaml").read_text().splitlines()
    lines = [line for line in lines if line.partition(":")[0] not in changes]
    (folder / "study.yaml").write_text("\n".join([*lines, *(f"{key}: {value}" for key, value in changes.items()), ""]))
    return str(folder / "study.yaml"), str(folder / "out")


def upload(kind: str, bucket: str) -> str:
    root = f"{bucket}/studies/{kind}"
    for name, content in contents(str(DATA / kind)).items():
        storage.create(f"{root}/{name}", content)
    return root


def values_of(trials: Trials) -> dict[int, float | None]:
    return {number: record.value for number, record in trials.records.items()}


# --- reading -----------------------------------------------------------------------------------


def test_every_old_folder_is_tested() -> None:
    assert sorted(KINDS) == sorted(
        path.name for path in DATA.iterdir() if path.name.startswith(("folder-1", "folder-old"))
    )


@every_kind
def test_an_old_folder_is_read(kind: str) -> None:
    trials = read_old_folder(str(DATA / kind), study_of(kind))
    assert (values_of(trials), sorted(trials.pending)) == KINDS[kind]


@every_kind
def test_an_old_folder_in_a_bucket_is_read(kind: str, bucket: str) -> None:
    trials = read_old_folder(upload(kind, bucket), study_of(kind))
    assert trials == read_old_folder(str(DATA / kind), study_of(kind))


@every_kind
def test_reading_an_old_folder_writes_nothing(kind: str, tmp_path: Path) -> None:
    _, root = copy_of(kind, tmp_path)
    before = contents(root)
    StudyFolder(root, study_of(kind)).read()
    assert contents(root) == before


@every_kind
def test_the_records_of_an_old_folder_say_what_they_said(kind: str) -> None:
    folder = DATA / kind
    found = [json.loads(path.read_bytes()) for path in folder.glob("iteration-*/record-*.json")]
    ledger = StudyFolder(str(folder), study_of(kind)).read().ledger
    assert [
        (record.trial, record.iteration, json.dumps(record.parameters), record.state, record.started, record.seconds)
        for record in ledger
    ] == [
        (old["trial"], old["iteration"], json.dumps(old["parameters"]), old["state"], old["started"], old["seconds"])
        for old in sorted(found, key=lambda old: int(old["trial"]))
    ]
    assert {(record.format, record.attempt, record.machine) for record in ledger} == {(2, 1, "here")}


def test_a_failed_trial_of_an_old_folder_has_its_error_as_the_reason() -> None:
    kind = "folder-old-failed-trials"
    record = StudyFolder(str(DATA / kind), study_of(kind)).read().records[3]
    assert (record.state, record.values) == ("failed", {})
    assert record.reason == Reason(kind="raised", message="sh exited 3: no data")


def test_null_booleans_and_text_of_an_old_folder_keep_their_types() -> None:
    kind = "folder-old-ended-early"
    ledger = read_old_folder(str(DATA / kind), study_of(kind)).ledger
    assert [repr(record.parameters["kind"]) for record in ledger] == ["None", "'rbf'", "True", "1.0"]


def test_a_suggestion_of_an_old_folder_says_what_it_was_proposed_from() -> None:
    kind = "folder-old-stopped-between-batches"
    trials = read_old_folder(str(DATA / kind), study_of(kind))
    seen = [trials.pending[number].seen for number in (3, 4)]
    assert [(each.highest, each.pending, each.unknown) for each in seen] == [(2, [], []), (2, [], [3])]
    assert {each.ledger for each in seen} == {digest_of(trials.ledger)}
    assert {trials.pending[number].iteration for number in (3, 4)} == {2}


def test_a_folder_of_today_costs_one_request_more(answering: Any) -> None:
    asked: list[str] = []

    def nothing(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        handler.send_response(404)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    answer: Answer = nothing
    answering(answer)
    assert read_old_folder("gs://bucket/studies/branin", a_study()) == Trials()
    assert len(asked) == 1


# --- going on ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "changes", "evaluated"),
    [
        ("folder-1", {}, []),
        ("folder-1", {"iterations": "3"}, [5, 6]),
        ("folder-old-finished", {"iterations": "3"}, [5, 6]),
        ("folder-old-finished", {"iterations": "3", "optimizer": "{engine: sobol, random_state: 1}"}, [5, 6]),
        ("folder-old-skopt", {"iterations": "3"}, [5, 6]),
        ("folder-old-failed-trials", {"iterations": "3", "max_failed_trials": "4"}, [5, 6]),
        ("folder-old-ended-early", {}, []),
        ("folder-old-ended-early", {"iterations": "2", "stop": "{}"}, [5, 6, 7, 8]),
        ("folder-old-stopped-between-batches", {}, [3, 4, 5, 6]),
        ("folder-old-stopped-between-batches", {"iterations": "1"}, []),
        ("folder-old-stopped-between-batches", {"iterations": "2", "parallel_trials": "3"}, [3, 4, 5, 6]),
        ("folder-old-stopped-in-a-batch", {}, [3, 5, 6]),
    ],
    ids=str,
)
def test_an_old_folder_goes_on_and_evaluates_only_what_has_no_record(
    kind: str, changes: dict[str, str], evaluated: list[int], tmp_path: Path
) -> None:
    study, root = copy_of(kind, tmp_path, **changes)
    run(study, root, 2, Options())
    assert sorted(int(path.parent.name) for path in Path(root).glob("trials/*/record-1.json")) == evaluated
    trials = StudyFolder(root, Study.from_file(study)).read()
    assert sorted(trials.records) == sorted({*KINDS[kind][0], *evaluated})
    assert KINDS[kind][0].items() <= values_of(trials).items()
    # The results of the whole study are derived, and are those of the whole study now.
    after = {name: content for name, content in contents(root).items() if name not in {"best.json", "trials.jsonl"}}
    before = contents(str(DATA / kind))
    assert {name: after[name] for name in before if name in after} == {
        name: content for name, content in before.items() if name not in {"best.json", "trials.jsonl"}
    }
    ledger = (Path(root) / "trials.jsonl").read_bytes()
    run(study, root, 2, Options())
    assert (Path(root) / "trials.jsonl").read_bytes() == ledger


def test_an_old_folder_that_was_stopped_and_one_with_a_grown_budget_end_alike(tmp_path: Path) -> None:
    ledgers = []
    for kind in ("folder-old-finished", "folder-old-stopped-between-batches"):
        (tmp_path / kind).mkdir()
        study, root = copy_of(kind, tmp_path / kind, iterations="3")
        run(study, root, 2, Options())
        ledgers.append((Path(root) / "trials.jsonl").read_bytes())
    assert comparable(ledgers[0]) == comparable(ledgers[1])


def test_an_old_folder_in_a_bucket_goes_on(tmp_path: Path, bucket: str) -> None:
    kind = "folder-old-stopped-in-a-batch"
    root = upload(kind, bucket)
    study, _ = copy_of(kind, tmp_path)
    assert run(study, root, 2, Options()).completed == 6
    assert sorted(values_of(StudyFolder(root, Study.from_file(study)).read())) == [1, 2, 3, 4, 5, 6]


def test_failed_trials_of_an_old_folder_are_evaluated_again_only_when_that_is_asked_for(tmp_path: Path) -> None:
    study, root = copy_of("folder-old-failed-trials", tmp_path)
    run(study, root, 2, Options())
    assert not list(Path(root).glob("trials/*/record-*.json"))
    run(study, root, 2, Options(retry_failed=True))
    records = StudyFolder(root, Study.from_file(study)).read().records
    kinds = {number: record.reason and record.reason.kind for number, record in records.items()}
    assert kinds == {1: None, 2: None, 3: "exit", 4: "exit"}


# --- damage ------------------------------------------------------------------------------------


def said(root: str, study: Study) -> str:
    with pytest.raises(UserError) as caught:
        StudyFolder(root, study).read()
    return caught.value.message


def edit(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))
    return path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a finished old folder of 2 x 2 trials."""
    return Path(copy_of("folder-old-finished", tmp_path)[1])


STUDY = study_of("folder-old-finished")


def test_a_damaged_record_of_an_old_folder_is_evaluated_again_once_it_is_deleted(old: Path) -> None:
    path = old / "iteration-1" / "record-0.json"
    path.write_bytes(path.read_bytes()[:40])
    assert said(str(old), STUDY) == (f"{path}: damaged record: EOF while parsing a string at line 1 column 40; {AGAIN}")
    path.unlink()
    run(str(old.parent / "study.yaml"), str(old), 2, Options())
    trials = StudyFolder(str(old), STUDY).read()
    assert values_of(trials) == KINDS["folder-old-finished"][0]
    assert [path.parent.name for path in old.glob("trials/*/record-1.json")] == ["000001"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"value": None}, "value is required of a completed trial alone, and error of a failed one alone"),
        ({"trial": None}, "trial and parameters are required, but not of a skipped trial"),
        (
            {"started": "today"},
            "started: must be a time with its zone, such as 2026-01-01T12:00:00+00:00, but got 'today'",
        ),
        ({"extra": 1}, "extra: unknown key"),
        ({"format": 2}, "format: must be 1, but got 2"),
    ],
    ids=str,
)
def test_a_record_of_an_old_folder_that_contradicts_itself_is_refused(
    old: Path, changes: dict[str, Any], problem: str
) -> None:
    path = edit(old / "iteration-2" / "record-1.json", **changes)
    assert said(str(old), STUDY) == f"{path}: damaged record: {problem}; {AGAIN}"


@pytest.mark.parametrize("changes", [{"value": -100.0}, {"state": "failed", "value": None, "error": "no"}], ids=str)
def test_a_record_of_an_old_folder_that_was_edited_is_said_and_counts_as_it_is(
    old: Path, changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    edit(old / "iteration-1" / "record-0.json", **changes)
    assert StudyFolder(str(old), STUDY).read().records[1].value == changes["value"]
    assert caplog.messages[:1] == [
        f"{old}: iteration 2 was proposed from other records than those that are here, as if one of trials 1 to 2 was "
        f"edited since; the study goes on with what is here; {old}/iteration-1/trials.jsonl has the records of then"
    ]
    first = (old / "iteration-1" / "trials.jsonl").read_bytes().splitlines()[0]
    (old / "iteration-1" / "record-0.json").write_bytes(first)
    assert values_of(StudyFolder(str(old), STUDY).read()) == KINDS["folder-old-finished"][0]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"trial": 9}, "the batch has no trial 9; delete the file"),
        ({"parameters": {"x1": 2.5, "x2": 7.0}}, f"trial 1 of the batch has other parameters; {AGAIN}"),
        ({"parameters": {"x1": 2.5, "x2": 7}}, f"trial 1 of the batch has other parameters; {AGAIN}"),
        (
            {"iteration": 2},
            "the record is of iteration 2, but lies in the folder of iteration 1; move it back",
        ),
    ],
    ids=str,
)
def test_a_record_of_an_old_folder_that_was_not_proposed_is_refused(
    old: Path, changes: dict[str, Any], problem: str
) -> None:
    path = edit(old / "iteration-1" / "record-0.json", **changes)
    assert said(str(old), STUDY) == f"{path}: {problem}"


def test_two_records_of_a_trial_of_an_old_folder_are_named(old: Path) -> None:
    shutil.copy(old / "iteration-2" / "record-0.json", old / "iteration-2" / "record-7.json")
    assert said(str(old), STUDY) == (
        f"{old}/iteration-2/record-7.json: duplicate record of trial 3; {old}/iteration-2/record-0.json has it too; "
        "delete one"
    )


def test_a_skipped_record_of_an_old_folder_is_no_trial(old: Path) -> None:
    skipped = {"state": "skipped", "trial": None, "parameters": None, "value": None}
    shutil.copy(old / "iteration-2" / "record-0.json", old / "iteration-2" / "record-2.json")
    edit(old / "iteration-2" / "record-2.json", **skipped)
    assert values_of(StudyFolder(str(old), STUDY).read()) == KINDS["folder-old-finished"][0]


def test_records_of_an_old_folder_whose_batch_is_missing_are_refused(old: Path) -> None:
    path = old / "iteration-1" / "suggestions.json"
    content = path.read_bytes()
    path.unlink()
    assert said(str(old), STUDY) == (
        f"{old}/iteration-2/record-0.json: the record of a trial without a suggestion; restore {path} from a copy, or "
        "move iteration-2 and the folders of later iterations aside, and the study goes on from the trials before"
    )
    (old / "iteration-2").rename(old / "aside")
    assert list(StudyFolder(str(old), STUDY).read().records) == [1, 2]
    (old / "aside").rename(old / "iteration-2")
    path.write_bytes(content)
    assert values_of(StudyFolder(str(old), STUDY).read()) == KINDS["folder-old-finished"][0]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"iteration": 7}, "iteration: must be 2, but got 7"),
        ({"suggestions": [{"trial": 4, "parameters": {}}]}, "trial 3 must come next, but got trial 4"),
        ({"suggestions": [{"trial": 3, "parameters": {}}]}, "trial 3 is not in the space of the study: it has no x1"),
        ({"suggestions": None}, "suggestions: must be a valid list, but got None"),
    ],
    ids=str,
)
def test_a_damaged_batch_of_an_old_folder_is_refused(old: Path, changes: dict[str, Any], problem: str) -> None:
    path = edit(old / "iteration-1" / "suggestions.json", **changes)
    assert said(str(old), STUDY) == f"{path}: damaged batch of suggestions: {problem}; {RESTORE}"


def test_an_old_folder_of_another_study_is_refused_with_what_is_different(old: Path) -> None:
    text = (old / "study.yaml").read_text()
    other = Study.from_text(text.replace("name: branin", "name: other").encode())
    message = (
        f"{old}/init/suggestions.json: the batch of suggestions is of another study, 'branin' ('{STUDY.fingerprint}'), "
        "and not of {name!r} ({fingerprint}): {difference}; use the study file that it was made with, or another folder"
    )
    assert said(str(old), other) == message.format(
        name="other", fingerprint=other.fingerprint, difference="it has another name"
    )
    smaller = Study.from_text(text.replace("high: 10.0", "high: 2.0").encode())
    difference = "it has another space: its x1=2.5 does not lie between -5.0 and 2.0"
    assert said(str(old), smaller) == message.format(
        name="branin", fingerprint=smaller.fingerprint, difference=difference
    )
