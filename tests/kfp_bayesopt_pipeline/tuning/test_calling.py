"""`tune` in a pipeline of a person: what it is given, which component it takes, and what it refuses."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from kfp import dsl

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.session.sent import PACKED
from kfp_bayesopt.steps import STEPS
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline import tune
from kfp_bayesopt_pipeline.tuning import calling
from kfp_bayesopt_pipeline.tuning.component import text_of
from kfp_bayesopt_pipeline.tuning.forms import Form
from tests.builders import study_data, study_text
from tests.kfp_bayesopt_pipeline.tuning.persons import IMAGE, prepare, train

# Of kfp, at import.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

WORKERS: dict[str, Any] = {
    "schedule": "asynchronous",
    "iterations": None,
    "trials": 100,
    "parallel_trials": 3,
    "optimizer": {"engine": "gp"},
}
TEXT = study_text(**WORKERS).decode()


class _NeededError(Exception):
    def __init__(self, form: Form) -> None:
        self.form = form


def _in_a_pipeline(place: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the spec of a pipeline, with components that were built here: that is quicker than in a process apart."""
    built: dict[Form, str] = {}

    def look_up(form: Form) -> str:
        if form not in built:
            raise _NeededError(form)
        return built[form]

    def without_outputs(*given: Any) -> None:
        place(*given)

    # KFP takes inputs and outputs from the signature.
    signature = inspect.signature(place).replace(return_annotation=inspect.Signature.empty)
    without_outputs.__signature__ = signature  # type: ignore[attr-defined]
    monkeypatch.setattr(calling, "built_apart", look_up)
    while True:
        try:
            made = dsl.pipeline(without_outputs, name="mine")
        except _NeededError as needed:
            built[needed.form] = text_of(needed.form)
        else:
            found: dict[str, Any] = json_format.MessageToDict(made.pipeline_spec)
            return found


def _called(monkeypatch: pytest.MonkeyPatch, *arguments: Any, **options: Any) -> dict[str, Any]:
    """Return the inputs of a task that tunes, by name: texts, lists, or where they come from."""
    return _inputs(_in_a_pipeline(lambda: tune(*arguments, **options), monkeypatch))


def _inputs(spec: dict[str, Any]) -> dict[str, Any]:
    (task,) = [each for name, each in spec["root"]["dag"]["tasks"].items() if name.startswith("tune")]
    given = task.get("inputs", {})
    parameters = {
        name: each["runtimeValue"]["constant"] if "runtimeValue" in each else each
        for name, each in given.get("parameters", {}).items()
    }
    return {**parameters, **given.get("artifacts", {})}


def _images(spec: dict[str, Any]) -> dict[str, str]:
    executors = spec["deploymentSpec"]["executors"]
    return {label.removeprefix("exec-"): each["container"]["image"] for label, each in executors.items()}


