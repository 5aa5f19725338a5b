"""Which images can run which steps, by what their labels say; what is inside of them is tested with Docker."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from kfp_bayesopt.steps import STEPS
from kfp_bayesopt.version import __version__
from kfp_bayesopt_pipeline.images import images_used, trial_image
from kfp_bayesopt_pipeline.preflight import runtimes
from kfp_bayesopt_pipeline.preflight.runtimes import ADDED, LAYER_LABEL, STEP_LABEL, VERSION_LABEL, check_runtimes
from tests.builders import a_study
from tests.registry import DIGEST, Registry

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


# --- stores that an image must be made for --------------------------------------------------------


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """Return the labels of each image: those of a step as `build` makes them for gs://."""
    found = {image: {VERSION_LABEL: __version__, STEP_LABEL: step} for step, image in IMAGES.items()}

    def docker(*arguments: str) -> str | None:
        of = found.get(arguments[-1])
        if arguments[0] != "image" or of is None:
            return None
        whole = [{"Architecture": "amd64", "Config": {"Labels": of}}]
        return json.dumps(of if "--format" in arguments else whole)

    monkeypatch.setattr(runtimes, "_docker", docker)
    monkeypatch.setattr(runtimes, "_container", lambda image: contextlib.nullcontext(image))
    monkeypatch.setattr(runtimes, "_file", lambda *_: None)
    return found


@pytest.mark.parametrize("root", ["s3://bucket/runs", "minio://mlpipeline/bayesopt", "az://container"])
def test_images_that_cannot_reach_the_study_folder_are_said_in_one_line(
    root: str, labels: dict[str, dict[str, str]]
) -> None:
    scheme = root.partition(":")[0]
    said = (
        "registry/init:1, registry/evaluate:1, registry/update:1, registry/report:1: cannot reach "
        f"{scheme}:// folders; `make push STUDY=mine.yaml PIPELINE_ROOT={root}` makes images that can, and an "
        "image of your own copies the runtime of one of them (docs/images.md)"
    )
    assert check_runtimes(a_study(), IMAGES, "amd64", root, "mine.yaml") == [said]
    for image in IMAGES.values():
        labels[image][LAYER_LABEL] = "s3"
    assert check_runtimes(a_study(), IMAGES, "amd64", root) == []
    assert check_runtimes(a_study(), IMAGES, "amd64", "gs://bucket/runs") == [], "they serve the others too"


@pytest.mark.parametrize("root", ["", "gs://bucket/runs", "/studies"])
def test_every_image_reaches_folders_and_buckets_of_google(root: str, labels: dict[str, dict[str, str]]) -> None:
    assert labels
    assert check_runtimes(a_study(), IMAGES, "amd64", root) == []


def test_an_image_with_the_runtime_of_one_that_reaches_all_has_no_label_but_the_package(
    labels: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for image in IMAGES.values():
        labels[image][LAYER_LABEL] = "s3"
    labels["mine:1"] = {VERSION_LABEL: __version__, STEP_LABEL: "evaluate"}
    study = a_study(steps={"evaluate": {"image": "mine:1"}})
    assert "mine:1: cannot reach" in check_runtimes(study, IMAGES, "amd64", "s3://bucket")[0]
    monkeypatch.setattr(runtimes, "_file", lambda _, path: b"" if path == ADDED["s3"] else None)
    assert check_runtimes(study, IMAGES, "amd64", "s3://bucket") == []


def test_an_image_that_docker_does_not_have_here_is_not_said_to_lack_anything(
    labels: dict[str, dict[str, str]],
) -> None:
    labels.clear()
    assert check_runtimes(a_study(), IMAGES, "amd64", "s3://bucket") == []


def test_of_an_image_that_docker_does_not_have_here_the_registry_tells(labels: dict[str, dict[str, str]]) -> None:
    labels.clear()
    registry = Registry()
    images = {step: f"{registry.host}/a/{step}@{DIGEST}" for step in STEPS}
    own = a_study(steps={"evaluate": {"image": f"{registry.host}/a/mine@{DIGEST}"}})
    try:
        assert check_runtimes(own, images, "amd64", "s3://bucket") == [], "it tells nobody"
        registry.labels = {f"a/{step}": {VERSION_LABEL: __version__, STEP_LABEL: step} for step in STEPS}
        registry.labels["a/mine"] = {}
        (said,) = check_runtimes(own, images, "amd64", "s3://bucket")
        lacking = ", ".join(images[step] for step in ("init", "update", "report"))
        assert said.startswith(f"{lacking}: cannot reach s3:// folders; ")
        assert check_runtimes(own, images, "amd64", "gs://bucket") == []
        for step in STEPS:
            registry.labels[f"a/{step}"][LAYER_LABEL] = "s3"
        assert check_runtimes(own, images, "amd64", "s3://bucket") == []
    finally:
        registry.stop()
    assert check_runtimes(own, images, "amd64", "s3://bucket") == [], "it does not answer"


def test_the_image_of_the_study_is_that_of_its_trials_with_both_schedules() -> None:
    own = {"steps": {"evaluate": {"image": "mine:1"}}}
    assert trial_image(a_study(**own), IMAGES) == trial_image(a_study(**ASYNCHRONOUS, **own), IMAGES) == "mine:1"
    assert images_used(a_study(**ASYNCHRONOUS, **own), IMAGES) == {
        "init": "registry/init:1", "worker": "mine:1", "report": "registry/report:1",
    }  # fmt: skip
