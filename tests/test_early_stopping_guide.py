"""The guide of early stopping: its examples run, and trials are stopped in them."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from kfp_bayesopt.cli.commands.building_commands import check
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.sources.pattern import matches
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.attempt import run_trial
from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError
from kfp_bayesopt_pipeline.places import in_process as local
from tests import ROOT
from tests.builders import a_suggestion, write_study

pytestmark = pytest.mark.long

PAGE = (ROOT / "docs" / "early-stopping.md").read_text()
FILES = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("rule", ["as the page has it", "hyperband", "median"])
def test_the_shell_script_is_stopped_as_the_page_says(tmp_path: Path, rule: str) -> None:
    for name in ("curves/study.yaml", "curves/train.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(FILES[name])
    path = tmp_path / "curves" / "study.yaml"
    study: dict[str, Any] = yaml.safe_load(path.read_text())
    if rule != "as the page has it":
        study["early_stopping"]["rule"] = rule
        path.write_text(yaml.safe_dump(study))
    best = local.run(str(path), str(tmp_path / "out"), 3, local.Options())
    assert best.parameters == {"rate": 1}
    assert best.completed + (best.stopped or 0) == 9, "there are no more rates"
    if rule == "as the page has it":
        assert best.stopped


def test_the_loop_in_python_is_stopped(tmp_path: Path) -> None:
    study = write_study(
        tmp_path, FILES["loop.py"], space={"rate": {"type": "real", "low": 1.0, "high": 9.0}}, trials=9,
        iterations=None, parallel_trials=3, optimizer={"engine": "gp"}, early_stopping={"rule": "asha", "max_steps": 9},
    )  # fmt: skip
    best = local.run(str(study), str(tmp_path / "out"), 3, local.Options())
    assert best.stopped
    assert best.completed + best.stopped == 9


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_the_loop_that_saves_goes_on_where_it_was(tmp_path: Path, bucket: str, place: str) -> None:
    path = write_study(
        tmp_path, FILES["going_on.py"], space={"rate": {"type": "real", "low": 1.0, "high": 9.0}}, checkpoint=True
    )
    folder = StudyFolder(str(tmp_path / "out") if place == "folder" else f"{bucket}/study", Study.from_file(path))
    folder.write_suggestions([a_suggestion(folder.study, 1, {"rate": 5.0})])
    with Sessions() as sessions:
        threading.Timer(1.5, sessions.stop).start()
        with pytest.raises(StoppedError):
            run_trial(folder, 1, tmp_path, sessions)
    saved = json.loads(storage.read(f"{folder.checkpoint_uri(1)}/state.json", 1000))
    assert 0 < saved["epoch"] < 10
    with Sessions() as sessions:
        record = run_trial(folder, 1, tmp_path, sessions)
    assert record is not None
    assert record.attempt == 2
    assert record.value == pytest.approx(10 * 0.5**10)
    log = storage.read(folder.log_uri(1, 2), 1000).decode().splitlines()
    assert log == [f"epoch {epoch}" for epoch in range(saved["epoch"], 10)]
    assert list(storage.entries(f"{folder.checkpoint_uri(1)}/")) == []


def test_a_check_tells_what_there_is_to_compare(tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "space": {"rate": {"type": "real", "low": 1.0, "high": 9.0}}, "checkpoint": True, "optimizer": {"engine": "gp"},
        "early_stopping": {"rule": "asha", "max_steps": 9},
    }  # fmt: skip
    shown = CliRunner().invoke(check, [str(write_study(tmp_path / "curve", FILES["loop.py"], **asked))])
    assert shown.exit_code == 0, shown.output
    assert "9 values on the way, from step 1 to 9" in shown.output
    shown = CliRunner().invoke(check, [str(write_study(tmp_path / "none", FILES["going_on.py"], **asked))])
    assert shown.exit_code == 0, shown.output
    assert "Warning: early_stopping: the trial said no value on the way" in shown.output


def test_a_check_tells_what_stands_twice_in_a_line(tmp_path: Path) -> None:
    twice = {"command": ["sh", "-c", "echo train loss {rate} val loss 2"], "value": "loss"}
    study = write_study(tmp_path, objective=twice, space={"rate": {"type": "real", "low": 3.0, "high": 9.0}})
    shown = CliRunner().invoke(check, [str(study)])
    assert shown.exit_code == 0, shown.output
    assert "value 2.0\n" in shown.output
    assert "Warning: loss stands more than once in a line, with different numbers" in shown.output


def test_the_pattern_of_the_page_finds_step_and_value() -> None:
    [pattern] = re.findall(r"pattern: '([^']+)'", PAGE)
    assert matches(pattern, b"epoch 12: the loss is 0.25\n") == [{"step": "12", "value": "0.25"}]
