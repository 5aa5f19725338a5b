"""A study folder is copied between places, and deleted: only what belongs to a study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.jobs import end
from kfp_bayesopt.folder.publish import publish
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session.copying import Copied, copy_folder, delete_results, delete_study, names_in
from kfp_bayesopt.session.opening import open_job
from kfp_bayesopt.store import storage
from tests import ROOT
from tests.builders import a_batch, a_record, a_study, study_text, write_folder


def _study_folder(root: str, trials: int = 2, value: float = 0.5) -> StudyFolder:
    """Write a folder with a job, trials, their results, and files that are nobody's."""
    study = a_study()
    folder = StudyFolder(root, study)
    open_job(folder, study_text(), "vertex", job="job-1", code=None)
    end(root, "job-1", "succeeded", None, "report")
    batch = a_batch(study, [{"x1": 1.0, "x2": 2.0}] * trials)
    records = [a_record(study, trial, value) for trial in range(1, trials + 1)]
    write_folder(root, study, batch, records)
    publish(folder, records)
    storage.create(f"{root}/trials/000001/log-1.txt", b"epoch 1\n")
    storage.create(f"{root}/notes.txt", b"mine")
    storage.create(f"{root}/pipeline.yaml", b"compiled")
    return folder


def _same(first: str, second: str) -> bool:
    names = names_in(first)
    return names == names_in(second) and all(
        storage.read(f"{first}/{name}", 10**6) == storage.read(f"{second}/{name}", 10**6) for name in names
    )


def test_a_folder_is_copied_whole_and_without_what_is_not_of_the_study(any_bucket: str, tmp_path: Path) -> None:
    here, there, back = str(tmp_path / "here"), f"{any_bucket}/there", str(tmp_path / "back")
    folder = _study_folder(here)
    (tmp_path / "here" / ".lock").write_text("")
    copied = copy_folder(here, there)
    assert copied.kept == 0
    assert _same(here, there)
    assert StudyFolder(there, folder.study).read() == folder.read()
    copy_folder(there, back)
    assert _same(here, back)
    assert not {".lock", "notes.txt", "pipeline.yaml"} & {path.name for path in Path(back).iterdir()}


def test_what_went_on_is_added_and_results_are_replaced(any_bucket: str, tmp_path: Path) -> None:
    here, there = str(tmp_path / "here"), f"{any_bucket}/there"
    _study_folder(here)
    first = copy_folder(here, there)
    assert copy_folder(here, there) == Copied(0, first.new)
    study = a_study()
    batch = a_batch(study, [{"x1": 3.0, "x2": 4.0}], first=3)
    folder = write_folder(here, study, batch, [a_record(study, 3, 0.125, parameters=batch[0].parameters)])
    publish(folder, folder.read().ledger)
    assert copy_folder(here, there) == Copied(2, first.new)
    assert _same(here, there)


def test_two_that_went_on_by_themselves_are_refused_and_nothing_is_copied(any_bucket: str, tmp_path: Path) -> None:
    here, there = str(tmp_path / "here"), f"{any_bucket}/there"
    _study_folder(here, trials=3)
    study = a_study()
    write_folder(there, study, a_batch(study, [{"x1": 1.0, "x2": 2.0}]), [a_record(study, 1, 0.25)])
    before = names_in(there)
    with pytest.raises(UserError) as raised:
        copy_folder(here, there)
    assert raised.value.message == (
        f"{there}/trials/000001/record-1.json: differs from {here}/trials/000001/record-1.json, and neither ever "
        "changes: both folders went on by themselves; keep one of them, and copy it into an empty folder"
    )
    assert names_in(there) == before


def test_records_that_differ_in_a_digit_differ(tmp_path: Path) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    _study_folder(first, value=0.5)
    copy_folder(first, second)
    path = tmp_path / "second" / "trials" / "000002" / "record-1.json"
    content = path.read_text().replace("0.5", "0.6")
    path.unlink()
    path.write_text(content)
    with pytest.raises(UserError, match=r"000002/record-1\.json: differs from"):
        copy_folder(first, second)


