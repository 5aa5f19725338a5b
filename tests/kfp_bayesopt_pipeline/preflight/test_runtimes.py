"""Which images can run which steps, by what their labels say; what is inside of them is tested with Docker."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kfp_bayesopt.steps import STEPS
from kfp_bayesopt.version import __version__
from kfp_bayesopt_pipeline.images import images_used, trial_image
from kfp_bayesopt_pipeline.preflight import runtimes
from kfp_bayesopt_pipeline.preflight.runtimes import STEP_LABEL, VERSION_LABEL, check_runtimes
from tests.builders import a_study

IMAGES = {step: f"registry/{step}:1" for step in STEPS}
ASYNCHRONOUS: dict[str, Any] = {"schedule": "asynchronous", "optimizer": {"engine": "gp"}}


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return which step the runtime of each image says that it is of; a test may change it."""
    found = {image: step for step, image in IMAGES.items()}

    def inspect(*arguments: str) -> str:
        labels = {VERSION_LABEL: __version__, STEP_LABEL: found[arguments[-1]]}
        return json.dumps([{"Architecture": "amd64", "Config": {"Labels": labels}}])

    monkeypatch.setattr(runtimes, "_docker", inspect)
    return found


@pytest.mark.parametrize("changes", [{}, ASYNCHRONOUS])
def test_the_images_of_the_steps_can_run_them(changes: dict[str, Any], held: dict[str, str]) -> None:
    assert held
    assert check_runtimes(a_study(**changes), IMAGES, "amd64") == []


def test_only_the_steps_of_the_schedule_are_looked_at(held: dict[str, str]) -> None:
    held["registry/evaluate:1"] = "nothing"
    assert check_runtimes(a_study(**ASYNCHRONOUS), IMAGES) == []
    assert len(check_runtimes(a_study(), IMAGES)) == 1


def test_an_image_that_docker_cannot_look_into_is_not_said_to_lack_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    def docker(*arguments: str) -> str | None:
        return json.dumps([{"Architecture": "amd64", "Config": {}}]) if arguments[0] == "image" else None

    monkeypatch.setattr(runtimes, "_docker", docker)
    assert runtimes.check_runtime("mine:1", "evaluate", "amd64") == []


def test_workers_need_the_runtime_of_workers_and_trials_do_with_it_too(held: dict[str, str]) -> None:
    own = {"steps": {"evaluate": {"image": "mine:1"}}}
    held["mine:1"] = "evaluate"
    copy = "COPY --from=REGISTRY/worker:TAG /opt/bayesopt /opt/bayesopt"
    assert check_runtimes(a_study(**ASYNCHRONOUS, **own), IMAGES) == [
        f"mine:1: its runtime is that of evaluate, not of worker; change its Dockerfile: {copy}"
    ]
    held["mine:1"] = "worker"
    assert check_runtimes(a_study(**ASYNCHRONOUS, **own), IMAGES) == []
    assert check_runtimes(a_study(**own), IMAGES) == []


def test_the_image_of_the_study_is_that_of_its_trials_with_both_schedules() -> None:
    own = {"steps": {"evaluate": {"image": "mine:1"}}}
    assert trial_image(a_study(**own), IMAGES) == trial_image(a_study(**ASYNCHRONOUS, **own), IMAGES) == "mine:1"
    assert images_used(a_study(**ASYNCHRONOUS, **own), IMAGES) == {
        "init": "registry/init:1", "worker": "mine:1", "report": "registry/report:1",
    }  # fmt: skip
