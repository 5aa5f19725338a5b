"""The guide of early stopping: its examples run, and trials are stopped in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import ROOT, local
from tests.builders import write_study

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
