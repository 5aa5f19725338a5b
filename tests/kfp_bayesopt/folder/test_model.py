"""`best --model`: what is fetched is what the trial wrote, whole, and below its folder; else it is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import UserError, shown_name
from kfp_bayesopt.folder.model import fetch_model
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session.copying import copy_folder
from kfp_bayesopt.store import storage
from kfp_bayesopt.trial.checkpoint import checkpoint
from kfp_bayesopt.trial.output_files import OutputFiles
from kfp_bayesopt.trial.process.sessions import Sessions
from tests.builders import a_batch, a_record, a_study, write_folder

VALUES = (1.0, 0.5, 2.0)


@pytest.fixture(params=["here", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a study folder on a disk and one in a bucket."""
    return str(tmp_path / "out") if request.param == "here" else f"{request.getfixturevalue('bucket')}/s"


def a_folder(root: str, tmp_path: Path, **changes: Any) -> StudyFolder:
    """Return a folder of three trials, whose models are the files `w` and `a/b`; the second is the best."""
    study = a_study(**changes)
    batch = a_batch(study, [{"x1": 1.0, "x2": 2.0}] * 3)
    folder = write_folder(root, study, batch, [a_record(study, n, value) for n, value in enumerate(VALUES, 1)])
    for trial in (1, 2, 3):
        own = Path(folder.output_uri(trial, 1)) if storage.is_local(root) else tmp_path / f"output-{trial}"
        (own / "a").mkdir(parents=True)
        (own / "w").write_text(f"w of {trial}")
        (own / "a" / "b").write_text(f"b of {trial}")
        assert OutputFiles(folder, trial, 1, own, Sessions()).keep() is None
    return folder


def said(folder: StudyFolder, tmp_path: Path, trial: int = 2) -> str:
    """Return how a model is refused, of which nothing is there then."""
    with pytest.raises(UserError) as raised:
        list(fetch_model(folder, trial, tmp_path / "into"))
    assert not (tmp_path / "into").exists()
    assert not (tmp_path / ".into.part").exists()
    return raised.value.message


def _delete(folder: StudyFolder, *names: str) -> None:
    for name in names:
        storage.delete(f"{folder.output_uri(2, 1)}/{name}")


