"""From an installed wheel alone, in an empty folder: the images are built, and the shipped study runs in containers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_bayesopt.steps import STEPS
from kfp_bayesopt_pipeline.building.step_context import read_step_context
from tests import ROOT
from tests.e2e.conftest import NAME, run
from tests.installed import Installed, an_environment, install
from tests.ledgers import check_agreement, comparable

pytestmark = pytest.mark.long

REGISTRY = f"{NAME}/wheel"


@pytest.fixture
def person(wheel: Path, tmp_path: Path) -> Iterator[Installed]:
    """Yield an environment with the wheel and the packages for containers; its images go when the test ends."""
    lock = ROOT / "pipeline" / "cloud" / "requirements.txt"
    yield install(wheel, an_environment(tmp_path / "environment", lock))
    # By their names: the images of the checkout have the same ids, and would go with them.
    named = run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", f"{REGISTRY}/*").stdout.split()
    run("docker", "rmi", "--force", *named)


def test_a_wheel_builds_the_images_and_runs_branin_in_them(person: Installed, tmp_path: Path) -> None:
    here = tmp_path / "empty"
    here.mkdir()
    built = person.run("bayesopt", "build", "--registry", REGISTRY, cwd=here)
    assert built.returncode == 0, built.stderr
    tag = read_step_context().version
    assert json.loads((here / "out" / "images.json").read_text()) == {
        step: f"{REGISTRY}/{step}:{tag}" for step in STEPS
    }, "the tag of the checkout"

    ran = person.run("bayesopt", "compose", "branin", "--out", "compose", cwd=here)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert json.loads((here / "compose" / "best.json").read_text())["value"] == pytest.approx(0.8080, abs=1e-3)

    again = person.run("bayesopt", "run", "branin", "--out", "here", cwd=here)
    assert again.returncode == 0, again.stderr
    ledgers = [comparable((here / place / "trials.jsonl").read_text()) for place in ("compose", "here")]
    assert len(ledgers[0]) == 16
    check_agreement(*ledgers)
