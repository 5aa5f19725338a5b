"""The component of every study: its form, its size, and that it stands anywhere in a pipeline."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner
from kfp import compiler, components

from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.steps import INIT, REPORT, SHARED, WORKER
from kfp_bayesopt.steps.tuning import OPENED_AS
from kfp_bayesopt_pipeline.shipped import TUNE
from kfp_bayesopt_pipeline.tuning.component import MOST_BYTES, built_apart, text_of
from kfp_bayesopt_pipeline.tuning.forms import Form
from tests.kfp_bayesopt_pipeline.tuning.persons import IMAGE, PLACES, Tune, pipeline, twice

# Of kfp, at import.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

FORMS = [Form(), Form(IMAGE), Form(data=True), Form(IMAGE, data=True)]
STEPS = (INIT.name, WORKER.name, REPORT.name)


def _without_version(text: str) -> str:
    """Return a component without the version of the SDK, which says nothing about ours."""
    return re.sub(r"^sdkVersion: .*\n", "", text, flags=re.MULTILINE)


def _spec(form: Form) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text_of(form))  # as the client of Vertex reads it: one document
    return found


def _tasks(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the tasks that run something, those in loops too."""
    dags = [spec["root"], *(each for each in spec["components"].values() if "dag" in each)]
    return {name: task for each in dags for name, task in each["dag"]["tasks"].items() if name in STEPS}


