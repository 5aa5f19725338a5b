"""Trials in folders of their own: what they find there, and what does not mix."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.folder.roots import study_folder
from kfp_bayesopt.trial.process.working_folder import LARGEST_COPY, working_folder
from kfp_bayesopt_pipeline.places import in_process as local
from tests.builders import a_study, write_study

GRID: dict[str, Any] = {"optimizer": {"engine": "grid"}, "iterations": 1}
SPACE: dict[str, Any] = {"x": {"type": "integer", "low": 1, "high": 4}}
WRITES = """
import json, os, sys, time
import helpers
from package import part
x = int(sys.argv[1].partition("=")[2])
os.makedirs("outputs", exist_ok=True)
open(f"outputs/{x}.txt", "w").write("x")
time.sleep(0.2)
assert os.listdir("outputs") == [f"{x}.txt"], os.listdir("outputs")
json.dump({"loss": x * helpers.ONE * part.ONE * float(open("data/one.txt").read())}, open("metrics.json", "w"))
"""


def a_person(folder: Path) -> None:
    """Write what a person has beside a study: modules, data, and what an earlier run of their own left."""
    for name, text in {
        "train.py": WRITES, "helpers.py": "ONE = 1", "package/__init__.py": "", "package/part.py": "ONE = 1",
        "data/one.txt": "1", "outputs/mine.txt": "mine", "metrics.json": '{"loss": -100}', ".env": "SECRET=1",
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_trials_at_the_same_time_do_not_mix_what_they_write(tmp_path: Path) -> None:
    a_person(tmp_path)
    value = {"source": "file", "path": "metrics.json", "name": "loss"}
    objective = {"command": ["python", "train.py"], "args": "flags", "folder": "trial", "value": value}
    study = write_study(tmp_path, space=SPACE, objective=objective, parallel_trials=4, **GRID)
    local.run(str(study), str(tmp_path / "o"), 4, local.Options())
    records = study_folder(str(tmp_path / "o")).read().ledger
    assert [(record.values["loss"], record.parameters["x"]) for record in records] == [(x, x) for x in (1, 2, 3, 4)]
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["mine.txt"]
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"loss": -100}


def test_a_function_runs_there_too(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("1")
    code = "import os\ndef objective(x):\n    os.mkdir('logs')\n    return x * float(open('one.txt').read())"
    objective = {"python": "mine:objective", "folder": "trial"}
    study = write_study(tmp_path, code, space=SPACE, objective=objective, parallel_trials=4, **GRID)
    local.run(str(study), str(tmp_path / "o"), 2, local.Options())
    assert [record.state for record in study_folder(str(tmp_path / "o")).read().ledger] == ["completed"] * 4
    assert not (tmp_path / "logs").exists()


def test_small_files_are_copies_and_the_others_links(tmp_path: Path) -> None:
    mine, own = tmp_path / "mine", tmp_path / "own"
    own.mkdir()
    a_person(mine)
    (mine / "data.bin").write_bytes(bytes(LARGEST_COPY + 1))
    os.utime(mine / "metrics.json", (1, 1))
    work = working_folder(mine, own)
    assert sorted(path.name for path in work.iterdir() if path.is_symlink()) == ["data", "data.bin", "package"]
    assert sorted(path.name for path in work.iterdir() if not path.is_symlink()) == [
        "helpers.py",
        "metrics.json",
        "train.py",
    ]
    assert (work / "metrics.json").stat().st_mtime == 1, "what was there before is not taken for the trial's"


@pytest.mark.parametrize("folder", ["trial", "study"])
def test_the_folder_does_not_identify_a_study(folder: str) -> None:
    assert (
        a_study(objective={"python": "a:b", "folder": folder}).fingerprint
        == a_study(objective={"python": "a:b"}).fingerprint
    )
