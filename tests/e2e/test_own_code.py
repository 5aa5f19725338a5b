"""Kinds of training code of docs/own-code.md in images, up to the stand-in for Vertex; all of them in `make proofs`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import REGISTRY, Vertex, run
from tests.own_code import KINDS, write_kind
from tests.proofs.conftest import WHOLE

BASE = "python:3.13-slim-trixie"
# One whose image is made elsewhere; test_build.py and test_quickstart.py go from folders to containers.
SHARE = ("elsewhere",)

pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("_root"),
    pytest.mark.filterwarnings("ignore"),  # of the client libraries, in their own code
]


def _push_elsewhere(folder: Path, evaluate: str) -> None:
    """Build and push an image as a person would who has builds of their own, and name it in the study."""
    tag = f"{REGISTRY}/elsewhere:test"
    arguments = ("--build-arg", f"EVALUATE={evaluate}", "--build-arg", f"BASE={BASE}", "--tag", tag, str(folder))
    built = run("docker", "build", "--quiet", *arguments)
    assert built.returncode == 0, built.stderr
    pushed = run("docker", "push", "--quiet", tag)
    assert pushed.returncode == 0, pushed.stderr
    digests = run("docker", "image", "inspect", "--format", "{{json .RepoDigests}}", tag).stdout
    study = folder / "study.yaml"
    study.write_text(study.read_text().replace("IMAGE", json.loads(digests)[0]))
    for name in ("training.py", "Dockerfile"):
        (folder / name).unlink()


@pytest.mark.parametrize("kind", KINDS if WHOLE else SHARE)
def test_a_kind_of_code_goes_from_its_folder_to_vertex(
    kind: str, images: Path, vertex: Vertex, bucket: str, tmp_path: Path
) -> None:
    folder, noted = write_kind(kind, tmp_path), tmp_path / "images.json"
    if kind == "elsewhere":
        _push_elsewhere(folder, json.loads(images.read_text())["evaluate"])
        noted = images
    else:
        if kind == "program":
            dockerfile = folder / "Dockerfile"
            dockerfile.write_text(dockerfile.read_text().replace("debian:12-slim", BASE))
        built = run(
            *(sys.executable, "-m", "pipeline", "image", str(folder), "--registry", REGISTRY, "--tag", "test"),
            *("--python-image", BASE, "--push", "--out", str(noted)),
        )
        assert built.returncode == 0, built.stderr
    ended = vertex.submit(folder, noted, bucket)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "4 completed, 0 failed" in ended.stdout
