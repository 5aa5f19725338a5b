"""The file that names the image of each step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.steps import STEPS, steps_of
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.building.step_context import read_step_context
from kfp_bayesopt_pipeline.images import load_images, load_images_of
from tests.builders import write_study
from tests.kfp_bayesopt_pipeline.shapes import IMAGES


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_file_needs_the_steps_of_the_schedule_alone(schedule: str, tmp_path: Path) -> None:
    """A file that was written before a step existed is as good as ever for what needs no such step."""
    needed = {step.name: IMAGES[step.name] for step in steps_of(schedule)}
    path = tmp_path / "images.json"
    path.write_text(json.dumps(needed))
    assert load_images(path, schedule) == needed
    missing = ", ".join(step for step in STEPS if step not in needed)
    with pytest.raises(UserError, match=f"no image of {missing}; `make push` writes the file"):
        load_images(path)


def test_an_image_that_is_there_is_checked_whatever_the_schedule(tmp_path: Path) -> None:
    path = tmp_path / "images.json"
    path.write_text(json.dumps({**IMAGES, "worker": "registry/worker:latest"}))
    with pytest.raises(UserError, match="worker: expected an image with a digest"):
        load_images(path, "batches")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "not valid JSON: recursion limit exceeded at line 1 column 2"),
        ("[1]", "must be an object, but got [1]; `make push` writes the file"),
        (json.dumps({**IMAGES, "worker": 5}), "worker: expected the name of an image, but got 5"),
        (
            json.dumps({**IMAGES, "worker": "a\x1b[2J@sha256:" + "0" * 64}),
            "worker: expected the name of an image, but got 'a\\x1b[2J@sha256:",
        ),
        (json.dumps({**IMAGES, "init": ["a"]}), "no image of init; `make push` writes the file"),
    ],
)
def test_what_names_no_images_is_one_message(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "images.json"
    path.write_text(content)
    with pytest.raises(UserError) as raised:
        load_images(path, "batches")
    assert raised.value.message.startswith(f"{path}: {message}")
    assert raised.value.message.isprintable()


def test_images_of_something_else_than_what_is_here_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = read_step_context().version
    old = f"{here[:-12]}{'0' * 12}"
    path = tmp_path / "images.json"
    study = write_study(tmp_path)
    tags = ((old, True), (f"{old}-s3", True), (here, False), (f"{here}-s3", False), ("1.0", False))
    for tag, warned in (*tags, (f"{old}@sha256:{'1' * 64}", False)):
        caplog.clear()
        path.write_text(json.dumps({step: f"kfp-bayesopt/{step}:{tag}" for step in STEPS}))
        load_images_of(Study.from_file(str(study)), str(study), path)
        said = f"{path}: its images are of {old}, and what is here is {here}; `make build` builds them again"
        assert [record.getMessage() for record in caplog.records] == ([said] if warned else [])
