"""What a study does at this moment, by its folder."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.commands.job_commands import status
from kfp_bayesopt.errors import NotFoundError
from kfp_bayesopt.folder.jobs import now
from kfp_bayesopt.folder.roots import study_folder
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Claim, Reason
from kfp_bayesopt.session.activity import Activity, activity_of
from tests.builders import a_batch, a_record, a_study, study_text, write_folder


def claim(folder: StudyFolder, trial: int, attempt: int = 1) -> None:
    study = folder.study
    whose = Claim(
        study=study.name, fingerprint=study.fingerprint, trial=trial, attempt=attempt, worker=f"vm-{trial}:7",
        token="t", claimed=now(),
    )  # fmt: skip
    assert folder.claim(whose)


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """Return a study of 4 trials of which one has ended and two run, one of them without a sign of life."""
    study = a_study()
    batch = a_batch(study, [{"x1": 1.0, "x2": float(number)} for number in range(4)])
    found = write_folder(tmp_path / "out", study, batch, [a_record(study, 1, 0.25, parameters={"x1": 1.0, "x2": 0.0})])
    found.write_study(study_text())
    for trial in (1, 2, 3):
        claim(found, trial)
    then = time.time() - 15 * 60
    os.utime(found.claim_uri(3, 1), (then, then))
    return found


def test_it_says_how_far_a_study_is_and_what_each_worker_does(folder: StudyFolder) -> None:
    first, head, *rows = activity_of(folder.root)
    assert first == (f"1 of 4 trials have records, 2 running; best value 0.25 in trial 1; folder {folder.root}")
    assert head.split() == ["who", "trial", "since", "(UTC)", "for"]
    assert [row.split()[:2] for row in rows] == [["vm-2:7", "2"], ["vm-3:7", "3"]]
    assert rows[0].endswith("0:00:00")
    assert rows[1].endswith("0:15:00  no sign of life for 0:15:00")


def test_a_trial_that_was_stopped_early_has_a_record(folder: StudyFolder) -> None:
    folder.write_record(a_record(folder.study, 2, 0.5, parameters={"x1": 1.0, "x2": 1.0}, state="stopped"))
    assert Activity(folder).summary() == (
        "2 of 4 trials have records, 1 stopped early, 1 running; best value 0.25 in trial 1"
    )


def test_only_what_is_new_is_read(folder: StudyFolder) -> None:
    found = Activity(folder)
    folder.write_record(a_record(folder.study, 2, None, parameters={"x1": 1.0, "x2": 1.0}))
    claim(folder, 4, 1)
    Path(folder.record_uri(1, 1)).write_text("damaged")  # nobody looks there again
    found.look()
    assert found.summary() == "2 of 4 trials have records, 1 failed, 2 running; best value 0.25 in trial 1"
    assert [line.split()[0] for line in found.workers()] == ["who", "vm-3:7", "vm-4:7"]


def test_failed_trials_are_told_together(folder: StudyFolder) -> None:
    why = Reason(kind="raised", message="RuntimeError: no license")
    for trial in (2, 3):
        point = {"x1": 1.0, "x2": trial - 1.0}
        folder.write_record(a_record(folder.study, trial, None, parameters=point, reason=why, log="log-1.txt"))
    assert list(activity_of(folder.root))[-3:] == [
        "2 trials failed:",
        "  trials 2, 3: RuntimeError: no license",
        f"    log: {folder.root}/trials/000002/log-1.txt",
    ]


def test_another_attempt_is_named(folder: StudyFolder) -> None:
    lost = Reason(kind="lost", message="its worker was told to stop")
    folder.write_record(a_record(folder.study, 2, None, parameters={"x1": 1.0, "x2": 1.0}, reason=lost))
    claim(folder, 2, 2)
    assert any("2 (attempt 2)" in line for line in activity_of(folder.root))


def test_a_study_that_rests_has_no_workers(tmp_path: Path) -> None:
    study = a_study()
    write_folder(tmp_path, study).write_study(study_text())
    assert list(activity_of(str(tmp_path))) == [f"0 of 4 trials have records; folder {tmp_path}"]
    with pytest.raises(NotFoundError, match="holds no study file"):
        study_folder(str(tmp_path / "none"))


def test_status_looks_into_the_folder_of_a_study(folder: StudyFolder, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(study_text())
    shown = CliRunner().invoke(status, ["--study", str(path), "--out", folder.root])
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith("1 of 4 trials have records, 2 running; ")
    assert CliRunner().invoke(status, []).exit_code == 2
    assert json.loads(Path(folder.claim_uri(2, 1)).read_text())["worker"] == "vm-2:7"
