"""The programs of the component for any study, one after the other: what each gives, and how a mistake ends it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from kfp_bayesopt import hints
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.roots import study_folder
from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt.steps.tuning import OPENED, OPENED_AS
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from tests.builders import RICH, study_text
from tests.ledgers import contents

IMAGE = "registry/worker:1.0"
SAYS = 'cp {parameters_file} "$BAYESOPT_OUTPUT/mine.json"; echo "$BAYESOPT_DATA"; echo "$BAYESOPT_TRIAL"'
STUDY: dict[str, Any] = {
    "objective": {"command": ["sh", "-c", SAYS], "args": "json-file"},
    "space": RICH,
    "schedule": "asynchronous",
    "iterations": None,
    "trials": 4,
    "optimizer": {"engine": "random", "random_state": 1},
}
RUN_1, RUN_2 = "0b1c2d3e-run-1", "0b1c2d3e-run-2"


@pytest.fixture(autouse=True)
def _by_a_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Come in by no door, as in a container, and leave none behind."""
    monkeypatch.setenv(hints.VARIABLE, "")
    monkeypatch.chdir(tmp_path)


def _call(step: str, outputs: Path | None, *arguments: str) -> Result:
    command: click.Command = importlib.import_module(f"images.{step}.main").main
    given = [] if outputs is None else ["--outputs", str(outputs)]
    return CliRunner().invoke(command, [*arguments, *given])


def _init(above: str, outputs: Path, run: str = RUN_1, text: bytes | None = None, *more: str) -> Result:
    content = (study_text(**STUDY) if text is None else text).decode()
    given = ["--below", above, "--content", content, "--image", IMAGE, "--run", run, "--task", "init"]
    return _call("init", outputs, *given, *more)


def _opened(outputs: Path) -> list[str]:
    """Return the options that the executor makes of what `init` says."""
    found = Outputs.read(outputs)
    assert json.loads(Path(found.files[OPENED]).read_bytes()) == found.about[OPENED]
    return [each for name in OPENED_AS for each in (f"--{name}", str(found.about[OPENED][name]))]


def _said(result: Result) -> str:
    assert result.exit_code == 1, result.output
    return result.stderr.removeprefix("Error: ").rstrip("\n")


