"""What holds for every image of a step, and for an image that a person builds on `evaluate`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bayesopt import __version__
from tests.e2e.conftest import ROOT, run

STEPS = ("init", "evaluate", "update")
# MB on top of the base image.
LARGEST = {"init": 200, "evaluate": 60, "update": 200}


def _build(tag: str, *arguments: str) -> None:
    built = run("docker", "build", "--quiet", "--tag", tag, *arguments)
    assert built.returncode == 0, built.stderr


@pytest.fixture(scope="module")
def images() -> Iterator[dict[str, str]]:
    """Build the images under names of this test; the names go when it ends."""
    tags = {step: f"kfp-bayesopt-e2e/{step}" for step in (*STEPS, "digits")}
    for step in STEPS:
        labels = ("--build-arg", f"VERSION={__version__}", "--build-arg", "REVISION=abc", "--build-arg", "SOURCE=here")
        _build(tags[step], "--file", f"images/{step}/Dockerfile", *labels, "images")
    _build(tags["digits"], "--build-arg", f"EVALUATE_IMAGE={tags['evaluate']}", "studies/digits")
    yield tags
    run("docker", "rmi", "--force", *tags.values())


def _inspect(image: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("docker", "image", "inspect", image).stdout)[0]
    return found


@pytest.mark.parametrize("step", STEPS)
def test_an_image_has_a_user_labels_and_no_entrypoint(images: dict[str, str], step: str) -> None:
    config = _inspect(images[step])["Config"]
    assert config["User"] == "1000:1000"
    assert not config["Entrypoint"]
    assert config["Labels"] == {
        "org.opencontainers.image.title": f"kfp-bayesopt {step}",
        "org.opencontainers.image.source": "here",
        "org.opencontainers.image.revision": "abc",
        "org.opencontainers.image.version": __version__,
    }


@pytest.mark.parametrize("step", STEPS)
def test_an_image_stays_small(images: dict[str, str], step: str) -> None:
    base = _inspect("python:3.13-slim-trixie")["Size"]
    assert (_inspect(images[step])["Size"] - base) / 1e6 <= LARGEST[step]


@pytest.mark.parametrize("step", STEPS)
def test_an_image_has_no_compiler_and_nothing_its_user_could_change(images: dict[str, str], step: str) -> None:
    check = "! command -v gcc cc c++ strip && ! find /app /packages -writable -not -type l | grep ."
    assert run("docker", "run", "--rm", images[step], "sh", "-c", check).returncode == 0


@pytest.mark.parametrize("step", STEPS)
def test_an_image_shows_its_help_without_a_command(images: dict[str, str], step: str) -> None:
    shown = run("docker", "run", "--rm", images[step])
    assert shown.returncode == 0
    assert "Example:" in shown.stdout
    assert shown.stderr == ""


@pytest.mark.parametrize("step", ["init", "update"])
def test_every_module_of_the_optimiser_can_be_imported_in_the_image(images: dict[str, str], step: str) -> None:
    """What the recipe leaves out must not be missed."""
    code = "import skopt.space, sklearn.ensemble, scipy.stats, optimizer.skopt_engine, optimizer.state, bayesopt.gcs"
    imported = run("docker", "run", "--rm", images[step], "python", "-W", "error::ImportWarning", "-c", code)
    assert imported.returncode == 0, imported.stderr


def test_a_persons_own_image_evaluates_their_objective(images: dict[str, str], tmp_path: Path) -> None:
    from bayesopt.study_file import load_study
    from bayesopt.trials import Batch, Suggestion, write_batch

    study = load_study(str(ROOT / "studies" / "digits.yaml"))
    suggestion = Suggestion(trial=1, parameters={"C": 10.0, "gamma": 0.0005, "kernel": "rbf"})
    batch = Batch(study=study.name, fingerprint=study.fingerprint, iteration=1, suggestions=[suggestion])
    (tmp_path / "digits.yaml").write_bytes((ROOT / "studies" / "digits.yaml").read_bytes())
    write_batch(str(tmp_path / "suggestions.json"), batch)
    tmp_path.chmod(0o777)
    arguments = (
        "--study /data/digits.yaml --suggestions /data/suggestions.json --index 0 --record-out /data/record.json"
    )
    evaluated = run(
        *("docker", "run", "--rm", "--volume", f"{tmp_path}:/data", images["digits"]),
        *("python", "main.py", *arguments.split()),
    )
    assert evaluated.returncode == 0, evaluated.stderr
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["value"] == pytest.approx(0.975, abs=0.002)
