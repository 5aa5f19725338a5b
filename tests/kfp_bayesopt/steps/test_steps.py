"""Every step of the list is there in full, and nothing else names all steps."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from kfp_bayesopt.steps import RESULTS, STEPS, steps_of
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt_pipeline.cloudbuild import cloudbuild_file
from kfp_bayesopt_pipeline.places.compose import compose_file
from tests import ROOT
from tests.builders import study_text
from tests.chain import options_of
from tests.test_repository import tracked

IMAGES = ROOT / "images"


def test_the_folders_with_a_dockerfile_are_the_steps() -> None:
    """`make build` takes the steps from there."""
    assert {each.parent.name for each in IMAGES.glob("*/Dockerfile")} == set(STEPS)
    printed = subprocess.run(
        ["make", "--silent", "--eval", "print-steps: ; @echo $(STEPS)", "print-steps"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert set(printed.stdout.split()) == set(STEPS)


OBSTORE = "obstore/requirements.txt"
"""The lock of what is added for stores beside Google's."""


@pytest.mark.parametrize("step", STEPS)
def test_the_image_of_a_step_installs_its_lock(step: str) -> None:
    assert (IMAGES / STEPS[step].lock).is_file()
    copied = re.findall(
        r"^COPY runtime/install.sh runtime/assemble.py (\S+)", (IMAGES / step / "Dockerfile").read_text(), re.MULTILINE
    )
    assert copied == [STEPS[step].lock, OBSTORE]


@pytest.mark.parametrize("step", STEPS)
def test_the_options_of_a_step_are_those_of_the_list(step: str) -> None:
    command: click.Command = importlib.import_module(f"images.{step}.main").main
    assert isinstance(command, Command), "its mistakes are one message"
    assert {option.opts[0] for option in command.params} == options_of(STEPS[step])


@pytest.mark.parametrize("step", STEPS)
def test_a_step_has_a_build_and_a_push_on_cloud_build(step: str) -> None:
    build: dict[str, Any] = YAML(typ="safe").load(cloudbuild_file())
    ids = [each["id"] for each in build["steps"]]
    assert step in ids
    assert f"push-{step}" in ids
    assert re.search(rf"for step in [\w ]*\b{step}\b[\w ]*; do", build["steps"][-1]["args"][-1])


@pytest.mark.parametrize(("schedule", "step"), [(name, step.name) for name in SCHEDULES for step in steps_of(name)])
def test_a_step_has_a_service_in_compose_that_builds_and_runs_it(schedule: str, step: str, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    asked = {"schedule": schedule, "optimizer": {"engine": "gp"}}
    study.write_bytes(study_text(**asked))
    compose: dict[str, Any] = YAML(typ="safe").load(compose_file(study))
    services = [each for each in compose["services"].values() if each["image"] == f"kfp-bayesopt/{step}:test"]
    assert [each["build"]["dockerfile"] for each in services if "build" in each] == [f"{step}/Dockerfile"]
    assert any(each["command"][0] == STEPS[step].program for each in services)


def test_a_person_gets_the_derived_files_of_the_study_folder() -> None:
    assert set(RESULTS) == {"best.json", "trials.jsonl", "failures.json", "summary.md", "report.html"}


# Who may name a step beside its folder, the list, docs and tests, and why.
NAMED = {
    "cloudbuild.yaml": "generated",
    "images/common/kfp_bayesopt/folder/old_folder.py": "the layout of version 0.1.0, which never changes",
    "images/common/kfp_bayesopt/cli/main.py": "the command `report`, which is no step",
    "images/common/kfp_bayesopt/exchange/exporters/mlflow.py": "a method of the REST API of MLflow",
    "images/common/kfp_bayesopt/function/classes.py": "the method of a mapping",
    "images/common/kfp_bayesopt/session/activity.py": "who evaluates a trial, a key of `status --json`",
    "pyproject.toml": "the wheel takes the folder of each step along; tests/test_wheel.py holds that it has all",
    "images/common/kfp_bayesopt/hints.py": "the command `report`, which is no step",
    "docker-compose.test.yml": "generated",
    "pipeline/tune.yaml": "generated",
}


def test_nothing_else_names_a_step() -> None:
    """Python says `UPDATE.name`, so that a misspelt step is an error where it stands."""
    name = re.compile(rf"[\"'/](?:{'|'.join(STEPS)})[\"'/:]")
    free = ("docs/", "tests/", "studies/", *(f"images/{step}/" for step in STEPS))
    found = {
        each
        for each in tracked()
        if not each.startswith(free)
        and not each.endswith((".md", "requirements.in", "requirements.txt"))
        and not each.startswith("images/common/kfp_bayesopt/steps/")
        and name.search((ROOT / each).read_text())
    }
    assert found == set(NAMED)
