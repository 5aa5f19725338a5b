"""The report in a study folder."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.cli.views import view_for
from kfp_bayesopt.folder.jobs import end_of
from kfp_bayesopt.folder.publish import Verdict
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.report.write import write_report
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.places import in_process as local
from tests.builders import write_study


def shown(root: Path) -> dict[str, Any]:
    """Return what the report of a folder holds."""
    [data] = re.findall(r'type="application/octet-stream"[^>]*>([^<]*)<', (root / "report.html").read_text())
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(data)))
    return found


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path, code="def objective(x1, x2):\n    return x1 + x2\n", optimizer={"engine": "gp"})


def test_a_run_writes_its_report_with_the_job_that_it_ends(study: Path, tmp_path: Path) -> None:
    local.run(str(study), str(tmp_path / "out"), 1, local.Options())
    found = shown(tmp_path / "out")
    assert found["trials"]["number"] == [1, 2, 3, 4]
    [job] = found["jobs"]
    assert (job["place"], job["state"]) == ("in-process", "succeeded")
    ended = end_of(str(tmp_path / "out"), job["id"])
    assert ended is not None
    assert ended.state == job["state"]


def test_a_study_that_fails_has_a_report_that_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path, code="def objective(x1, x2):\n    raise ValueError('no data')\n")
    with pytest.raises(Exception, match="failed alike"):
        local.run(str(study), str(tmp_path / "out"), 1, local.Options(), view_for())
    found = shown(tmp_path / "out")
    assert found["jobs"][0]["state"] == "failed"
    assert found["trials"]["reasons"] == ["ValueError: no data"]
    assert f"report {tmp_path}/out/report.html" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "{",
            "left out: {path}: damaged job: EOF while parsing an object at line 1 column 1; delete the file; the study "
            "does not need it",
        ),
        (
            '{"format": 3}',
            "the report names no jobs: {path}: has format 3, but this version reads formats up to 2; use a newer "
            "version of kfp-bayesopt, at least the one that wrote it",
        ),
    ],
    ids=["damaged", "newer"],
)
def test_a_file_of_a_job_that_cannot_be_read_costs_the_job_and_no_trial(
    study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str, message: str
) -> None:
    out = tmp_path / "out"
    local.run(str(study), str(out), 1, local.Options())
    [job] = (out / "jobs").glob("*.json")
    job.write_text(content)
    folder = StudyFolder(str(out), Study.from_file(study))
    trials = folder.read()
    write_report(folder, trials, Verdict(Best.of(folder.study, trials.ledger), None))
    assert shown(out)["jobs"] == []
    assert shown(out)["trials"]["number"] == [1, 2, 3, 4]
    assert message.format(path=job) in caplog.messages
