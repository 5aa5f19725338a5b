"""The commands about images: which one `check` tries, and what `build` builds and notes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kfp_bayesopt.cli.commands.building_commands import build, check
from kfp_bayesopt.steps import STEPS
from kfp_bayesopt_pipeline.building import check as checking
from kfp_bayesopt_pipeline.images import load_images
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

    def check_in(image: str, study: Any, *_: object) -> Any:
        seen.append(image)
        return a_record(study)

    monkeypatch.setattr(checking, "check_in", check_in)
    ended = CliRunner().invoke(check, [str(study), "--in", given])
    assert ended.exit_code == 0, ended.output
    assert seen == [tried]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a stand-in for Docker, which has every image and builds at once."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text("#!/bin/sh\necho sha256:1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def _built(*arguments: str) -> Any:
    ended = CliRunner().invoke(build, [*arguments, "--registry", "r.example/ours", "--tag", "1", "--json"])
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


CODE = "def objective(**_): return 0\n"


@pytest.mark.parametrize("given", [[], ["."]])
def test_a_study_with_code_has_its_image_noted_with_those_of_the_steps(given: list[str], here: Path) -> None:
    write_study(here, CODE)
    made = _built(*given)
    assert made["files"] == ["out/images.json", "out/branin/images.json"]
    noted = json.loads((here / "out" / "branin" / "images.json").read_text())
    assert noted.pop("study")
    assert noted == made["images"]
    assert noted.pop("evaluate").startswith("r.example/ours/study-branin:")
    steps = {step: f"r.example/ours/{step}:1" for step in STEPS}
    assert load_images(here / "out" / "images.json") == steps
    assert noted == {step: image for step, image in steps.items() if step != "evaluate"}


def test_without_a_study_the_images_of_the_steps_are_built(here: Path) -> None:
    assert _built() == {
        "images": {step: f"r.example/ours/{step}:1" for step in STEPS},
        "files": ["out/images.json"],
    }
    assert sorted(path.name for path in here.rglob("*.json")) == ["images.json"]


def test_one_file_that_is_named_has_all(here: Path) -> None:
    made = _built(str(write_study(here, CODE)), "--images", "all.json")
    assert made["files"] == ["all.json"]
    assert set(json.loads((here / "all.json").read_text())) == {*STEPS, "study"}
    assert not (here / "out").exists()


def test_one_step_is_built_and_nothing_noted(here: Path) -> None:
    assert _built("--only", "init") == {"images": {"init": "r.example/ours/init:1"}, "files": []}
    assert list(here.iterdir()) == []


def test_the_image_of_code_alone_needs_code(here: Path) -> None:
    write_study(here)
    ended = CliRunner().invoke(build, [".", "--only", "study", "--registry", "r.example/ours"])
    assert ended.exit_code == 1
    assert ended.stderr == f"Error: {here}: has no code for an image: the objective is not beside the study file\n"
