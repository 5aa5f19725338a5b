"""One file that somebody planted in a study folder, of whatever kind: the study goes on, with its own trials."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.commands.folder_commands import delete, jobs_
from kfp_bayesopt.cli.commands.trial_commands import verify
from kfp_bayesopt.folder.jobs import Job
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session.activity import activity_of
from kfp_bayesopt.session.reporting import report_again
from kfp_bayesopt.session.studies import recorded
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.places.in_process import Options, run
from tests.builders import write_study

SPACE = {"x": {"type": "real", "low": 0.0, "high": 1.0}}
CODE = "def objective(x):\n    return (x - 0.3) ** 2\n"
SCHEDULES: dict[str, dict[str, Any]] = {
    "batches": {"iterations": 2, "parallel_trials": 2},
    "asynchronous": {"iterations": None, "trials": 4, "parallel_trials": 2},
}
NAMES = [
    "trials/100000000/record-1.json",
    "trials/100000000/claim-1.json",
    "trials/000900/suggestion.json",
    "trials/000900/record-1.json",
    "trials/00000\u00b3/record-1.json",
    "trials/000001/record-\u00b2.json",
    "trials/000002/record-2.json",
    "trials/000003/record-1.json",
    "jobs/planted.json",
    "jobs/planted/ended.json",
    "jobs/planted/submitted.json",
    "jobs/planted/worker-1.json",
    f"study/{64 * 'a'}.yaml",
    "study/other.yaml",
    "retries/planted.json",
    f"points/{64 * 'a'}.json",
    "rungs/1/000001.json",
    "rungs/\u00b2/00000\u00b2.json",
    "ledger-00001000.jsonl",
    "state/000002.dill",
]
CONTENTS = [b"", b'{"trial": 3}', b"\xff\xfe"]


@pytest.fixture(scope="module", params=list(SCHEDULES))
def begun(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, dict[str, Any]]:
    """The study and the folder of a study that has done half of its budget, and what it then asks for."""
    folder = tmp_path_factory.mktemp("begun")
    asked = {"space": SPACE, "optimizer": {"engine": "random"}, "schedule": request.param}
    more = SCHEDULES[request.param]
    half = {name: value and value // 2 if name in ("iterations", "trials") else value for name, value in more.items()}
    study = write_study(folder / "study", CODE, **asked, **half)
    run(str(study), str(folder / "out"), 1, Options())
    return study, folder / "out", {**asked, **more}


@pytest.fixture
def copied(begun: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> tuple[Path, Path, dict[str, Any]]:
    study, out, asked = begun
    shutil.copytree(out, tmp_path / "out")
    return study, tmp_path / "out", asked


def goes_on(study: Path, out: Path, asked: dict[str, Any]) -> None:
    """Check that the study comes to its end, that all its trials are its own, and that it says so."""
    write_study(study.parent, CODE, **asked)
    best = run(str(study), str(out), 1, Options(same_code=True))
    assert (best.completed, best.failed) == (4, 0)
    assert report_again(StudyFolder(str(out), Study.from_file(study))).completed == 4
    checked = CliRunner().invoke(verify, [str(study), "--out", str(out)])
    assert checked.exit_code == 0, checked.output
    assert list(activity_of(str(out)))
    assert recorded(str(out)) >= 4


@pytest.mark.parametrize(("name", "content"), list(zip(NAMES, itertools.cycle(CONTENTS), strict=False)))
def test_a_planted_file_stops_no_study(name: str, content: bytes, copied: tuple[Path, Path, dict[str, Any]]) -> None:
    study, out, asked = copied
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_bytes(content)
    goes_on(study, out, asked)


@pytest.fixture
def planted_job(copied: tuple[Path, Path, dict[str, Any]]) -> Any:
    study, out, _ = copied

    def plant(**changes: Any) -> None:
        folder = Study.from_file(study)
        job = Job(
            study=folder.name, fingerprint=folder.fingerprint, job="planted", study_file="study/a.yaml",
            place="in-process", submitted="2026-01-01T00:00:00+00:00", by=f"me@{socket.gethostname()}", process=None,
        )  # fmt: skip
        content = {**json.loads(job.to_bytes()), **changes}
        (out / "jobs" / "planted.json").write_text(json.dumps(content))

    return plant


@pytest.mark.parametrize("begun", ["batches"], indirect=True)
@pytest.mark.parametrize("process", [2**70, 2**31, -1, 0, "12", 1.5, True, [1]], ids=str)
def test_a_job_with_no_number_of_a_process_is_left_out(
    process: object, copied: tuple[Path, Path, dict[str, Any]], planted_job: Any, caplog: pytest.LogCaptureFixture
) -> None:
    study, out, asked = copied
    planted_job(process=process)
    listed = CliRunner().invoke(jobs_, [str(study), "--out", str(out)])
    assert listed.exit_code == 0, listed.output
    assert "planted" not in listed.stdout
    goes_on(study, out, asked)
    assert f"left out: {out}/jobs/planted.json: damaged job: process: " in caplog.text
    deleted = CliRunner().invoke(delete, [str(study), "--out", str(out), "--yes"])
    assert (deleted.exit_code, deleted.exception) == (0, None), deleted.output


@pytest.mark.parametrize("begun", ["batches"], indirect=True)
@pytest.mark.parametrize("process", [os.getpid(), 2**31 - 1], ids=["its own", "gone"])
def test_a_job_whose_process_is_gone_has_ended(
    process: int, copied: tuple[Path, Path, dict[str, Any]], planted_job: Any
) -> None:
    study, out, asked = copied
    planted_job(process=process)
    goes_on(study, out, asked)


@pytest.mark.parametrize("begun", ["batches"], indirect=True)
def test_a_job_under_the_name_of_another_one_is_left_out(
    copied: tuple[Path, Path, dict[str, Any]], planted_job: Any, caplog: pytest.LogCaptureFixture
) -> None:
    study, out, asked = copied
    planted_job(job="other")
    goes_on(study, out, asked)
    assert f"left out: {out}/jobs/planted.json: damaged job: job: must be planted, but got other" in caplog.text
