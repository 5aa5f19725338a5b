"""What a person gives a study as its data reaches the objective in every place, or is refused with the way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

import kfp_bayesopt
from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.jobs import list_jobs
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.places.compose import compose_file
from tests.builders import write_study
from tests.kfp_bayesopt_pipeline.shapes import IMAGES

SPACE = {"x": {"type": "real", "low": 0.0, "high": 1.0}}
READS = "import os\ndef objective(x):\n    return float(open(os.environ['BAYESOPT_DATA']).read()) + x\n"
PRINTS = {"command": ["sh", "-c", 'echo "$0 $BAYESOPT_DATA ${{BAYESOPT_DATA_URI-none}}"; echo {x}', "{data}"]}
ASYNCHRONOUS: dict[str, Any] = {"schedule": "asynchronous", "optimizer": {"engine": "random"}}


def _call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(each) for each in arguments])


def _best(result: kfp_bayesopt.Result) -> float:
    assert result.best is not None
    assert result.best.value is not None
    return result.best.value


def _logs(root: Path) -> set[str]:
    return {path.read_text().splitlines()[0] for path in root.glob("trials/*/log-1.txt")}


@pytest.mark.parametrize("schedule", [{}, ASYNCHRONOUS])
def test_a_run_gives_each_trial_its_data(schedule: dict[str, Any], tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", space=SPACE, objective=PRINTS, **schedule)
    out = tmp_path / "out"
    ended = _call("run", study, "--out", out, "--data", "week 48")
    assert ended.exit_code == 0, ended.output
    assert "data: 'week 48' (digest " in ended.output
    assert _logs(out) == {"week 48 week 48 none"}


def test_a_trial_without_data_finds_none_of_an_outer_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAYESOPT_DATA", "outer")
    monkeypatch.setenv("BAYESOPT_DATA_URI", "gs://outer")
    says = {"command": ["sh", "-c", 'echo "${{BAYESOPT_DATA-none}} ${{BAYESOPT_DATA_URI-none}}"; echo {x}']}
    study = write_study(tmp_path / "study", space=SPACE, objective=says)
    assert _call("run", study, "--out", tmp_path / "out").exit_code == 0
    assert _logs(tmp_path / "out") == {"none none"}


def test_a_path_starts_from_the_working_folder_and_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = write_study(tmp_path / "study", READS, space=SPACE)
    (tmp_path / "numbers.txt").write_text("7")
    monkeypatch.chdir(tmp_path)
    result = kfp_bayesopt.run(str(study), root="out", data=Path("numbers.txt"), progress=False)
    assert _best(result) >= 7
    (job,) = list_jobs("out")
    assert job.data is not None
    assert (job.data.given, job.data.uri) == (str(tmp_path / "numbers.txt"), None)
    (tmp_path / "numbers.txt").write_text("8")
    with pytest.raises(UserError, match="its trials had"):
        kfp_bayesopt.run(str(study), root="out", data="numbers.txt", progress=False)
    again = kfp_bayesopt.run(str(study), root="out", data="numbers.txt", fresh=True, progress=False)
    assert _best(again) >= 8


def test_check_gives_its_trial_the_data(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", space=SPACE, objective=PRINTS)
    ended = _call("check", study, "--data", "week 48")
    assert ended.exit_code == 0, ended.output
    assert "week 48 week 48 none" in ended.output
    ended = _call("check", study)
    assert ended.exit_code == 1
    assert "branin: objective.command has {data}, and no data is given" in ended.output


def test_a_run_without_the_data_that_its_command_names_writes_nothing(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", space=SPACE, objective=PRINTS)
    ended = _call("run", study, "--out", tmp_path / "out")
    assert ended.exit_code == 1
    assert "objective.command has {data}, and no data is given; give a text, a path or a URI with" in ended.output
    assert not (tmp_path / "out" / "study").exists()


@pytest.mark.parametrize("command", [["run-kfp"], ["compose"], ["check", "--in", "mine:1"]])
def test_a_container_is_given_no_path_of_this_machine(command: list[str], tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", READS, space=SPACE, steps={"evaluate": {"image": "mine:1"}})
    (tmp_path / "images.json").write_text(json.dumps(IMAGES))
    images = [] if command[0] == "check" else ["--images", tmp_path / "images.json"]
    ended = _call(command[0], study, *command[1:], *images, "--data", study)
    assert ended.exit_code == 1
    assert f"data: {study}: a container sees no files of this machine; copy it to a bucket" in ended.output


def test_compose_hands_on_a_text_as_it_is_and_refuses_a_uri(tmp_path: Path, bucket: str) -> None:
    study = write_study(tmp_path / "study", space=SPACE, objective=PRINTS)
    text = 'a "b" $HOME ${X}\n: c'
    written = YAML(typ="safe").load(compose_file(study, IMAGES, data=text))
    assert written["services"]["init"]["command"][-2:] == ["--data", text.replace("$", "$$")]
    from kfp_bayesopt.store import storage

    storage.create(f"{bucket}/data/a", b"1")
    (tmp_path / "images.json").write_text(json.dumps(IMAGES))
    ended = _call("compose", study, "--images", tmp_path / "images.json", "--data", f"{bucket}/data")
    assert ended.exit_code == 1
    assert "the containers reach no store but their own; give a text, or run the study here" in ended.output


def test_init_gives_the_job_that_it_opens_its_data(tmp_path: Path) -> None:
    from images.init.main import main as init

    study = write_study(tmp_path / "study", space=SPACE, objective=PRINTS)
    folder = tmp_path / "out"
    given = ["--root", str(folder), "--study", str(study), "--job", "job-1", "--data", "week 48"]
    assert CliRunner().invoke(init, given).exit_code == 0
    (job,) = list_jobs(str(folder))
    assert job.data is not None
    assert job.data.given == "week 48"
    assert StudyFolder(str(folder), Study.from_file(study)).read().pending