@pytest.fixture(params=["here", "bucket"])
def above(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return what is above all studies, on a disk and in a bucket."""
    if request.param == "bucket":
        return f"{request.getfixturevalue('bucket')}/tuning"
    (tmp_path / "tuning").mkdir()
    return str(tmp_path / "tuning")


def test_a_study_comes_to_its_best_parameters_and_lists_and_mappings_are_kept(above: str, tmp_path: Path) -> None:
    outputs, last = tmp_path / "init.json", tmp_path / "report.json"
    assert _init(above, outputs, RUN_1, None, "--data", "week 48").exit_code == 0
    opened = _opened(outputs)
    root = opened[1]
    assert _call("worker", None, *opened, "--worker", "1").exit_code == 0
    ended = _call("report", last, *opened)
    assert ended.exit_code == 0, ended.output
    (best,) = (each for each in study_folder(root).read().ledger if each.trial == 1)
    found = Outputs.read(last).values
    assert {type(value) for value in best.parameters.values()} >= {int, float, str} | {type(best.parameters["shape"])}
    assert found["parameters"] == best.parameters
    assert json.loads(found["parameters_json"]) == best.parameters
    assert found["value"] == 1.0
    assert b"week 48" in storage.read(f"{root}/trials/000001/log-1.txt", 1000)
    ended_job = jobs.end_of(root, opened[5])
    assert ended_job is not None
    assert ended_job.state == "succeeded"


def test_another_run_of_a_study_that_has_ended_evaluates_nothing_and_gives_the_same(above: str, tmp_path: Path) -> None:
    found = []
    for run in (RUN_1, RUN_2):
        outputs, last = tmp_path / f"{run}.json", tmp_path / f"{run}-report.json"
        assert _init(above, outputs, run).exit_code == 0
        opened = _opened(outputs)
        assert _call("worker", None, *opened, "--worker", "1").exit_code == 0
        assert _call("report", last, *opened).exit_code == 0
        found.append((opened[1], Outputs.read(last).values["parameters_json"]))
    assert found[0] == found[1]
    claims = [name for name in contents(found[0][0]) if "claim-" in name]
    assert len(claims) == 4


def test_two_runs_at_once_share_the_trials_and_both_end_well(above: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first/init.json", tmp_path / "second/init.json"
    for each in (first, second):
        each.parent.mkdir()
    assert _init(above, first, RUN_1).exit_code == 0
    assert _init(above, second, RUN_2).exit_code == 0
    one, other = _opened(first), _opened(second)
    assert one[1] == other[1]
    for opened in (one, other):
        assert _call("worker", None, *opened, "--worker", "1").exit_code == 0
    values = []
    for opened in (one, other):
        ended = _call("report", last := tmp_path / "last.json", *opened)
        assert ended.exit_code == 0, ended.output
        values.append(Outputs.read(last).values["parameters_json"])
    assert values[0] == values[1]
    assert len([name for name in contents(one[1]) if "claim-" in name]) == 4


def test_without_a_completed_trial_the_last_step_fails(above: str, tmp_path: Path) -> None:
    text = study_text(**STUDY | {"objective": {"command": ["sh", "-c", "echo no; exit 3"], "args": "environment"}})
    outputs = tmp_path / "init.json"
    assert _init(above, outputs, text=text).exit_code == 0
    opened = _opened(outputs)
    assert _call("worker", None, *opened, "--worker", "1").exit_code == 0
    said = _said(_call("report", tmp_path / "report.json", *opened))
    assert "exited 3" in said or "failed" in said
    assert not (tmp_path / "report.json").exists()
    again = _said(_init(above, tmp_path / "again.json", text=text))
    assert again == jobs.end_of(opened[1], opened[5]).reason, "init that is run again in the run starts no worker"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--content", ""], "study: is empty; give the text of a study file, or its URI"),
        (["--content", "name: x"], "study: objective: required key is missing"),
        (["--image", "registry/worker"], "image: expected an image with a digest or with a tag that never moves"),
        (["--run", ""], "--run is empty"),
        (["--below", "ftp://host/x"], "ftp://host/x: only gs://"),
        (["--data", "/no/such/data"], "data: '/no/such/data': nothing is there"),
        (["--going-on", "anew"], "going_on: 'anew' is none of the words"),
        (["--made-for", "0" * 16], "study: is another study"),
    ],
)
def test_a_mistake_ends_init_with_one_message_and_nothing_is_written(
    more: list[str], message: str, tmp_path: Path
) -> None:
    above, outputs = tmp_path / "tuning", tmp_path / "init.json"
    above.mkdir()
    assert _said(_init(str(above), outputs, RUN_1, None, *more)).startswith(message)
    assert list(above.iterdir()) == []
    assert not outputs.exists()


def test_a_component_of_one_study_keeps_what_is_compiled(tmp_path: Path) -> None:
    text = study_text(steps={"evaluate": {"cpu": 2}})
    made_for = ["--made-for", Study.from_text(text).fingerprint]
    (tmp_path / "tuning").mkdir()
    above = str(tmp_path / "tuning")
    assert "`bayesopt component STUDY`" in _said(_init(above, tmp_path / "init.json", RUN_1, text))
    assert _init(above, tmp_path / "init.json", RUN_1, text, *made_for).exit_code == 0
    job = _opened(tmp_path / "init.json")[5]
    said = _said(_init(above, tmp_path / "again.json", RUN_2, text, *made_for))
    assert f"job {job} has not ended" in said, "batches follow from each other"
    assert f"or say going_on: ended={job} if it is over" in said
    assert _init(above, tmp_path / "again.json", RUN_2, text, *made_for, "--going-on", f"ended={job}").exit_code == 0


def test_a_folder_and_what_is_above_it_exclude_each_other(tmp_path: Path) -> None:
    both = _init(str(tmp_path), tmp_path / "init.json", RUN_1, None, "--root", str(tmp_path))
    assert both.exit_code == 2
    assert "--below stands for --root and --study; give it without them" in both.stderr
