"""Damaged, edited and old files in the folder of a study: what the message says leads out of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bayesopt.errors import UserError
from bayesopt.study_file import load_study
from bayesopt.trials import Batch, Record, read_batch, read_best, read_ledger, read_record
from pipeline import ROOT
from pipeline.local import run
from tests.builders import write_study
from tests.ledgers import comparable

# The folder of a study of 2 x 2 trials, as the first release with this layout wrote it.
OLD = ROOT / "tests" / "data" / "folder-1"
SPACE = {"x": {"type": "real", "low": 0.0, "high": 1.0}}
CODE = "def objective(x):\n    return (x - 0.3) ** 2\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study of 2 x 1 trials and the folder of its results."""
    folder = tmp_path_factory.mktemp("finished")
    study = write_study(
        folder / "study", CODE, space=SPACE, iterations=2, parallel_trials=1, optimizer={"engine": "random"}
    )
    run(str(study), folder / "out", jobs=1, fresh=False)
    return study, folder / "out"


@pytest.fixture
def stopped(finished: tuple[Path, Path], tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The study, and its folder as it was when the second trial had been evaluated and `update` not yet run."""
    study, out = finished
    shutil.copytree(out, tmp_path / "out")
    for name in ("suggestions.json", "trials.jsonl", "best.json"):
        (tmp_path / "out" / "iteration-2" / name).unlink()
    yield study, tmp_path / "out"
    assert comparable((tmp_path / "out" / "trials.jsonl").read_bytes()) == comparable(
        (out / "trials.jsonl").read_bytes()
    )


def go_on(study: Path, out: Path) -> None:
    run(str(study), out, jobs=1, fresh=False)


def said(study: Path, out: Path) -> str:
    with pytest.raises(UserError) as caught:
        go_on(study, out)
    return caught.value.message


def test_a_truncated_record_is_evaluated_again_once_it_is_deleted(stopped: tuple[Path, Path]) -> None:
    path = stopped[1] / "iteration-2" / "record-0.json"
    path.write_bytes(path.read_bytes()[:40])
    assert said(*stopped) == (
        f"{path}: damaged record: EOF while parsing a string at line 1 column 40; "
        "delete the file and run the study again, so that the trial is evaluated again"
    )
    path.unlink()
    go_on(*stopped)


def test_an_edited_ledger_is_refused_and_made_again_from_the_records(stopped: tuple[Path, Path]) -> None:
    folder = stopped[1] / "iteration-1"
    ledger = folder / "trials.jsonl"
    record = json.loads(ledger.read_text())
    ledger.write_text(json.dumps({**record, "value": -100.0}) + "\n")
    assert said(*stopped) == (
        "iteration 2: the ledger is not the one that the batch was proposed from: one of them was edited; "
        "delete the ledger and the suggestions.json beside it, and run the study again, "
        "so that both are made from the records"
    )
    ledger.unlink()
    (folder / "suggestions.json").unlink()
    go_on(*stopped)


def test_a_truncated_batch_is_proposed_again_once_it_is_deleted(stopped: tuple[Path, Path]) -> None:
    path = stopped[1] / "iteration-1" / "suggestions.json"
    path.write_bytes(path.read_bytes()[:-5])
    assert said(*stopped).endswith(Batch.way_out)
    path.unlink()
    go_on(*stopped)


def test_the_files_of_the_first_layout_are_read() -> None:
    study = load_study(str(OLD / "study.yaml"))
    ledger = read_ledger(str(OLD / "trials.jsonl"), study)
    assert [record.trial for record in ledger] == [1, 2, 3, 4]
    assert read_record(str(OLD / "iteration-2" / "record-1.json"), study) == ledger[3]
    assert read_best(str(OLD / "best.json"), study).trial == 4
    assert read_batch(str(OLD / "init" / "suggestions.json"), study).ledger is None


def test_a_study_of_the_first_layout_goes_on_with_the_trials_that_it_has(tmp_path: Path) -> None:
    shutil.copytree(OLD, tmp_path / "out")
    study = tmp_path / "study.yaml"
    study.write_text((OLD / "study.yaml").read_text().replace("iterations: 2", "iterations: 3"))
    go_on(study, tmp_path / "out")
    lines = (tmp_path / "out" / "trials.jsonl").read_text().splitlines()
    assert lines[:4] == (OLD / "trials.jsonl").read_text().splitlines()
    assert [Record.model_validate_json(line).trial for line in lines] == [1, 2, 3, 4, 5, 6]
