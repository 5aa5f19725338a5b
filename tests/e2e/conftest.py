"""Containers: every test needs Docker, and without it says so; with CI=true that is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_bayesopt.steps import STEPS
from tests import ROOT
from tests.needed import missing
from tests.vertex_stand_in import VertexStandIn

# A name of its own for each session, so that one removes no image and no container of another.
NAME = f"kfp-bayesopt-e2e-{uuid.uuid4().hex[:8]}"
REGISTRY = f"127.0.0.1:5000/{NAME}"
BASE = "python:3.13-slim-trixie"
OFFICIAL = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"


@pytest.fixture(scope="session", autouse=True)
def _docker_answers() -> None:
    try:
        status = subprocess.run(["docker", "info"], capture_output=True, timeout=60).returncode
    except FileNotFoundError:
        status = -1
    if status == 0:
        return
    missing("Docker does not answer, so that no image was built and no chain was run in containers")


def run(*command: str, timeout: int = 600) -> subprocess.CompletedProcess[str]:
    """Run a command at the root of the repository and return what it printed."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


def make(target: str, *variables: str) -> subprocess.CompletedProcess[str]:
    """Run `make` with the commands of the environment that runs the tests; nothing is set up again."""
    return run(
        "make", "--silent", "-o", ".venv-cloud/installed", target, f"BAYESOPT={sys.executable} -m pipeline", *variables
    )


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Build and push the images, once for all tests, and return the file of their digests."""
    path = tmp_path_factory.mktemp("push") / "images.json"
    pushed = make("push", f"REGISTRY={REGISTRY}", "TAG=test", f"IMAGES={path}")
    assert pushed.returncode == 0, pushed.stderr
    yield path
    run("docker", "rmi", "--force", *(f"{REGISTRY}/{step}:test" for step in STEPS))


@pytest.fixture
def official_image() -> Iterator[None]:
    """Have an image under the name of the official one of this Python, also without a network."""
    was_there = run("docker", "image", "inspect", OFFICIAL).returncode == 0
    if not was_there:
        assert run("docker", "tag", BASE, OFFICIAL).returncode == 0
    yield
    if not was_there:
        run("docker", "rmi", OFFICIAL)


class Vertex:
    """The stand-in for Vertex, which runs jobs in real containers, and how one submits to it.

    Attributes:
        stand_in: What answers for Vertex.
        settings: Options that name it, for each command.
    """

    def __init__(self, folder: Path) -> None:
        self.stand_in = VertexStandIn(folder, run=True)
        self.settings = f"--project-id my-project --region europe-west1 --endpoint {self.stand_in.endpoint}"

    def submit(self, study: Path, images: Path, bucket: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Submit a study, and wait for its end."""
        return make(
            *("submit", f"STUDY={study}", f"IMAGES={images}", "WAIT=1"),
            f"FLAGS={self.settings} --pipeline-root {bucket}/runs --every 0.5 {' '.join(options)}",
        )


@pytest.fixture
def vertex(tmp_path: Path) -> Iterator[Vertex]:
    """Yield a stand-in for Vertex."""
    found = Vertex(tmp_path / "vertex")
    yield found
    found.stand_in.stop()
