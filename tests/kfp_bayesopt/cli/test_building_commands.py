"""The command `check`: which image it tries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.commands.building_commands import check
from kfp_bayesopt.steps import STEPS
from kfp_bayesopt_pipeline.building import check as checking
from tests.builders import a_record, write_study


@pytest.mark.parametrize(("given", "tried"), [("image", "registry/evaluate:1"), ("mine:2", "mine:2")])
def test_the_image_that_is_tried_is_the_one_of_the_study_or_the_one_that_is_named(
    given: str, tried: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = write_study(tmp_path / "studies")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "images.json").write_text(json.dumps({step: f"registry/{step}:1" for step in STEPS}))
    seen = []

    def check_in(image: str, study: Any, _: bytes) -> Any:
        seen.append(image)
        return a_record(study)

    monkeypatch.setattr(checking, "check_in", check_in)
    ended = CliRunner().invoke(check, [str(study), "--in", given])
    assert ended.exit_code == 0, ended.output
    assert seen == [tried]
