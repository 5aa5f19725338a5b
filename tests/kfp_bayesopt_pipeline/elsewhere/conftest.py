"""A function of a script on its way to other places, and settings as a person in Python has them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.steps import STEPS
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.elsewhere import order
from kfp_bayesopt_pipeline.images import note_images_of_python
from kfp_bayesopt_pipeline.places import TARGETS
from tests.builders import BRANIN_SPACE
from tests.registry import DIGEST, Registry
from tests.vertex_stand_in import VertexStandIn

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


SCRIPT = """
def train(x1, x2):
    return x1 + x2
"""


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study of a function that needs no packages but those of the images."""
    monkeypatch.setattr(order, "prepare", lambda study, *_: study)
    script: dict[str, Any] = {"__name__": "__main__"}
    exec(SCRIPT, script)
    return Study(name="cell", objective=script["train"], space=BRANIN_SPACE, trials=2, parallel_trials=2)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, in Python, without settings of this machine."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BAYESOPT_DOOR", "python")
    monkeypatch.setenv("HOME", str(tmp_path))  # KFP's client keeps settings there
    monkeypatch.delenv("REGISTRY", raising=False)
    for model in TARGETS.values():
        for setting in model.described().values():
            monkeypatch.delenv(setting.variable, raising=False)
    return folder


@pytest.fixture
def vertex(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VertexStandIn]:
    """A stand-in for Vertex, which the environment names."""
    stand_in = VertexStandIn(tmp_path / "vertex")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-project")
    monkeypatch.setenv("GOOGLE_CLOUD_REGION", "europe-west1")
    monkeypatch.setenv("VERTEX_ENDPOINT", stand_in.endpoint)
    monkeypatch.setenv("PIPELINE_ROOT", f"{bucket}/runs")
    yield stand_in
    stand_in.stop()


@pytest.fixture
def images(registry: Registry, bucket: str) -> dict[str, str]:
    """The images of this Python, pushed and noted in the store."""
    image = f"{registry.host}/mine/python@{DIGEST}"
    steps = {step: f"{registry.host}/mine/{step}@{DIGEST}" for step in STEPS}
    note_images_of_python(f"{bucket}/runs", PYTHON, steps, image)
    return {**steps, "trials": image}
