"""The examples of docs/commands.md about containers run one after another, as they are written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_bayesopt.steps import STEPS
from tests.commands_page import IN_CONTAINERS, examples
from tests.e2e.conftest import run
from tests.fake_storage import make_bucket
from tests.vertex_stand_in import VertexStandIn

pytestmark = pytest.mark.long

BIN = Path(sys.executable).parent


@pytest.fixture
def environment(tmp_path: Path, bucket: str) -> Iterator[dict[str, str]]:
    """Yield the variables of a shell in which an environment is active, and that leads to stand-ins of the cloud."""
    assert bucket
    make_bucket(os.environ["STORAGE_EMULATOR_HOST"], "my-bucket")
    service = VertexStandIn(tmp_path / "service", run=True)
    yield {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "VERTEX_ENDPOINT": service.endpoint,
    }
    service.stop()


@pytest.mark.usefixtures("official_image")
def test_the_examples_about_containers_run_as_they_are_written(tmp_path: Path, environment: dict[str, str]) -> None:
    lines = examples()

    def call(command: str) -> str:
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(lines[command])],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
        return ended.stdout

    call("new")
    study = tmp_path / "my-study" / "study.yaml"
    study.write_text(study.read_text().replace("iterations: 5", "iterations: 1").replace("trials: 4", "trials: 2"))
    made: list[str] = []
    try:
        for command in IN_CONTAINERS:
            printed = call(command)
            if command in {"build", "push"}:
                named = json.loads((tmp_path / "out" / "my-study" / "images.json").read_text())
                made += [named[step] for step in STEPS]
            else:
                assert "\nbest value " in printed, command
    finally:
        run("docker", "rmi", "--force", *made)