def _refused(monkeypatch: pytest.MonkeyPatch, *arguments: Any, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        _called(monkeypatch, *arguments, **options)
    return error.value.message


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_ROOT", raising=False)


def _note_images(**images: str) -> None:
    Path("out").mkdir()
    every = {step: f"europe/{step}@sha256:{'1' * 64}" for step in STEPS}
    Path("out/images.json").write_text(json.dumps({**every, **images}))


# --- which study -------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["text", "file", "path", "folder", "study"])
def test_a_study_is_given_as_text_file_folder_or_object(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study.yaml").write_text(TEXT)
    given = {
        "text": TEXT,
        "file": "study.yaml",
        "path": tmp_path / "study.yaml",
        "folder": tmp_path,
        "study": Study.from_text(TEXT),
    }[way]
    inputs = _called(monkeypatch, given, image=IMAGE)
    assert Study.from_text(inputs.pop("study")) == Study.from_text(TEXT)
    assert inputs == {"workers": ["1", "2", "3"]}


def test_the_text_of_a_file_arrives_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study.yaml").write_text(f"# größer\n{TEXT}\n")
    assert _called(monkeypatch, "study.yaml", image=IMAGE)["study"] == f"# größer\n{TEXT}\n"


def test_a_study_with_braces_of_argo_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _called(monkeypatch, TEXT + "\n# {{inputs}}", image=IMAGE)["study"].startswith(PACKED)


def test_the_address_of_a_study_is_read_by_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _called(monkeypatch, "gs://bucket/study.yaml", image=IMAGE) == {"study": "gs://bucket/study.yaml"}


def test_a_study_comes_from_a_task_and_its_data_as_an_artifact(monkeypatch: pytest.MonkeyPatch) -> None:
    def place() -> None:
        prepared = prepare()
        found = tune(prepared.outputs["study"], image=IMAGE, data=prepared.outputs["table"], root="gs://b/x/")
        train(parameters=found.outputs["parameters"], model=found.outputs["model"])

    inputs = _inputs(_in_a_pipeline(place, monkeypatch))
    assert inputs["study"] == {"taskOutputParameter": {"producerTask": "prepare", "outputParameterKey": "study"}}
    assert inputs["data"] == {"taskOutputArtifact": {"producerTask": "prepare", "outputArtifactKey": "table"}}
    assert inputs["root"] == "gs://b/x"


def test_data_and_how_it_goes_on_are_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = _called(monkeypatch, TEXT, image=IMAGE, data="gs://b/d", same_code=True, ended="a-1", workers=[7, "2"])
    assert {name: inputs[name] for name in ("data", "going_on", "workers")} == {
        "data": "gs://b/d",
        "going_on": "same-code,ended=a-1",
        "workers": ["7", "2"],
    }


# --- which image -------------------------------------------------------------------------------


def test_an_image_is_baked_in_and_a_parameter_comes_at_run_time(monkeypatch: pytest.MonkeyPatch) -> None:
    baked = _in_a_pipeline(lambda: tune(TEXT, image=IMAGE), monkeypatch)
    assert set(_images(baked).values()) == {IMAGE}

    def with_parameter(image: str) -> None:
        tune(TEXT, image=image)

    with_parameter.__annotations__ = {"image": str}
    later = _in_a_pipeline(with_parameter, monkeypatch)
    assert set(_images(later).values()) == {"{{$.inputs.parameters['pipelinechannel--image']}}"}
    assert _inputs(later)["image"] == {"componentInputParameter": "image"}


def test_the_image_is_that_of_the_workspace_or_of_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    _note_images(worker=IMAGE)
    assert set(_images(_in_a_pipeline(lambda: tune(TEXT), monkeypatch)).values()) == {IMAGE}
    own = study_text(**WORKERS, steps={"evaluate": {"image": "europe/mine:1.0"}}).decode()
    assert set(_images(_in_a_pipeline(lambda: tune(own), monkeypatch)).values()) == {"europe/mine:1.0"}


# --- a component of its own --------------------------------------------------------------------


def test_a_study_with_batches_gets_a_component_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    _note_images()
    spec = _in_a_pipeline(lambda: tune(study_text().decode(), target="vertex", root="gs://b/x"), monkeypatch)
    images = _images(spec)
    assert set(images) == {"init", "evaluate", "update", "report"}
    assert {label: image.partition("@")[0] for label, image in images.items()} == {
        label: f"europe/{label}" for label in images
    }
    args = spec["deploymentSpec"]["executors"]["exec-init"]["container"]["args"]
    assert args[2:4] == ["--made-for", Study.from_text(study_text()).fingerprint]
    assert _inputs(spec) == {"root": "gs://b/x"}


def test_the_target_follows_from_what_a_study_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pods = study_text(**WORKERS, steps={"evaluate": {"pod": {"node_selector": {"pool": "gpus"}}}}).decode()
    spec = _in_a_pipeline(lambda: tune(pods, image=IMAGE), monkeypatch)
    assert set(_images(spec).values()) == {IMAGE}
    env = spec["deploymentSpec"]["executors"]["exec-worker"]["container"]["env"]
    assert env[0]["name"] == "BAYESOPT_STORE_ENDPOINT"
    machines = study_text(**WORKERS, steps={"evaluate": {"machine_type": "n1-standard-8"}}).decode()
    spec = _in_a_pipeline(lambda: tune(machines, image=IMAGE, root="gs://b/x"), monkeypatch)
    worker = spec["deploymentSpec"]["executors"]["exec-worker"]["container"]
    assert worker["image"] != IMAGE  # the launcher of the custom job
    assert "tune-branin" in str(spec["components"].keys())


# --- what is refused ---------------------------------------------------------------------------


def test_outside_of_a_pipeline_it_says_what_to_do() -> None:
    with pytest.raises(UserError, match=r"call it in a function with @dsl.pipeline, or run the study on this machine"):
        tune(TEXT, image=IMAGE)


OBJECTIVES = {
    "objectives": {"loss": "minimize", "size": "minimize"},
    "objective": {"command": ["train"], "args": "flags", "value": {"source": "printed"}},
}
WANTS_DATA = study_text(**WORKERS, objective={"command": ["train", "{data}", "{x1}", "{x2}"]}).decode()
BATCHES = study_text().decode()


@pytest.mark.parametrize(
    ("study", "options", "said"),
    [
        ("", {}, "tune: study: is empty"),
        (3, {}, "tune: study: expected a study, its file, its text, or the output of a task, but got 3"),
        ("missing.yaml", {}, "missing.yaml: no such file"),
        ("{}", {}, "study: name: required key is missing"),
        ("kind: Experiment\napiVersion: kubeflow.org/v1beta1\n", {}, "study: is an Experiment of Katib, and no study"),
        ("ftp://host/study.yaml", {}, "ftp://host/study.yaml: only gs://"),
        (json.dumps(study_data(**WORKERS, **OBJECTIVES)), {}, "objectives: several have no best parameters"),
        (TEXT + "\n# " + "ßäöü" * 9000, {}, None),
        (TEXT, {"image": "worker"}, "image: expected an image with a digest or with a tag that never moves"),
        (TEXT, {"image": "worker:latest"}, "image: expected an image with a digest or with a tag that never moves"),
        (TEXT, {"image": None}, "out/images.json: file not found"),
        (
            TEXT,
            {"data": Path("table.csv")},
            "tune: data: table.csv: the machines of a pipeline see no files of this one",
        ),
        (WANTS_DATA, {}, "objective.command has {data}, and no data is given; give a text, a path or a URI"),
        (TEXT, {"data": {"a": 1}}, "tune: data: expected a text or the output of a task, but got {'a': 1}"),
        (TEXT, {"root": "out/studies"}, "tune: root: out/studies: is a path of this machine"),
        (TEXT, {"root": 3}, "tune: root: expected a text such as gs://BUCKET/PREFIX, but got 3"),
        *(
            (
                TEXT,
                {"workers": given},
                "tune: workers: expected how many, 1 to 1000, or a number for each, all different",
            )
            for given in ([], [1, "1"], ["a"], [0], 0, 1001, True, "2", {"1": 1}, [1.5])
        ),
        (
            TEXT,
            {"experiment": "Mine"},
            "tune: experiment: expected 4 to 64 lower case letters, digits and hyphens, but got",
        ),
        (TEXT, {"register": "My Model"}, "tune: register: expected NAME or NAME=IMAGE: the id of a model"),
        (TEXT, {"register": 3}, "tune: register: expected NAME or NAME=IMAGE: the id of a model"),
        (BATCHES, {}, "schedule: batches: decided when the pipeline is compiled; say for what: target='vertex' or"),
        (BATCHES, {"target": "aws"}, "target='vertex' or target='kfp', not 'aws'"),
        (BATCHES, {"workers": ["1"]}, "and so are its workers; leave workers out"),
    ],
)
def test_what_cannot_work_is_refused_with_the_way_out(
    study: Any, options: dict[str, Any], said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = _refused(monkeypatch, study, **{"image": IMAGE, **options}) if said else ""
    assert (said or "") in refused


def test_a_file_of_this_machine_is_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "table.csv").write_text("1")
    assert "tune: data: table.csv: the machines of a pipeline see no files" in _refused(
        monkeypatch, TEXT, image=IMAGE, data="table.csv"
    )
    assert _called(monkeypatch, TEXT, image=IMAGE, data="of monday")["data"] == "of monday"


def test_a_study_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = "".join(chr(0x4E00 + (each * each * 7919) % 20_000) for each in range(9000))
    refused = _refused(monkeypatch, f"{TEXT}\n# {noise}", image=IMAGE)
    assert "packed, and a run takes 9,000; copy it to a bucket, and give its URI" in refused


def test_what_is_no_output_of_the_right_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def place(which: str) -> None:
        prepared = prepare()
        tune({"task": prepared, "artifact": prepared.outputs["table"]}[which], image=IMAGE)

    with pytest.raises(UserError, match=r"study: is the task prepare; give one of its outputs \(study, table\)"):
        _in_a_pipeline(lambda: place("task"), monkeypatch)
    with pytest.raises(UserError, match=r"study: is the artifact table of prepare; make it a parameter of that task"):
        _in_a_pipeline(lambda: place("artifact"), monkeypatch)


def test_the_image_of_a_study_that_needs_one_is_known_when_it_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def place(image: str) -> None:
        tune(BATCHES, image=image, target="kfp")

    place.__annotations__ = {"image": str}
    with pytest.raises(UserError, match=r"and so is its image; give the name of the image"):
        _in_a_pipeline(place, monkeypatch)


# --- the package -------------------------------------------------------------------------------


def test_importing_the_package_imports_no_kfp() -> None:
    code = "import sys, kfp_bayesopt_pipeline; dir(kfp_bayesopt_pipeline); print('kfp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_name_that_is_not_there_is_refused() -> None:
    import kfp_bayesopt_pipeline

    with pytest.raises(AttributeError, match="has no attribute 'tunes'"):
        kfp_bayesopt_pipeline.tunes  # type: ignore[attr-defined]  # noqa: B018


def test_a_component_is_built_in_a_process_apart_where_a_pipeline_is_being_built() -> None:
    made = dsl.pipeline(lambda: tune(TEXT, image=IMAGE) and None, name="mine")
    assert "comp-tune" in made.pipeline_spec.components
