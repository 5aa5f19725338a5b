"""What `evaluate` and `worker` give whoever called them, at every end with status 0."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.proposing.batches import advance
from kfp_bayesopt.steps import EVALUATE
from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.evaluate import evaluate
from kfp_bayesopt.trial.working import worker as loop
from kfp_bayesopt.trial.working.work import work
from tests.builders import write_study

CODE = "def objective(x):\n    if x > 8: raise ValueError('too far')\n    return {'loss': x, 'twice': 2 * x}\n"
SPACE = {"x": {"type": "real", "low": 0.0, "high": 9.0}}
NAMED = {"python": "mine:objective", "value": "loss"}
ASKED: dict[str, Any] = {
    "objective": NAMED,
    "space": SPACE,
    "optimizer": {"engine": "random"},
    "iterations": 1,
    "parallel_trials": 2,
}
WORKERS: dict[str, Any] = {**ASKED, "schedule": "asynchronous", "iterations": None, "trials": 3}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "JITTER_SECONDS", 0.0)


def a_folder(tmp_path: Path, *points: float) -> tuple[StudyFolder, str]:
    """Return the folder of a study with these points proposed first, and its file."""
    path = write_study(tmp_path, CODE, **ASKED, initial_trials=[{"x": each} for each in points])
    folder = StudyFolder(str(tmp_path / "out"), Study.from_file(str(path)))
    advance(folder, folder.read(), 0)
    return folder, str(path)


def test_a_trial_gives_its_value_parameters_and_metrics_also_when_it_has_its_record(tmp_path: Path) -> None:
    folder, study = a_folder(tmp_path, 4.5)
    first = evaluate(folder.root, study, None, 1)
    assert first.values["value"] == "4.5"
    assert first.values["parameters"] == {"x": 4.5}
    assert first.values["metrics"]["twice"] == 9.0
    assert evaluate(folder.root, study, None, 1) == first, "its record is there"


def test_a_trial_that_fails_gives_none_and_its_parameters(tmp_path: Path) -> None:
    folder, study = a_folder(tmp_path, 8.5)
    given = evaluate(folder.root, study, None, 1)
    assert (given.values["value"], given.values["parameters"]) == ("none", {"x": 8.5})


def test_a_trial_that_was_not_proposed_and_one_of_a_job_that_has_ended_give_nothing(tmp_path: Path) -> None:
    folder, study = a_folder(tmp_path, 4.5)
    assert evaluate(folder.root, study, None, 7) == Outputs()
    jobs.ensure_job(folder, "job-1", study)
    jobs.end(folder.root, "job-1", "succeeded", "the target is reached", EVALUATE.name)
    assert evaluate(folder.root, study, "job-1", 1) == Outputs()


def lines(given: Outputs) -> list[dict[str, Any]]:
    return [json.loads(line) for line in given.contents["done"].splitlines()]


def test_a_worker_gives_what_it_has_evaluated_itself(tmp_path: Path) -> None:
    study = str(write_study(tmp_path, CODE, **WORKERS, initial_trials=[{"x": 8.5}, {"x": 2.5}, {"x": 3.5}]))
    root = str(tmp_path / "out")
    given = work(root, study, None, 1, sys.stdout.buffer)
    assert [(each["trial"], each["values"].get("value")) for each in lines(given)] == [(1, None), (2, 2.5), (3, 3.5)]
    assert given.about["done"] == {"trials": 3, "best": 2.5, "trial": 2}
    assert given.values["metrics"] == {
        "trials": 3, "loss": 2.5, "twice": 5.0, "trial": 2, "value": 2.5, "seconds": lines(given)[1]["seconds"],
    }  # fmt: skip
    assert work(root, study, None, 2).about["done"] == {"trials": 0}, "nothing was left to claim"


def test_a_worker_whose_job_has_ended_gives_nothing(tmp_path: Path) -> None:
    study = str(write_study(tmp_path, CODE, **WORKERS))
    folder = StudyFolder(str(tmp_path / "out"), Study.from_file(study))
    jobs.ensure_job(folder, "job-1", study)
    jobs.end(folder.root, "job-1", "succeeded", "the target is reached", EVALUATE.name)
    assert work(folder.root, study, "job-1", 1) == Outputs()


def test_a_worker_whose_job_ends_early_gives_what_it_has_done(tmp_path: Path) -> None:
    asked = {**WORKERS, "stop": {"target": 3.0}}
    study = str(write_study(tmp_path, CODE, **asked, initial_trials=[{"x": 5.5}, {"x": 2.5}]))
    given = work(str(tmp_path / "out"), study, "job-1", 1)
    assert [each["trial"] for each in lines(given)] == [1, 2]
