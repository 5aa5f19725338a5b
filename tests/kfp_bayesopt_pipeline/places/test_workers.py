"""`make run` of an asynchronous study: workers as processes of this machine, killed and stopped from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from images.report.main import main as report
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.places import in_process as local
from tests import ROOT
from tests.builders import write_study

SPACE = {"x": {"type": "real", "low": 0.0, "high": 1.0}}
OBJECTIVE = """
import time
def objective(x):
    time.sleep({seconds})
    return (x - 0.3) ** 2
"""


def a_study_file(folder: Path, seconds: float = 0.05, **changes: Any) -> Path:
    asked = {
        "schedule": "asynchronous", "iterations": None, "trials": 12, "parallel_trials": 4, "space": SPACE,
        "optimizer": {"engine": "random"}, **changes,
    }  # fmt: skip
    return write_study(folder, OBJECTIVE.format(seconds=seconds), **asked)


def start(study: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pipeline", "run", str(study), "--out", str(study.parent / "out"), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(study: Path, *options: str) -> tuple[int, str, str]:
    with start(study, *options) as process:
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err


def ledger(study: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (study.parent / "out" / "trials.jsonl").read_text().splitlines()]


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the processes of the workers of a run."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    found = []
    for child in children:
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        if b"kfp_bayesopt_pipeline.places.workers" in command:
            found.append(int(child))
    return found


def until(condition: Any) -> Any:
    """Wait until something is so, and return it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it never was")


def begun(study: Path) -> list[Path]:
    return list((study.parent / "out").glob("trials/*/suggestion.json"))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return a_study_file(tmp_path)


def test_an_asynchronous_study_is_run_by_as_many_processes_as_are_asked_for(study: Path) -> None:
    status, out, err = run(study, "--jobs", "3")
    assert (status, err) == (0, "")
    assert out.startswith(f"branin: minimize mine:objective, 12 trials, 3 at a time; results in {study.parent}/out\n")
    assert sum(line.startswith("trial ") for line in out.splitlines()) == 12
    records = ledger(study)
    assert [record["trial"] for record in records] == list(range(1, 13))
    assert all("iteration" not in record for record in records)
    assert 1 < len({record["worker"] for record in records}) <= 3


@pytest.mark.long
def test_what_is_there_is_kept_and_a_larger_budget_goes_on(study: Path) -> None:
    run(study)
    before = ledger(study)
    a_study_file(study.parent, trials=16)
    status, out, _ = run(study)
    assert status == 0
    assert ledger(study)[:12] == before
    assert len(ledger(study)) == 16
    assert "12 of these trials were in" in out


@pytest.mark.long
@pytest.mark.parametrize(("first", "then"), [("batches", "asynchronous"), ("asynchronous", "batches")])
def test_one_line_changes_the_schedule_of_a_study_that_has_begun(first: str, then: str, tmp_path: Path) -> None:
    study = a_study_file(tmp_path, schedule=first)
    assert run(study)[0] == 0
    before = ledger(study)
    a_study_file(tmp_path, schedule=then, trials=20)
    assert run(study)[0] == 0
    assert ledger(study)[:12] == before
    assert [record["trial"] for record in ledger(study)] == list(range(1, 21))
    assert verified(study) == "20 same, 0 equally good, 0 not checked, 0 differs"