Damage = Callable[[StudyFolder], object]
DAMAGE: dict[str, tuple[Damage, str]] = {
    "deleted": (lambda folder: _delete(folder, "w"), "w is missing"),
    "cut off": (lambda folder: storage.replace(f"{folder.output_uri(2, 1)}/w", b"w"), "w has 1 bytes, not 6"),
    "changed": (lambda folder: storage.replace(f"{folder.output_uri(2, 1)}/w", b"other!"), "w was changed"),
    "emptied": (
        lambda folder: _delete(folder, "w", "a/b"),
        "a/b is missing, and 1 more",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_model_that_is_not_whole_is_refused_and_the_next_best_whole_one_is_named(
    root: str, tmp_path: Path, damage: str
) -> None:
    folder = a_folder(root, tmp_path)
    do, what = DAMAGE[damage]
    do(folder)
    assert said(folder, tmp_path) == (
        f"trial 2: its model is not whole: of its 2 files {what}; the next best trial with a whole one is 1 (1.0): "
        "TRIAL=1"
    )
    storage.replace(f"{folder.output_uri(1, 1)}/a/b", b"other..")
    assert said(folder, tmp_path).endswith("the next best trial with a whole one is 3 (2.0): TRIAL=3")
    storage.delete(f"{folder.output_uri(3, 1)}/w")
    assert said(folder, tmp_path).endswith(
        "no other trial has a whole one; have the objective save its model to BAYESOPT_OUTPUT, and run it again"
    )


def test_a_whole_model_is_fetched(root: str, tmp_path: Path) -> None:
    folder = a_folder(root, tmp_path)
    assert list(fetch_model(folder, 2, tmp_path / "into")) == [f"2 files of trial 2 in {tmp_path}/into"]
    assert (tmp_path / "into" / "w").read_text() == "w of 2"
    assert (tmp_path / "into" / "a" / "b").read_text() == "b of 2"


def test_of_several_objectives_the_next_best_is_named_too(tmp_path: Path) -> None:
    study = a_study(
        objectives={"a": "minimize", "b": "minimize"}, optimizer={"engine": "gp"}, objective={"python": "m:f"}
    )
    records = [a_record(study, n, values={"a": 1.0, "b": float(n)}) for n in (1, 2)]
    folder = write_folder(tmp_path / "out", study, a_batch(study, [{"x1": 1.0, "x2": 2.0}] * 2), records)
    own = Path(folder.output_uri(2, 1))
    own.mkdir()
    (own / "w").touch()
    OutputFiles(folder, 2, 1, own, Sessions()).keep()
    assert said(folder, tmp_path, 1).endswith("the next best trial with a whole one is 2 (a 1.0, b 2.0): TRIAL=2")


def test_what_the_trial_did_not_write_is_left_out_by_name(bucket: str, tmp_path: Path) -> None:
    folder = a_folder(f"{bucket}/s", tmp_path)
    uri = folder.output_uri(2, 1)
    for name in (f"{tmp_path}/outside", "../../../../outside", "a//b", "x\\y", "later"):
        storage.create(f"{uri}/{name}", b"evil")
    lines = list(fetch_model(folder, 2, tmp_path / "into"))
    assert lines[0] == f"2 files of trial 2 in {tmp_path}/into"
    outside = shown_name(f"{tmp_path}/outside")
    assert lines[1] == f"left out, because the trial did not write it: {outside}, a//b, later, x\\y"
    assert sorted(path.name for path in (tmp_path / "into").rglob("*")) == ["a", "b", "w"]
    assert not (tmp_path / "outside").exists()


def test_a_list_that_names_a_file_outside_writes_nothing_there(root: str, tmp_path: Path) -> None:
    folder = a_folder(root, tmp_path)
    manifest = folder.read_manifest(2, 1)
    assert manifest is not None
    evil = manifest.files[0].model_copy(update={"name": "../../outside", "object": "w", **_of(manifest, "w")})
    content = manifest.model_copy(update={"files": [evil]}).to_bytes()
    storage.replace(folder.manifest_uri(2, 1), content)
    with pytest.raises(UserError, match=r"a name of a file below a folder has no empty part"):
        list(fetch_model(folder, 2, tmp_path / "deep" / "into"))
    assert not (tmp_path / "outside").exists()


def _of(manifest: Any, name: str) -> dict[str, Any]:
    file = next(file for file in manifest.files if file.name == name)
    return {"size": file.size, "md5": file.md5}


def test_a_model_is_never_written_through_a_link(root: str, tmp_path: Path) -> None:
    folder = a_folder(root, tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "w").write_text("mine")
    (tmp_path / ".into.part").symlink_to(tmp_path / "mine")
    list(fetch_model(folder, 2, tmp_path / "into"))
    assert not (tmp_path / "into").is_symlink()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is there already"):
        list(fetch_model(folder, 2, tmp_path / "link"))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["w"]
    assert (tmp_path / "mine" / "w").read_text() == "mine"


def test_a_folder_without_lists_works_as_before_and_says_that_nothing_was_checked(root: str, tmp_path: Path) -> None:
    folder = a_folder(root, tmp_path)
    for trial in (1, 2, 3):
        storage.delete(folder.manifest_uri(trial, 1))
    if not storage.is_local(root):
        storage.create(f"{folder.output_uri(2, 1)}/{tmp_path}/outside", b"evil")
    lines = list(fetch_model(folder, 2, tmp_path / "into"))
    assert lines[:2] == [
        f"2 files of trial 2 in {tmp_path}/into",
        "not checked: there is no list of what the trial wrote, which older versions do not keep",
    ]
    left_out = f"left out, because the trial did not write it: {shown_name(f'{tmp_path}/outside')}"
    assert lines[2:] == ([] if storage.is_local(root) else [left_out])
    assert (tmp_path / "into" / "w").read_text() == "w of 2"


def test_a_damaged_list_is_refused_by_name(root: str, tmp_path: Path) -> None:
    folder = a_folder(root, tmp_path)
    storage.replace(folder.manifest_uri(2, 1), storage.read(folder.manifest_uri(3, 1), 10_000))
    assert said(folder, tmp_path) == (
        f"{folder.manifest_uri(2, 1)}: damaged list of files: must be trial 2, attempt 1, but got 3, 1; restore it "
        "from a copy; where it is deleted, the files of the trial are no longer checked"
    )


# --- what else is fetched by names of objects ----------------------------------------------------


def test_a_checkpoint_is_fetched_below_its_folder_and_nothing_outside(
    bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_folder(f"{bucket}/s", a_study(checkpoint=True))
    uri = folder.checkpoint_uri(1)
    for name in ("epoch", "a/b", "/outside", "c//d"):
        storage.create(f"{uri}/{name}", name.encode())
    with Sessions() as sessions, checkpoint(folder, 1, sessions) as saved:
        assert saved is not None
        found = {path.relative_to(saved).as_posix(): path.read_text() for path in saved.rglob("*") if path.is_file()}
    assert found == {"epoch": "epoch", "a/b": "a/b"}
    assert [message.partition(": is not fetched: a name of a file below")[0] for message in caplog.messages] == [
        f"'{uri}//outside'",
        f"'{uri}/c//d'",
    ]


# --- copies of whole studies ---------------------------------------------------------------------


def test_a_model_survives_a_copy_to_the_bucket_and_back(bucket: str, tmp_path: Path) -> None:
    here, there, back = str(tmp_path / "here"), f"{bucket}/there", str(tmp_path / "back")
    study = a_study()
    write_folder(here, study, a_batch(study, [{"x1": 1.0, "x2": 2.0}]), [a_record(study, 1)])
    folder = StudyFolder(here, study)
    own = Path(folder.output_uri(1, 1))
    (own / ".git").mkdir(parents=True)
    for name in ("w", ".git/x", "new\nline"):
        (own / name).write_text(name)
    (own / "last").symlink_to("w")
    (tmp_path / "secret").write_text("not yours")
    (own / "outside").symlink_to(tmp_path / "secret")
    (own / "everything").symlink_to("/")
    OutputFiles(folder, 1, 1, own, Sessions()).keep()
    copied = copy_folder(here, there)
    assert copied.left_out == ("trials/000001/output-1/new\nline",)
    copy_folder(there, back)
    kept = {path.relative_to(back).as_posix() for path in Path(back).rglob("output-1/**/*") if path.is_file()}
    assert kept == {f"trials/000001/output-1/{name}" for name in ("w", ".git/x", "last")}
    assert "its model is not whole: of its 4 files 'new\\nline' is missing" in said(
        StudyFolder(there, study), tmp_path, 1
    )
    assert copy_folder(here, there).new == 0


def test_a_large_model_is_copied_part_by_part(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kfp_bayesopt.session.copying.MOST_BYTES", 100_000)
    study = a_study()
    folder = write_folder(tmp_path / "here", study, a_batch(study, [{"x1": 1.0, "x2": 2.0}]), [a_record(study, 1)])
    own = Path(folder.output_uri(1, 1))
    own.mkdir()
    (own / "w").write_bytes(bytes(9 << 20))
    OutputFiles(folder, 1, 1, own, Sessions()).keep()
    copy_folder(folder.root, f"{bucket}/there")
    assert list(fetch_model(StudyFolder(f"{bucket}/there", study), 1, tmp_path / "into"))
    assert copy_folder(folder.root, f"{bucket}/there").new == 0


def test_a_copy_writes_nothing_outside_of_its_folder_nor_through_a_link(bucket: str, tmp_path: Path) -> None:
    study = a_study()
    root, back = f"{bucket}/there", tmp_path / "deep" / "back"
    write_folder(root, study, a_batch(study, [{"x1": 1.0, "x2": 2.0}]), [a_record(study, 1)])
    evil = (f"trials/000001/output-1/{tmp_path}/outside", "trials/000001/output-1/a//outside")
    # Names with parts that begin with a dot are nobody's, and never listed.
    for name in (*evil, "trials/000001/output-1/../../../../outside", "iteration-1/.."):
        storage.create(f"{root}/{name}", b"evil")
    copied = copy_folder(root, str(back))
    assert copied.left_out == tuple(sorted(evil))
    assert not list(tmp_path.rglob("outside"))
    shutil.rmtree(back / "trials")
    (tmp_path / "elsewhere").mkdir()
    (back / "trials").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError) as raised:
        copy_folder(root, str(back))
    assert raised.value.message == (f"{back}/trials: is a link, and nothing is written through one; remove it")
    assert not list((tmp_path / "elsewhere").iterdir())