def test_an_empty_folder_is_not_copied(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        copy_folder(str(tmp_path / "nowhere"), str(tmp_path / "out"))
    assert raised.value.message == (
        f"{tmp_path}/nowhere: no such folder; give its folder with --out or --root, or run the study first"
    )
    assert not (tmp_path / "out").exists()


def test_a_copy_that_is_stopped_leaves_no_record_without_its_suggestion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = str(tmp_path / "here")
    folder = _study_folder(here)
    total = len(names_in(here))
    create = storage.create
    for number in range(total):
        left, target = [number], f"{tmp_path}/{number}"

        def limited(uri: str, content: bytes, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            create(uri, content)

        monkeypatch.setattr(storage, "create", limited)
        try:
            copy_folder(here, target)
        except KeyboardInterrupt:
            StudyFolder(target, folder.study).read()  # it finds nothing wrong
        else:
            break
    else:
        pytest.fail("the last copy was to be whole")


def test_a_folder_of_the_first_version_is_copied_too(tmp_path: Path) -> None:
    old = ROOT / "tests" / "data" / "folder-1"
    copy_folder(str(old), str(tmp_path / "copy"))
    names = sorted(path.relative_to(old) for path in old.rglob("*") if path.is_file())
    copied = tmp_path / "copy"
    assert sorted(path.relative_to(copied) for path in copied.rglob("*") if path.is_file()) == names


# --- deletion ----------------------------------------------------------------------------------


@pytest.fixture(params=["here", "bucket", "s3_bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a study folder on a disk and one in a bucket."""
    return str(tmp_path / "study") if request.param == "here" else f"{request.getfixturevalue(request.param)}/deleted"


def test_results_are_deleted_and_can_be_made_again(root: str) -> None:
    folder = _study_folder(root)
    names = names_in(root)
    assert delete_results(root) == 4
    gone = names.keys() - names_in(root).keys()
    assert gone == {"best.json", "trials.jsonl", "failures.json", "summary.md"}
    publish(folder, folder.read().ledger)
    assert names_in(root) == names


def test_what_links_of_a_study_lead_to_is_never_deleted(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "empty").mkdir(parents=True)
    (theirs / "data.txt").write_text("precious")
    root = tmp_path / "study"
    _study_folder(str(root))
    output = root / "trials" / "000001" / "output-1"
    output.mkdir(parents=True, exist_ok=True)
    targets = {"data": theirs, "model.pt": theirs / "data.txt", "empty": theirs / "empty", "nowhere": tmp_path / "no"}
    for name, target in targets.items():
        (output / name).symlink_to(target)
    (root / "mine").symlink_to(theirs)
    (root / "jobs").rename(tmp_path / "jobs")
    (root / "jobs").symlink_to(tmp_path / "jobs")
    jobs = sorted((tmp_path / "jobs").rglob("*"))
    delete_study(str(root))
    assert sorted(path.name for path in root.iterdir()) == ["mine", "notes.txt", "pipeline.yaml"]
    assert (theirs / "data.txt").read_text() == "precious"
    assert sorted((tmp_path / "jobs").rglob("*")) == jobs


@pytest.mark.parametrize("delete", [delete_results, delete_study])
def test_a_study_folder_that_is_a_link_is_not_deleted(tmp_path: Path, delete: Callable[[str], int]) -> None:
    _study_folder(str(tmp_path / "study"))
    (tmp_path / "link").symlink_to(tmp_path / "study")
    names = names_in(str(tmp_path / "study"))
    with pytest.raises(UserError) as raised:
        delete(str(tmp_path / "link"))
    assert raised.value.message == (
        f"{tmp_path}/link: is a link to {tmp_path}/study, and nothing behind a link is deleted; give that folder"
    )
    assert names_in(str(tmp_path / "study")) == names


def test_all_of_a_study_is_deleted_and_nothing_beside_it(root: str) -> None:
    _study_folder(root)
    storage.create(f"{root}/figures/plot.txt", b"mine")
    count = len(names_in(root))
    assert delete_study(root) == count
    left = sorted(entry.uri.removeprefix(f"{root}/") for entry in storage.entries(f"{root}/"))
    assert left == ["figures/plot.txt", "notes.txt", "pipeline.yaml"]
    if storage.is_local(root):
        assert sorted(path.name for path in Path(root).iterdir()) == ["figures", "notes.txt", "pipeline.yaml"]