def verified(study: Path) -> str:
    command = [sys.executable, "-m", "pipeline", "verify", str(study), "--out", str(study.parent / "out")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()[-1]


@pytest.mark.long
def test_a_worker_that_is_killed_is_begun_again_and_finishes_what_it_had(tmp_path: Path) -> None:
    study = a_study_file(tmp_path, seconds=0.3)
    with start(study, "--jobs", "2") as process:
        (trial, *_) = until(lambda: begun(study))
        claim = json.loads((trial.parent / "claim-1.json").read_text())
        worker = int(claim["worker"].rpartition(":")[2])
        assert worker in workers_of(process)
        os.kill(worker, signal.SIGKILL)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert [record["trial"] for record in ledger(study)] == list(range(1, 13))
    assert "its worker gave no more sign of life" in err
    assert sum(line.startswith("trial ") for line in out.splitlines()) == 12


@pytest.mark.long
def test_a_run_that_is_told_to_stop_leaves_its_trials_to_the_next(tmp_path: Path) -> None:
    study = a_study_file(tmp_path, seconds=0.3)
    with start(study, "--jobs", "2") as process:
        until(lambda: len(begun(study)) >= 4)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    folder = StudyFolder(str(tmp_path / "out"), Study.from_file(study))
    left = [number for number in folder.suggested() if folder.files_of(number).running is not None]
    assert left == []  # each has said that its worker was told to go
    assert run(study)[0] == 0
    assert [record["trial"] for record in ledger(study)] == list(range(1, 13))


@pytest.mark.long
def test_a_run_that_is_killed_takes_its_workers_along_and_goes_on(tmp_path: Path) -> None:
    study = a_study_file(tmp_path, seconds=0.3)
    with start(study, "--jobs", "2") as process:
        until(lambda: len(begun(study)) >= 4)
        workers = workers_of(process)
        assert len(workers) == 2
        process.kill()
        process.communicate(timeout=60)
    until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    assert run(study)[0] == 0
    assert [record["trial"] for record in ledger(study)] == list(range(1, 13))


def test_a_mistake_of_all_trials_is_one_message(tmp_path: Path) -> None:
    study = a_study_file(tmp_path)
    (tmp_path / "mine.py").write_text("import no_such_module\n")
    status, out, err = run(study, "--jobs", "2")
    assert status == 1
    assert err.count("Error: ") == 1
    assert "no_such_module" in err
    assert out.count("No module named") <= 4


@pytest.mark.long
def test_packages_of_the_folder_shadow_nothing_of_the_workers(tmp_path: Path) -> None:
    study = a_study_file(tmp_path)
    for name in ("images", "kfp_bayesopt", "kfp_bayesopt_pipeline", "click"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('shadowed')\n")
    assert run(study)[0] == 0
    assert len(ledger(study)) == 12


@pytest.mark.long
def test_a_second_run_adds_its_workers_where_it_says_so(tmp_path: Path) -> None:
    """The workers of the first run hold their trials until one of the second has begun."""
    study = a_study_file(tmp_path, seconds=0.3)
    claims = tmp_path / "out" / "trials"
    (tmp_path / "mine.py").write_text(
        f"import pathlib, time\ndef objective(x):\n"
        f"    while len(list(pathlib.Path({str(claims)!r}).glob('*/claim-1.json'))) < 3:\n        time.sleep(0.05)\n"
        "    return x\n"
    )
    with start(study, "--jobs", "2") as process:
        until(lambda: len(begun(study)) >= 2)
        status, _, err = run(study, "--jobs", "2", "--join")
        assert (status, err) == (0, "")
        process.communicate(timeout=120)
    assert process.returncode == 0
    records = ledger(study)
    assert [record["trial"] for record in records] == list(range(1, 13))
    assert len({record["worker"] for record in records}) > 2


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("other", [None, "job-1"], ids=["alone", "beside another job"])
def test_a_run_none_of_whose_workers_comes_to_its_end_has_failed(
    other: str | None, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = a_study_file(tmp_path)
    folder = StudyFolder(str(tmp_path / "out"), Study.from_file(study))
    if other is not None:
        jobs.ensure_job(folder, other, folder.write_study(study.read_bytes()))
    lost = tmp_path / "python"
    lost.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # its workers do not find their own code
    lost.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(lost))
    with pytest.raises(UserError) as caught:
        local.run(str(study), folder.root, count, local.Options(join=True))
    which = "the only worker" if count == 1 else "the last of 2 workers"
    assert caught.value.message == (
        f"no worker came to its end: {which} exited 1; what it printed says why; mend it and run the same command again"
    )
    (ended,) = [end for job in jobs.list_jobs(folder.root) if (end := jobs.end_of(folder.root, job.job))]
    assert (ended.state, ended.reason) == ("failed", caught.value.message)


def test_a_report_beside_another_job_is_red_where_no_worker_of_its_own_has_begun(tmp_path: Path) -> None:
    study = a_study_file(tmp_path)
    folder = StudyFolder(str(tmp_path / "out"), Study.from_file(study))
    for job in ("job-1", "job-2"):
        jobs.ensure_job(folder, job, folder.write_study(study.read_bytes()))
    ended = CliRunner().invoke(report, ["--root", folder.root, "--study", str(study), "--job", "job-2"])
    assert ended.exit_code == 1
    assert "none of the workers of job job-2 has begun; what they printed says why" in ended.output
    found = jobs.end_of(folder.root, "job-2")
    assert found is not None
    assert found.state == "failed"


def test_a_second_run_is_told_how_to_add_its_workers(tmp_path: Path) -> None:
    study = a_study_file(tmp_path, seconds=5, trials=2)
    with start(study, "--jobs", "2") as process:
        until(lambda: begun(study))
        status, _, err = run(study)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert status == 1
    assert err.endswith("is writing there; wait for it, or add workers to it with JOIN=1\n")


def test_workers_are_not_added_to_batches_nor_to_a_folder_that_starts_again(tmp_path: Path) -> None:
    study = a_study_file(tmp_path, schedule="batches")
    status, _, err = run(study, "--join")
    assert status == 1
    assert "JOIN=1 adds workers to an asynchronous study, and this one has batches" in err
    status, _, err = run(study, "--join", "--fresh")
    assert (status, err) == (1, "Error: FRESH=1 and JOIN=1 exclude each other: give one of them\n")


@pytest.mark.long
def test_a_study_file_that_changes_while_workers_run_is_that_of_the_next_run(tmp_path: Path) -> None:
    study = a_study_file(tmp_path, seconds=0.2, trials=8)
    with start(study, "--jobs", "2") as process:
        until(lambda: len(begun(study)) >= 3)
        a_study_file(tmp_path, seconds=0.2, trials=10, space={"y": SPACE["x"]})
        process.communicate(timeout=120)
    assert process.returncode == 0
    assert [record["trial"] for record in ledger(study)] == list(range(1, 9))
    assert {tuple(record["parameters"]) for record in ledger(study)} == {("x",)}
    status, _, err = run(study)
    assert status == 1
    assert "holds another study" in err
