"""Damaged and edited files in a study folder: what the message says leads out of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from kfp_bayesopt.cli.commands.trial_commands import verify
from kfp_bayesopt.errors import UserError
from kfp_bayesopt_pipeline.places.in_process import Options, run
from tests.builders import write_study
from tests.ledgers import comparable

SPACE = {"x": {"type": "real", "low": 0.0, "high": 1.0}}
CODE = "def objective(x):\n    return (x - 0.3) ** 2\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study of 3 x 1 trials and its folder."""
    folder = tmp_path_factory.mktemp("finished")
    study = write_study(
        folder / "study", CODE, space=SPACE, iterations=3, parallel_trials=1, optimizer={"engine": "random"}
    )
    run(str(study), str(folder / "out"), 1, Options())
    return study, folder / "out"


@pytest.fixture
def copied(finished: tuple[Path, Path], tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The study, and a copy of its folder, which in the end has the same ledger again."""
    study, out = finished
    shutil.copytree(out, tmp_path / "out")
    yield study, tmp_path / "out"
    assert comparable((tmp_path / "out" / "trials.jsonl").read_bytes()) == comparable(
        (out / "trials.jsonl").read_bytes()
    )


def go_on(study: Path, out: Path) -> None:
    run(str(study), str(out), 1, Options())


def said(study: Path, out: Path) -> str:
    with pytest.raises(UserError) as caught:
        go_on(study, out)
    return caught.value.message


def test_a_truncated_record_is_evaluated_again_once_it_is_deleted(copied: tuple[Path, Path]) -> None:
    path = copied[1] / "trials" / "000003" / "record-1.json"
    path.write_bytes(path.read_bytes()[:40])
    assert said(*copied) == (
        f"{path}: damaged record: EOF while parsing a string at line 1 column 40; "
        "delete the file and run the study again, so that the trial is evaluated again"
    )
    path.unlink()
    go_on(*copied)


def test_an_edited_record_is_said_and_the_study_goes_on(
    copied: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = copied[1] / "trials" / "000001" / "record-1.json"
    content = path.read_bytes()
    path.write_text(json.dumps({**json.loads(content), "values": {"value": -100.0}}))
    go_on(*copied)
    assert f"{copied[1]}: trial 3 was proposed from other records than those that are here" in caplog.text
    path.write_bytes(content)
    go_on(*copied)


def test_a_truncated_suggestion_costs_nothing_once_its_trial_has_ended(
    copied: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = copied[1] / "trials" / "000003" / "suggestion.json"
    path.write_bytes(path.read_bytes()[:-5])
    go_on(*copied)
    assert f"left out: {path}: damaged suggestion: " in caplog.text


@pytest.mark.parametrize("is_damaged", [True, False], ids=["damaged", "deleted"])
def test_verify_names_a_suggestion_that_cannot_be_read(copied: tuple[Path, Path], is_damaged: bool) -> None:
    study, out = copied
    path = out / "trials" / "000002" / "suggestion.json"
    path.unlink()
    if is_damaged:
        path.write_bytes(b"")
    ended = CliRunner().invoke(verify, [str(study), "--out", str(out)])
    assert (ended.exit_code, ended.output.splitlines()[:2]) == (
        (1, ["trial 2 differs: its suggestion cannot be read", "2 same, 0 equally good, 0 not checked, 1 differs"])
        if is_damaged
        else (0, ["2 same, 0 equally good, 0 not checked, 0 differs"])
    )


def test_a_trial_that_is_missing_is_evaluated_again_by_workers(copied: tuple[Path, Path]) -> None:
    study, out = copied
    shutil.rmtree(out / "trials" / "000002")
    text = study.read_text()
    asked = {**yaml.safe_load(text), "trials": 3, "schedule": "asynchronous"}
    del asked["iterations"]
    study.write_text(json.dumps(asked))
    run(str(study), str(out), 1, Options(same_code=True))
    study.write_text(text)
    assert sorted(each["trial"] for each in map(json.loads, (out / "trials.jsonl").read_text().splitlines())) == [
        1,
        2,
        3,
    ]
    shutil.copy(study.parent.parent / "out" / "trials.jsonl", out)  # it has another value now


def test_a_trial_that_is_missing_below_others_is_refused_until_it_is_restored(copied: tuple[Path, Path]) -> None:
    folder = copied[1] / "trials" / "000002"
    folder.rename(folder.with_name(".aside"))
    assert "trial 2 is missing, but there are records of later ones" in said(*copied)
    folder.with_name(".aside").rename(folder)
    go_on(*copied)
