"""The compiled pipeline: its shapes, its size, and that it fits the images that it runs."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from kfp import components

from bayesopt.errors import UserError
from bayesopt.steps import STEPS
from pipeline import ROOT
from pipeline.images import check_image
from pipeline.kfp.compile import compile_study
from tests.builders import a_study, write_study
from tests.pipeline.kfp.shapes import GOLDEN, IMAGES, SHAPES, compiled, path

# Of kfp and of google-cloud-pipeline-components, at import.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def _spec(shape: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(compiled(shape))
    return found


def _tasks(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the tasks of a pipeline by what the UI calls them, those in loops too."""
    dags = [spec["root"], *(each for each in spec["components"].values() if "dag" in each)]
    return {task["taskInfo"]["name"]: task for each in dags for task in each["dag"]["tasks"].values()}


def _executor(spec: dict[str, Any], title: str) -> dict[str, Any]:
    component = spec["components"][_tasks(spec)[title]["componentRef"]["name"]]
    found: dict[str, Any] = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_compiles_to_its_golden_file(shape: str) -> None:
    assert compiled(shape) == path(shape).read_text(), "`make golden` writes the file"


def test_every_golden_file_belongs_to_a_shape() -> None:
    assert {each.stem for each in GOLDEN.iterdir()} == set(SHAPES)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_compiled_pipeline_can_be_loaded(shape: str) -> None:
    assert components.load_component_from_text(compile_study(a_study(**SHAPES[shape]), IMAGES)).name == "branin"


def test_tasks_have_names_that_a_person_recognises() -> None:
    titles = [title for title in _tasks(_spec("small")) if not title.startswith("for-loop")]
    assert sorted(titles) == [
        "init", "iteration 1: evaluate", "iteration 1: update", "iteration 2: evaluate", "iteration 2: update",
    ]  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
def test_the_arguments_of_a_component_are_the_options_of_its_image(step: str) -> None:
    command: click.Command = importlib.import_module(f"images.{step}.main").main
    title = step if step == "init" else f"iteration 1: {step}"
    arguments = _executor(_spec("small"), title)["args"]
    assert arguments[:2] == ["{{$}}", f"/opt/bayesopt/bin/{step}"]
    given = [each for each in arguments[2:] if each.startswith("--")]
    assert given == [option.opts[0] for option in command.params]


@pytest.mark.parametrize("step", STEPS)
def test_inputs_and_outputs_of_a_component_are_explained_in_the_ui(step: str) -> None:
    from pipeline.kfp.components import make_component

    spec = make_component(STEPS[step], IMAGES[step]).component_spec
    assert spec.description == STEPS[step].does
    assert list(spec.inputs) == [port.name for port in STEPS[step].reads]
    assert list(spec.outputs) == [port.name for port in STEPS[step].writes]
    assert [name for name, each in spec.inputs.items() if not each.description] == []


def test_machines_retries_and_caching_are_those_of_the_study() -> None:
    spec = _spec("accelerators")
    evaluate, update = _executor(spec, "iteration 1: evaluate"), _executor(spec, "iteration 1: update")
    assert evaluate["image"] == "europe-docker.pkg.dev/my-project/bayesopt/digits:1.0"
    assert evaluate["resources"]["resourceCpuLimit"] == "8"
    assert evaluate["resources"]["resourceMemoryLimit"] == "30G"
    assert evaluate["resources"]["accelerator"]["resourceType"] == "NVIDIA_TESLA_T4"
    assert evaluate["resources"]["accelerator"]["resourceCount"] == "2"
    assert update["resources"]["resourceMemoryLimit"] == "512Mi"
    tasks = _tasks(spec)
    assert tasks["iteration 1: evaluate"]["retryPolicy"]["maxRetryCount"] == 5
    assert tasks["iteration 1: evaluate"]["retryPolicy"]["backoffDuration"] == "10s"
    assert "retryPolicy" not in tasks["init"]
    assert not tasks["iteration 1: evaluate"]["cachingOptions"].get("enableCache")
    assert tasks["iteration 1: update"]["cachingOptions"]["enableCache"]


