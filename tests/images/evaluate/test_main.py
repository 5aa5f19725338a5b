"""The step `evaluate` as a program: exit status, what it writes, and what a stop leaves behind."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kfp_bayesopt.folder.jobs import Job, end, end_of, job_uri, now
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.study.study import Study
from tests import ROOT
from tests.builders import a_suggestion, write_folder, write_study
from tests.processes import gone

SPACE = {"x": {"type": "real", "low": 0.0, "high": 9.0}}


def a_folder(tmp_path: Path, code: str) -> StudyFolder:
    """Return a study folder with the suggestion of trial 1 and the job `job-1`."""
    study = Study.from_file(str(write_study(tmp_path, code, space=SPACE)))
    folder = write_folder(tmp_path / "out", study, [a_suggestion(study, 1, {"x": 2.5})])
    job = Job(
        study=study.name, fingerprint=study.fingerprint, job="job-1", study_file="study.yaml", place="compose",
        submitted=now(), by="me@here",
    )  # fmt: skip
    Path(job_uri(folder.root, "job-1")).parent.mkdir()
    Path(job_uri(folder.root, "job-1")).write_bytes(job.to_bytes())
    return folder


def start(
    tmp_path: Path, *options: str, study: Path | None = None, trial: int = 1, cwd: Path | None = None
) -> subprocess.Popen[str]:
    """Start the step on the study folder that `a_folder` has made."""
    arguments = ["--root", str(tmp_path / "out"), "--study", str(study or tmp_path / "study.yaml")]
    return subprocess.Popen(
        [sys.executable, "-m", "images.evaluate.main", *arguments, "--trial", str(trial), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(
    tmp_path: Path, *options: str, study: Path | None = None, trial: int = 1, cwd: Path | None = None
) -> tuple[int, str, str]:
    """Run the step; return its exit status, what the objective printed, and what the step said."""
    with start(tmp_path, *options, study=study, trial=trial, cwd=cwd) as process:
        printed, said = process.communicate(timeout=60)
    return process.returncode, printed, said


def test_the_value_is_logged_in_one_line_and_what_the_objective_printed_goes_to_our_output(tmp_path: Path) -> None:
    folder = a_folder(
        tmp_path, "import sys\ndef objective(x):\n    print('out')\n    print('err', file=sys.stderr)\n    return x"
    )
    assert run(tmp_path, "--job", "job-1") == (0, "out\nerr\n", "INFO evaluate: iteration 1, trial 1: completed: 2.5\n")
    assert folder.read_record(1, 1).place == "compose"
    assert Path(folder.log_uri(1, 1)).read_text() == "out\nerr\n"
    assert not Path(folder.root, "trials/000001/.log-1.txt").exists()


@pytest.mark.parametrize("options", [(), ("--job", "job-1")])
def test_a_trial_that_fails_exits_0_with_a_record(tmp_path: Path, options: tuple[str, ...]) -> None:
    folder = a_folder(tmp_path, "import os\ndef objective(x):\n    os._exit(9)\n")
    why = "the process of the objective exited 9 before it returned a value"
    assert run(tmp_path, *options) == (0, "", f"INFO evaluate: iteration 1, trial 1: failed: {why}\n")
    assert folder.read_record(1, 1).state == "failed"
    assert end_of(folder.root, "job-1") is None


def test_a_trial_that_was_not_proposed_exits_0_and_writes_nothing(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "raise SystemError")
    assert run(tmp_path, trial=2)[:2] == (0, "")
    assert not Path(folder.root, "trials/000002").exists()


@pytest.mark.parametrize("code", ["import no_such", "x = 1", "def objective(y): return y"])
def test_a_mistake_by_hand_is_recorded_and_exits_1_with_one_message(tmp_path: Path, code: str) -> None:
    folder = a_folder(tmp_path, code)
    status, _, said = run(tmp_path)
    record = folder.read_record(1, 1)
    assert record.reason is not None
    assert (status, record.reason.kind) == (1, "mistake")
    assert said.splitlines()[-1] == f"Error: {record.reason.message}"
    assert "Traceback" not in said


def test_a_mistake_of_a_job_is_recorded_and_left_to_update(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "import no_such")
    assert run(tmp_path, "--job", "job-1")[0] == 0
    record = folder.read_record(1, 1)
    assert record.reason is not None
    assert record.reason.kind == "mistake"
    assert end_of(folder.root, "job-1") is None


def test_a_mistake_that_no_retry_mends_ends_the_job_and_exits_0(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "def objective(x): return x")
    suggestion = Path(folder.suggestion_uri(1))
    content = suggestion.read_bytes()
    suggestion.write_text("{}")
    status, _, said = run(tmp_path, "--job", "job-1")
    ended = end_of(folder.root, "job-1")
    assert ended is not None
    assert ended.reason is not None
    assert (status, ended.state, ended.step) == (0, "failed", "evaluate")
    assert f"{suggestion}: damaged suggestion: " in ended.reason
    assert ended.reason in said
    # The steps after it have nothing to do.
    suggestion.write_bytes(content)
    assert run(tmp_path, "--job", "job-1")[0] == 0
    assert folder.files_of(1).claims == []


def test_an_unknown_job_is_a_mistake(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "def objective(x): return x")
    status, _, said = run(tmp_path, "--job", "job-2")
    assert status == 0
    assert f"{job_uri(folder.root, 'job-2')}: no such file" in said
    ended = end_of(folder.root, "job-2")
    assert ended is not None
    assert ended.state == "failed"


def test_a_job_that_has_ended_has_nothing_more_to_do(tmp_path: Path) -> None:
    """Not even its study file is read."""
    folder = a_folder(tmp_path, "raise SystemError")
    end(folder.root, "job-1", "succeeded", "the target was reached", "update")
    status, printed, said = run(tmp_path, "--job", "job-1", study=tmp_path / "no_such.yaml")
    assert (status, printed) == (0, "")
    ended = "evaluate: nothing more to do, job job-1 has ended: the target was reached"
    assert said == f"INFO kfp_bayesopt.folder.jobs: {ended}\n"
    assert folder.files_of(1).claims == []


def test_with_the_study_of_the_study_folder_the_objective_runs_in_our_working_folder(tmp_path: Path) -> None:
    """That is the folder of the image; in the study folder there is no code."""
    folder = a_folder(tmp_path, "import os\ndef objective(x): return float(open('data.txt').read())")
    content = (tmp_path / "study.yaml").read_bytes()
    copy = Path(folder.write_study(content))
    assert copy.name == f"{hashlib.sha256(content).hexdigest()}.yaml"
    image = tmp_path / "image"
    image.mkdir()
    (tmp_path / "mine.py").rename(image / "mine.py")
    (image / "data.txt").write_text("7")
    assert run(tmp_path, study=copy, cwd=image)[0] == 0
    assert folder.read_record(1, 1).value == 7.0


def test_a_trial_number_begins_at_1(tmp_path: Path) -> None:
    status, _, said = run(tmp_path, trial=0)
    assert status == 2
    assert "Invalid value for '--trial': 0 is not in the range x>=1." in said


# Its children leave the group, or the session, of the process that started them.
RESTLESS = """
import os, pathlib, subprocess, time
def objective(x):
    children = [
        subprocess.Popen(["sleep", "600"]),
        subprocess.Popen(["sleep", "600"], start_new_session=True),
        subprocess.Popen(["timeout", "600", "sh", "-c", "sleep 600 & wait"]),
    ]
    pathlib.Path("pids.tmp").write_text(" ".join(str(pid) for pid in [os.getpid(), *(child.pid for child in children)]))
    os.rename("pids.tmp", "pids")
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_step_that_is_stopped_ends_its_objective_and_leaves_its_claim_alone(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Even one that is killed, and can do nothing about it any more."""
    folder = a_folder(tmp_path, RESTLESS)
    with start(tmp_path, "--job", "job-1") as process:
        while not (tmp_path / "pids").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(30) != 0
    assert all(gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())
    files = folder.files_of(1)
    assert (files.claims, files.records) == ([1], [])
    assert end_of(folder.root, "job-1") is None
    # The retry of the target takes the next attempt.
    write_study(tmp_path, "def objective(x): return x", space=SPACE)
    assert run(tmp_path, "--job", "job-1")[0] == 0
    assert folder.read_record(1, 2).value == 2.5