def _containers(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    executors = spec["deploymentSpec"]["executors"]
    return {label.removeprefix("exec-"): each["container"] for label, each in executors.items()}


def test_the_component_of_every_study_is_kept_in_the_repository() -> None:
    assert _without_version(TUNE.read_text()) == _without_version(text_of(Form())), "`make generate` writes it"


@pytest.mark.parametrize("form", FORMS)
def test_a_component_is_small(form: Form) -> None:
    assert len(text_of(form).encode()) <= MOST_BYTES


def test_its_inputs_and_outputs_are_typed_and_explained() -> None:
    root = _spec(Form())["root"]
    inputs, outputs = root["inputDefinitions"]["parameters"], root["outputDefinitions"]
    assert {name: each.get("defaultValue") for name, each in inputs.items()} == {
        "study": None,
        "image": None,
        "root": "minio://mlpipeline/bayesopt/kubeflow",
        "data": "",
        "workers": ["1", "2", "3", "4"],
        "going_on": "",
        "experiment": "",
        "register": "",
    }
    assert {name: each["artifactType"]["schemaTitle"] for name, each in outputs["artifacts"].items()} == {
        "trials": "system.Dataset",
        "model": "system.Model",
        "report": "system.HTML",
        "metrics": "system.Metrics",
    }
    assert {name: each["parameterType"] for name, each in outputs["parameters"].items()} == {
        "parameters": "STRUCT",
        "parameters_json": "STRING",
        "value": "NUMBER_DOUBLE",
    }
    every = [*inputs.values(), *outputs["artifacts"].values(), *outputs["parameters"].values()]
    assert [each for each in every if not each.get("description")] == []


def test_an_artifact_with_data_is_required_and_reaches_what_evaluates() -> None:
    spec = _spec(Form(IMAGE, data=True))
    inputs = spec["root"]["inputDefinitions"]
    assert inputs["artifacts"]["data"].get("isOptional") is None
    assert set(inputs["parameters"]) == {"study", "root", "workers", "going_on", *(port.name for port in SHARED)}
    taking = {name for name, task in _tasks(spec).items() if "data" in task["inputs"].get("artifacts", {})}
    assert taking == {INIT.name, WORKER.name}


@pytest.mark.parametrize("form", FORMS)
def test_all_steps_run_in_one_image(form: Form) -> None:
    at_run_time = "{{$.inputs.parameters['pipelinechannel--image']}}"
    spec = _spec(form)
    assert {each["image"] for each in _containers(spec).values()} == {form.image or at_run_time}
    assert set(_containers(spec)) == set(STEPS)


@pytest.mark.parametrize("form", FORMS)
def test_it_is_plain_and_nothing_of_it_is_taken_from_a_cache(form: Form) -> None:
    """A task that fails ends it: no exit task, and none that is run whatever happened before."""
    spec = _spec(form)
    assert set(spec["root"]["dag"]["tasks"]) == {INIT.name, "for-loop-1", REPORT.name}
    assert sorted(spec["root"]["dag"]["tasks"][REPORT.name]["dependentTasks"]) == ["for-loop-1", INIT.name]
    assert spec["root"]["dag"]["tasks"]["for-loop-1"]["dependentTasks"] == [INIT.name]
    assert "triggerPolicy" not in str(spec)
    tasks = _tasks(spec)
    assert set(tasks) == set(STEPS)
    assert [name for name, task in tasks.items() if task["cachingOptions"]] == []


def test_workers_alone_are_run_again() -> None:
    tasks = _tasks(_spec(Form()))
    assert {name: task["retryPolicy"]["maxRetryCount"] for name, task in tasks.items() if "retryPolicy" in task} == {
        WORKER.name: 2
    }


def test_what_init_says_goes_into_the_loop_as_an_artifact() -> None:
    """kfp.local gives a task in a loop the item in place of each parameter of another task."""
    spec = _spec(Form())
    (loop,) = [each for each in spec["components"].values() if "dag" in each]
    assert set(loop["inputDefinitions"]["artifacts"]) == {"pipelinechannel--init-opened"}
    assert set(loop["inputDefinitions"]["parameters"]) == {
        "pipelinechannel--image",
        "pipelinechannel--workers",
        "pipelinechannel--workers-loop-item",
    }
    assert loop["inputDefinitions"]["parameters"]["pipelinechannel--workers-loop-item"]["parameterType"] == "STRING"


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("form", [Form(), Form(IMAGE, data=True)])
def test_the_arguments_of_a_task_are_options_of_its_program(step: str, form: Form) -> None:
    command: click.Command = importlib.import_module(f"images.{step}.main").main
    container = _containers(_spec(form))[step]
    assert container["command"] == ["/opt/bayesopt/bin/executor"]
    assert container["args"][:2] == ["{{$}}", f"/opt/bayesopt/bin/{step}"]
    options = {option.opts[0] for option in command.params}
    assert set(container["args"][2::2]) <= options
    if step == INIT.name:
        assert {"--data", "--data-uri"} <= options  # which `executor` makes of an artifact
    else:
        assert {f"--{name}" for name in OPENED_AS} <= options  # which `executor` makes of the artifact


@pytest.mark.parametrize("form", FORMS)
def test_the_same_is_built_in_a_process_apart(form: Form) -> None:
    assert built_apart(form) == text_of(form)


# --- in somebody's pipeline --------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_it_stands_anywhere_in_a_pipeline(place: Callable[[Tune, Tune], None], tmp_path: Path) -> None:
    tune, with_data = (components.load_component_from_text(text_of(form)) for form in (Form(), Form(data=True)))
    written = str(tmp_path / "mine.yaml")
    compiler.Compiler().compile(pipeline(place, tune, with_data), written)
    spec = yaml.safe_load(Path(written).read_text())
    tuning = {name: each for name, each in spec["components"].items() if re.fullmatch(r"comp-tune(-\d+)?", name)}
    assert len(tuning) == (2 if place is twice else 1)
    for each in tuning.values():
        caches = [task["cachingOptions"] for task in each["dag"]["tasks"].values() if "cachingOptions" in task]
        assert caches == [{}, {}]
    assert components.load_component_from_file(written).name == "mine"


# --- the command -------------------------------------------------------------------------------


def _component(*options: str) -> str:
    ended = CliRunner().invoke(cli, ["component", *options], prog_name="bayesopt")
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def test_the_command_writes_each_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert _component() == "tune.yaml\n"
    assert (tmp_path / "tune.yaml").read_text() == text_of(Form())
    _component("--image", IMAGE, "--data-artifact", "--output", "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text() == text_of(Form(IMAGE, data=True))


def test_an_image_whose_code_nobody_knows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(cli, ["component", "--image", "worker:latest"], prog_name="bayesopt")
    assert ended.exit_code == 1
    assert ended.output.startswith("Error: --image: expected an image with a digest or with a tag that never moves")
    assert list(tmp_path.iterdir()) == []
