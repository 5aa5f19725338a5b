"""What holds for every image of a step, and for an image that a person builds on `evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.runtime import BIN, RUNTIME
from kfp_bayesopt.steps import EVALUATE, INIT, STEPS, UPDATE
from kfp_bayesopt.version import __version__
from kfp_bayesopt_pipeline.building.step_context import read_step_context
from kfp_bayesopt_pipeline.images import Images, load_images
from tests import ROOT
from tests.chain import Chain
from tests.e2e.conftest import run

# MB of the runtime, by lock.
LARGEST = {INIT.lock: 250, EVALUATE.lock: 90}
# As little as a cluster may allow; not even /tmp can be written.
CONFINED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "12345")


@pytest.fixture(scope="module")
def images(images: Path) -> Images:
    """Return the image of each step."""
    return load_images(images)


def _inspect(image: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("docker", "image", "inspect", image).stdout)[0]
    return found


@pytest.mark.parametrize("step", STEPS)
def test_an_image_has_a_user_and_labels(images: Images, step: str) -> None:
    config = _inspect(images[step])["Config"]
    assert config["User"] == "1000:1000"
    assert config["Labels"] == {
        "org.opencontainers.image.title": f"kfp-bayesopt {step}",
        "org.opencontainers.image.version": read_step_context().version,
        "kfp-bayesopt.runtime": __version__,
        "kfp-bayesopt.step": step,
    }


@pytest.mark.parametrize("step", STEPS)
def test_an_image_stays_small(images: Images, step: str) -> None:
    shown = run("docker", "run", "--rm", images[step], "du", "-sb", RUNTIME)
    assert int(shown.stdout.split()[0]) / 1e6 <= LARGEST[STEPS[step].lock]


@pytest.mark.parametrize("step", STEPS)
def test_an_image_has_no_compiler_and_nothing_its_user_could_change(images: Images, step: str) -> None:
    check = "! command -v gcc cc c++ strip && ! find /app /opt/bayesopt -writable -not -type l | grep ."
    assert run("docker", "run", "--rm", images[step], "sh", "-c", check).returncode == 0


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_an_image_shows_the_help_of_its_step(images: Images, step: str, arguments: tuple[str, ...]) -> None:
    shown = run("docker", "run", "--rm", images[step], *arguments)
    assert shown.returncode == 0
    assert shown.stdout.startswith(f"Usage: {step} [OPTIONS]")
    assert shown.stderr == ""


def test_an_image_runs_any_program_that_is_named(images: Images) -> None:
    shown = run("docker", "run", "--rm", images[EVALUATE.name], "python", "-c", "print(6 * 7)")
    assert (shown.stdout, shown.stderr) == ("42\n", "")


@pytest.mark.parametrize("step", STEPS)
def test_nothing_of_ours_is_on_the_paths_of_the_person(images: Images, step: str) -> None:
    code = "import os, sys; print(*sys.path, os.environ['PATH'], os.environ.get('PYTHONPATH', ''), sep=os.pathsep)"
    shown = run("docker", "run", "--rm", images[step], "python", "-c", code)
    assert shown.returncode == 0
    assert "bayesopt" not in shown.stdout


def test_a_step_does_not_see_the_modules_of_the_person(images: Images, tmp_path: Path) -> None:
    for name in ("click", "json", "kfp_bayesopt", "images"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError\n")
    shown = run(
        *("docker", "run", "--rm", "--volume", f"{tmp_path}:/mine:ro", "--workdir", "/mine"),
        *("--env", "PYTHONPATH=/mine", images[EVALUATE.name], "--help"),
    )
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize("engine", ["gp", "skopt"])
def test_a_study_runs_where_a_container_may_do_next_to_nothing(images: Images, tmp_path: Path, engine: str) -> None:
    (tmp_path / "study.yaml").write_text(
        (ROOT / "studies" / "branin.yaml").read_text().replace("engine: skopt, base_estimator: GP", f"engine: {engine}")
    )
    tmp_path.chmod(0o777)
    chain = Chain("/data/study.yaml", "/data")
    for step, arguments in (
        (INIT, chain.init()),
        *((EVALUATE, chain.evaluate(trial)) for trial in (1, 2, 3, 4)),
        (UPDATE, chain.update(range(1, 5))),
    ):
        ended = run(
            *("docker", "run", "--rm", *CONFINED, "--volume", f"{tmp_path}:/data", images[step.name], *arguments)
        )
        assert ended.returncode == 0, ended.stderr
    best = json.loads((tmp_path / "best.json").read_text())
    assert (best["completed"], best["failed"]) == (4, 0)


@pytest.mark.parametrize("step", [step.name for step in STEPS.values() if step.lock == INIT.lock])
def test_every_module_of_the_optimiser_can_be_imported_in_the_image(images: Images, step: str) -> None:
    """What the recipe leaves out must not be missed."""
    code = (
        "import sys; sys.path[:0] = ['/opt/bayesopt/code', '/opt/bayesopt/packages']\n"
        "import skopt.space, sklearn.ensemble, scipy.stats, kfp_bayesopt.search.skopt_engine\n"
        "import kfp_bayesopt.proposing.state, kfp_bayesopt.store.gcs"
    )
    ours = f"{BIN}/python"
    imported = run("docker", "run", "--rm", images[step], ours, "-I", "-S", "-W", "error::ImportWarning", "-c", code)
    assert imported.returncode == 0, imported.stderr
