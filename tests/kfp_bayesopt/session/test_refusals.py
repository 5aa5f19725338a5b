"""A run that is refused leaves the study folder as it was, and what is beside it: names, bytes and modes."""

from __future__ import annotations

import errno
import functools
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.jobs import Job
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session.opening import open_job
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline import pipeline_file
from kfp_bayesopt_pipeline.places import compose, kfp_local
from kfp_bayesopt_pipeline.places.in_process import Options, run
from tests.builders import a_study, study_text, write_study

CODE = "def objective(x1, x2): return x1 + x2\n"
CSV = "value,parameter.x1\n1.0,2.0\n"
ENGINE = {"optimizer": {"engine": "gp"}, "iterations": 1}


def tree(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Return all that is in a folder, hidden files too: modes and bytes by name."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a study of two trials, `study`, that has run in `out`."""
    folder = tmp_path_factory.mktemp("begun")
    run(str(write_study(folder / "study", CODE, **ENGINE)), str(folder / "out"), 1, Options())
    return folder


@pytest.fixture
def here(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of it, in which the test runs."""
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    (tmp_path / "table.csv").write_text(CSV)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _study(**changes: Any) -> None:
    write_study(Path("study"), CODE, **{**ENGINE, **changes})


def _a_job(place: str, **how: Any) -> None:
    """Leave a job that has not ended."""
    study = Study.from_file("study/study.yaml")
    opened = open_job(
        StudyFolder("out", study), Path("study/study.yaml").read_bytes(), place, job="job-1", code=None, **how
    ).job
    path = Path("out/jobs/job-1.json")
    path.write_bytes(opened.model_copy(update={"process": 2**22 + 1}).to_bytes())  # no machine has such a process


def _another_study() -> None:
    _study(direction="maximize", warm_start=["../table.csv"])


def _other_code() -> None:
    _a_job("in-process")
    Path("study/mine.py").write_text(CODE.replace("+", "-"))
    _study_as_it_is(warm_start=["../table.csv"])


def _study_as_it_is(**changes: Any) -> None:
    Path("study/study.yaml").write_bytes(study_text(objective={"python": "mine:objective"}, **{**ENGINE, **changes}))


def _a_running_job() -> None:
    _a_job("vertex")
    _study(warm_start=["../table.csv"])


def _a_missing_source() -> None:
    _study(warm_start=["../table.csv", "../nowhere.csv"])


def _a_damaged_record() -> None:
    _study(warm_start=["../table.csv"])
    Path("out/trials/000001/record-1.json").write_text("{")


def _damaged_earlier_trials() -> None:
    Path("out/earlier.jsonl").write_text("{")


def _an_engine_that_knows_none() -> None:
    _study(optimizer={"engine": "skopt"}, direction="maximize")


REFUSED: dict[str, tuple[Callable[[], None], dict[str, Any], str]] = {
    "another study": (_another_study, {}, "holds another study"),
    "other code, and a job that is over": (_other_code, {}, "have changed since"),
    "a job that has not ended": (_a_running_job, {"join": False}, "has not ended"),
    "a job that is not there": (lambda: None, {"ended": "job-7"}, "has no job 'job-7'"),
    "a missing source": (_a_missing_source, {}, "nowhere.csv"),
    "a missing source, started again": (_a_missing_source, {"fresh": True}, "nowhere.csv"),
    "a damaged record": (_a_damaged_record, {}, "damaged record"),
    "damaged earlier trials": (_damaged_earlier_trials, {}, "damaged earlier trials"),
    "an engine that learns nothing of others": (_an_engine_that_knows_none, {"keep": True}, "knows no trials"),
    "a second worker of batches": (lambda: None, {"join": True}, "this one has batches"),
    "start again and join": (lambda: None, {"join": True, "fresh": True}, "exclude each other"),
    "keep and join": (lambda: None, {"join": True, "keep": True}, "exclude each other"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_run_that_is_refused_leaves_everything_as_it_was(
    here: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, options, said = REFUSED[name]
    prepare()
    if name == "a job that has not ended":
        _let_jobs_run(monkeypatch)
    before = tree(here)
    with pytest.raises(UserError, match=said):
        run("study/study.yaml", "out", 1, Options(**options))
    assert tree(here) == before


def _let_jobs_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be unknown whether jobs of a folder here run, as it is in a bucket."""
    real = open_job

    def asked(*arguments: Any, **options: Any) -> Any:
        return real(*arguments, **{**options, "is_running": lambda _: None})

    monkeypatch.setattr("kfp_bayesopt.session.session.open_job", asked)


def test_in_a_new_folder_it_leaves_no_folder(here: Path) -> None:
    before = {name for name in tree(here) if not name.startswith("study")}
    for changes, root in (({"warm_start": ["../nowhere.csv"]}, "new/er"), ({}, "b2://bucket/x"), ({}, "gs:/bucket/x")):
        _study(**changes)
        with pytest.raises(UserError):
            run("study/study.yaml", root, 1, Options())
    assert {name for name in tree(here) if not name.startswith("study")} == before


@pytest.mark.parametrize("root", ["out", "new/er"])
def test_on_a_full_disk_too(here: Path, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _study(iterations=2, warm_start=["../table.csv"])
    before = tree(here)

    def full(handle: int) -> None:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        run("study/study.yaml", root, 1, Options())
    assert tree(here) == before


@pytest.mark.usefixtures("here")
def test_the_next_suggestions_are_those_of_a_folder_that_nobody_was_refused_in() -> None:
    shutil.copytree("out", "clean")
    _another_study()
    with pytest.raises(UserError):
        run("study/study.yaml", "out", 1, Options())
    _study(iterations=3)
    for root in ("out", "clean"):
        run("study/study.yaml", root, 1, Options())
    found, clean = (Path(root, "trials.jsonl").read_text().splitlines() for root in ("out", "clean"))
    assert [json.loads(line)["parameters"] for line in found] == [json.loads(line)["parameters"] for line in clean]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import", "study/study.yaml", "--out", "new", "--from", "nowhere.csv"], "nowhere.csv"),
        (["import", "study/other.yaml", "--out", "out", "--from", "table.csv"], "holds another study"),
        (["download", "study/study.yaml", "--out", "new", "--root", "nowhere"], "no such folder"),
        (["download", "study/other.yaml", "--out", "new", "--root", "out"], "holds another study"),
        (["upload", "study/other.yaml", "--out", "out", "--root", "new"], "holds another study"),
        (["report", "study/other.yaml", "--out", "out"], "holds another study"),
        (["delete", "study/study.yaml", "--all", "--yes", "--out", "out", "--ended", "no-job"], "has no job 'no-job'"),
    ],
)
def test_other_commands_that_are_refused_leave_everything_too(here: Path, arguments: list[str], said: str) -> None:
    Path("study/other.yaml").write_bytes(study_text(direction="maximize", **ENGINE))
    before = tree(here)
    ended = CliRunner().invoke(cli, arguments)
    assert ended.exit_code == 1
    assert said in ended.output
    assert tree(here) == before


def test_so_does_a_run_on_the_engine_of_kfp(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kfp_local, "images_that_run", lambda *_: {"evaluate": f"a/evaluate@sha256:{'a' * 64}"})
    monkeypatch.setattr(pipeline_file, "compiled", lambda *_: b"")
    _another_study()
    before = tree(here)
    ended = CliRunner().invoke(cli, ["run-kfp", "study/study.yaml", "--out", "out"])
    assert "holds another study" in ended.output
    assert tree(here) == before


@pytest.mark.parametrize("changes", [{}, {"warm_start": ["../nowhere.csv"]}])
def test_so_does_a_run_in_containers(here: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    """There is no Docker: what the folder holds stays in its place."""
    _study(**changes)
    monkeypatch.setenv("PATH", str(here / "no-programs"))
    images = {step: f"a/{step}@sha256:{'a' * 64}" for step in ("init", "evaluate", "update", "report")}
    before = tree(here)
    for target in (here / "out", here / "new" / "er"):
        with pytest.raises(UserError, match="docker is not installed" if not changes else "nowhere.csv"):
            compose.run(Study.from_file("study/study.yaml"), here / "study" / "study.yaml", images, target)
    assert tree(here) == before


def test_in_a_bucket_a_job_that_is_refused_writes_nothing(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(CSV)
    root, first = f"{bucket}/refusals", study_text(**ENGINE)
    open_job(StudyFolder(root, a_study(**ENGINE)), first, "vertex", job="job-1", code=None)
    before = {entry.uri: entry.created for entry in storage.entries(f"{root}/")}
    warm = {**ENGINE, "warm_start": ["table.csv"]}
    for changes, is_over, said in (
        ({**warm, "direction": "maximize"}, True, "holds another study"),
        (warm, False, "has not ended"),
        ({**ENGINE, "warm_start": ["nowhere.csv"]}, True, "nowhere.csv"),
    ):
        folder = StudyFolder(root, a_study(**changes))
        answer = False if is_over else None
        with pytest.raises(UserError, match=said):
            open_job(
                *(folder, study_text(**changes), "vertex"), job="job-2", code=None, beside=tmp_path,
                is_running=functools.partial(_answer, answer),
            )  # fmt: skip
    assert {entry.uri: entry.created for entry in storage.entries(f"{root}/")} == before


def _answer(is_running: bool | None, _job: Job) -> bool | None:
    return is_running
