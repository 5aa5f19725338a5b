"""The docker steps of cloudbuild.yaml build, push and tell digests, on the registry of this machine."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_bayesopt.steps import EVALUATE, STEPS, WORKER
from kfp_bayesopt_pipeline.images import Images, load_images, name_of_python
from tests.e2e.cloud_build import lay_out, run_docker_steps
from tests.e2e.conftest import REGISTRY, run
from tests.python_base import OFFICIAL, VERSION, make_base

pytestmark = pytest.mark.long

REPOSITORY = f"{REGISTRY}/cloud-build"
TAGS = ("0123abc", "badbad0", "cache")
GIVEN = {"_IMAGES": REPOSITORY, "_TAG": "0123abc", "PROJECT_ID": "my-project", "SHORT_SHA": "", "_PYTHONS": VERSION}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run the steps once; their images go when the tests end."""
    folder = tmp_path_factory.mktemp("workspace")
    lay_out(folder)
    was_made = make_base()
    run_docker_steps(folder, GIVEN)
    yield folder
    run(
        "docker", "rmi", "--force", f"{REPOSITORY}/{name_of_python(VERSION)}:0123abc", *([OFFICIAL] if was_made else [])
    )
    run("docker", "rmi", "--force", *(f"{REPOSITORY}/{step}:{tag}" for step in STEPS for tag in TAGS))


def _manifest(step: str, reference: str) -> str:
    host, _, path = REPOSITORY.partition("/")
    return f"http://{host}/v2/{path}/{step}/manifests/{reference}"


def _layers(workspace: Path) -> dict[str, tuple[str, list[str]]]:
    """Return when the image of each step was made, and its layers."""
    images = load_images(workspace / "digests/images.json")
    found = {step: json.loads(run("docker", "image", "inspect", images[step]).stdout)[0] for step in STEPS}
    return {step: (image["Created"], image["RootFS"]["Layers"]) for step, image in found.items()}


def test_trials_of_functions_run_in_the_image_of_their_python(workspace: Path, images: Images) -> None:
    noted = load_images(workspace / f"digests/{name_of_python(VERSION)}.json")
    differ = {step for step in STEPS if noted[step] != images[step]}
    assert differ == {EVALUATE.name, WORKER.name}
    (image,) = {noted[step] for step in differ}
    ended = run("docker", "run", "--rm", "--entrypoint", "python", image, "--version")
    assert ended.stdout.startswith(f"Python {VERSION}."), ended.stderr


@pytest.fixture
def images(workspace: Path) -> Images:
    return load_images(workspace / "digests/images.json")


def test_the_digests_are_those_of_the_registry(images: Images) -> None:
    for step in STEPS:
        repository, digest = images[step].split("@")
        assert repository == f"{REPOSITORY}/{step}"
        for reference in (digest, "0123abc", "cache"):
            request = urllib.request.Request(
                _manifest(step, reference),
                headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
                method="HEAD",
            )
            with urllib.request.urlopen(request, timeout=20) as answer:
                assert answer.headers["Docker-Content-Digest"] == digest


def test_a_second_build_takes_what_has_not_changed_from_the_last_image(workspace: Path) -> None:
    """The digests may differ: an image also holds what the builder notes of its cache, in any order."""
    before = _layers(workspace)
    printed = run_docker_steps(workspace, GIVEN)
    assert "importing cache manifest from" in printed
    assert _layers(workspace) == before


def test_a_step_that_fails_pushes_nothing(workspace: Path) -> None:
    (workspace / "images" / "update" / "Dockerfile").write_text("FROM scratch\nCOPY nothing /\n")
    with pytest.raises(AssertionError, match=r"^update: "):
        run_docker_steps(workspace, {**GIVEN, "_TAG": "badbad0"})
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(_manifest("init", "badbad0"), timeout=20)