def test_at_most_max_parallel_trials_run_at_the_same_time() -> None:
    def limits(shape: str) -> set[int]:
        return {
            task["iteratorPolicy"]["parallelismLimit"]
            for title, task in _tasks(_spec(shape)).items()
            if title.startswith("for-loop")
        }

    assert limits("small") == {2}
    assert limits("accelerators") == {1}


def test_steps_without_settings_get_what_the_seed_gave_them() -> None:
    resources = _executor(_spec("small"), "iteration 1: evaluate")["resources"]
    assert (resources["resourceCpuLimit"], resources["resourceMemoryLimit"]) == ("1", "8G")


def test_a_hundred_iterations_of_fifty_trials_compile_small(tmp_path: Path) -> None:
    """By the command, in a process of its own: KFP looks at the whole stack of calls for each task."""
    study = write_study(tmp_path, iterations=100, parallel_trials=50)
    images, out = tmp_path / "images.json", tmp_path / "pipeline.yaml"
    images.write_text(json.dumps(IMAGES))
    command = [sys.executable, "-m", "pipeline", "compile", str(study), "--images", str(images), "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert out.stat().st_size < 600_000


def test_the_pipeline_does_not_grow_with_the_trials_but_for_their_indexes() -> None:
    few, many = (len(compile_study(a_study(parallel_trials=trials), IMAGES)) for trials in (2, 100))
    assert many - few < 2 * 100 * len("100, ")


@pytest.mark.parametrize(
    "image", ["evaluate", "evaluate:latest", "host:5000/evaluate", "host/evaluate@sha256:12", "host/evaluate:latest"]
)
def test_an_image_that_can_change_is_refused_with_the_reason(image: str) -> None:
    with pytest.raises(UserError) as caught:
        compile_study(a_study(steps={"evaluate": {"image": image}}), IMAGES)
    assert caught.value.message == (
        f"steps.evaluate.image: expected an image with a digest or with a tag that never moves, but got {image!r}; "
        "caching takes the same name for the same content and would mix up two images; `make push` writes digests"
    )


@pytest.mark.parametrize("image", ["host:5000/evaluate:1.0", f"host/evaluate@sha256:{'0' * 64}", "evaluate:0123abc"])
def test_an_image_with_a_digest_or_a_fixed_tag_is_taken(image: str) -> None:
    assert check_image(image, "here") == image


@pytest.mark.parametrize(
    ("evaluate", "message"),
    [
        ({"accelerator_count": 2}, "accelerator_count needs an accelerator_type"),
        ({"spot": True}, "spot: true needs a machine_type"),
        (
            {"machine_type": "n1-standard-8", "cpu": 2},
            "machine_type decides cpu and memory; remove them, or machine_type",
        ),
    ],
)
def test_what_cannot_be_combined_is_refused(evaluate: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        a_study(steps={"evaluate": evaluate})
    assert caught.value.message == f"study: steps.evaluate: {message}"


def test_spot_machines_run_the_same_container_as_a_custom_job() -> None:
    spec = _spec("spot")
    inputs = spec["components"]["comp-evaluate"]["inputDefinitions"]["parameters"]
    (pool,) = inputs["worker_pool_specs"]["defaultValue"]
    assert inputs["strategy"]["defaultValue"] == "SPOT"
    assert pool["machine_spec"] == {
        "machine_type": "n1-standard-8",
        "accelerator_type": "NVIDIA_L4",
        "accelerator_count": 1.0,
    }
    assert pool["container_spec"]["image_uri"] == IMAGES["evaluate"]
    ours = _executor(_spec("small"), "iteration 1: evaluate")
    assert pool["container_spec"]["command"] == ours["command"]
    assert pool["container_spec"]["args"][1:] == ours["args"][1:]


def test_the_golden_files_hold_no_path_of_a_machine() -> None:
    assert str(Path.home()) not in "".join(path(shape).read_text() for shape in SHAPES)
