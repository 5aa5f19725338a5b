"""The component of one study: with all that is decided when a pipeline is compiled, and plain too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from kfp import components

from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.session.sent import text_to_send
from kfp_bayesopt.steps import INIT, REPORT
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.places.kfp import KfpSettings
from kfp_bayesopt_pipeline.tuning.component import text_of
from kfp_bayesopt_pipeline.tuning.forms import Form, Own
from tests.builders import study_text
from tests.kfp_bayesopt_pipeline.shapes import CLUSTERS, IMAGES, SHAPES

# Of kfp and of google-cloud-pipeline-components, at import.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
OF_JOBS = {"service_account", "network", "encryption_spec_key_name", "labels"}


def _own(shape: str, data: bool = False, **changes: Any) -> Form:
    text = study_text(**{**SHAPES[shape], **changes}).decode()
    return Form(data=data, own=Own(text, tuple(IMAGES.items()), CLUSTERS.get(shape)))


def _spec(form: Form) -> dict[str, Any]:
    found: dict[str, Any] = next(yaml.safe_load_all(text_of(form)))
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_it_has_the_inputs_and_outputs_of_every_component_but_what_is_known(shape: str) -> None:
    found = components.load_component_from_text(text_of(_own(shape)))
    every = components.load_component_from_text(text_of(Form()))
    of_jobs = OF_JOBS if shape == "spot" else set()
    assert set(found.component_spec.inputs) - of_jobs == set(every.component_spec.inputs) - {
        "study",
        "image",
        "workers",
    }
    assert of_jobs <= set(found.component_spec.inputs)
    assert found.component_spec.outputs == every.component_spec.outputs
    assert found.name == "tune-branin"


@pytest.mark.parametrize("shape", SHAPES)
def test_one_stage_comes_after_the_other_and_nothing_is_run_whatever_happened_before(shape: str) -> None:
    spec = _spec(_own(shape))
    tasks = spec["root"]["dag"]["tasks"]
    after = {name: {*task.get("dependentTasks", [])} for name, task in tasks.items()}
    assert "triggerPolicy" not in str(spec)
    assert "exit-handler" not in str(spec)
    order = [INIT.name]
    while nexts := [name for name in after if name not in order and after[name] <= {*order}]:
        order += nexts
        assert len(nexts) == 1
    assert (order[0], order[-1], len(order)) == (INIT.name, REPORT.name, len(tasks))
    for name in (INIT.name, REPORT.name):
        assert tasks[name]["cachingOptions"] == {}
        assert "retryPolicy" not in tasks[name]


def test_its_study_is_in_it_and_init_is_told_that_it_is_for_that_one() -> None:
    spec = _spec(_own("small"))
    given = spec["root"]["dag"]["tasks"][INIT.name]["inputs"]["parameters"]
    assert given["study"] == {"runtimeValue": {"constant": text_to_send(study_text())}}
    assert given["image"] == {"runtimeValue": {"constant": IMAGES["evaluate"]}}
    container = spec["deploymentSpec"]["executors"]["exec-init"]["container"]
    assert container["args"][1:4] == ["/opt/bayesopt/bin/init", "--made-for", Study.from_text(study_text()).fingerprint]
    assert {label: each["container"]["image"] for label, each in spec["deploymentSpec"]["executors"].items()} == {
        f"exec-{step}": IMAGES[step] for step in ("init", "evaluate", "update", "report")
    }


def test_workers_are_texts_in_it_too() -> None:
    spec = _spec(_own("workers"))
    (loop,) = [task for name, task in spec["root"]["dag"]["tasks"].items() if name.startswith("for-loop")]
    assert loop["parameterIterator"]["items"]["raw"] == '["1", "2", "3", "4"]'
    assert loop["iteratorPolicy"]["parallelismLimit"] == 4


def test_what_says_which_study_it_is_reaches_a_custom_job() -> None:
    spec = _spec(_own("spot"))
    evaluate = spec["components"]["comp-evaluate"]["inputDefinitions"]
    assert set(evaluate["artifacts"]) == {"opened", "batch"}
    (pool,) = evaluate["parameters"]["worker_pool_specs"]["defaultValue"]
    assert pool["container_spec"]["args"][1:3] == ["/opt/bayesopt/bin/evaluate", "--trial"]
    assert pool["container_spec"]["image_uri"] == IMAGES["evaluate"]


@pytest.mark.parametrize("shape", ["small", "workers", "spot"])
def test_for_vertex_it_is_one_document_and_for_a_cluster_the_second_has_its_pods(shape: str) -> None:
    assert len(list(yaml.safe_load_all(text_of(_own(shape))))) == 1
    _, pods = yaml.safe_load_all(text_of(_own("cluster")))
    assert set(pods["platforms"]["kubernetes"]["deploymentSpec"]["executors"]) == {
        "exec-init", "exec-evaluate", "exec-update", "exec-report",
    }  # fmt: skip


@pytest.mark.parametrize("form", [Form(), _own("cluster", data=True), _own("small")])
def test_a_form_is_read_from_json(form: Form) -> None:
    assert Form.from_data(json.loads(json.dumps(form.to_data()))) == form


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_ROOT", raising=False)
    (tmp_path / "images.json").write_text(json.dumps(IMAGES))
    (tmp_path / "study.yaml").write_bytes(study_text())


def _component(*options: str) -> str:
    ended = CliRunner().invoke(cli, ["component", *options], prog_name="bayesopt")
    return str(ended.output)


@pytest.mark.usefixtures("_here")
def test_the_command_writes_the_component_of_a_study_for_each_target() -> None:
    options = ("--images", "images.json")
    assert _component("study.yaml", *options) == "out/branin/component.yaml\n"
    spec = yaml.safe_load(Path("out/branin/component.yaml").read_text())
    assert "defaultValue" not in spec["root"]["inputDefinitions"]["parameters"]["root"]
    _component("study.yaml", *options, "--pipeline-root", "gs://bucket/runs", "--output", "mine.yaml")
    spec = yaml.safe_load(Path("mine.yaml").read_text())
    assert spec["root"]["inputDefinitions"]["parameters"]["root"]["defaultValue"] == "gs://bucket/runs"
    _component("study.yaml", *options, "--target", "kfp", "--store-ca", "ca/ca.crt", "--output", "mine.yaml")
    cluster = KfpSettings(store_ca="ca/ca.crt").cluster(KfpSettings().pipeline_root)
    assert [each["name"] for each in _env("mine.yaml")] == list(cluster.variables)


@pytest.mark.usefixtures("_here")
def test_the_account_of_custom_jobs_is_that_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("study.yaml").write_bytes(study_text(**SHAPES["spot"]))
    monkeypatch.setenv("SERVICE_ACCOUNT", "steps@my-project.iam.gserviceaccount.com")
    _component("study.yaml", "--images", "images.json", "--output", "mine.yaml")
    inputs = yaml.safe_load(Path("mine.yaml").read_text())["root"]["inputDefinitions"]["parameters"]
    assert inputs["service_account"]["defaultValue"] == "steps@my-project.iam.gserviceaccount.com"
    assert {inputs[name]["defaultValue"] for name in ("network", "encryption_spec_key_name", "register")} == {""}


def _env(file: str) -> list[dict[str, str]]:
    spec, _ = yaml.safe_load_all(Path(file).read_text())
    found: list[dict[str, str]] = spec["deploymentSpec"]["executors"]["exec-init"]["container"]["env"]
    return found


@pytest.mark.usefixtures("_here")
def test_the_image_of_workers_runs_all_steps_and_that_of_trials_its_own() -> None:
    image = "europe/mine@sha256:" + "2" * 64
    _component("study.yaml", "--images", "images.json", "--image", image, "--output", "batches.yaml")
    executors = yaml.safe_load(Path("batches.yaml").read_text())["deploymentSpec"]["executors"]
    assert {label: each["container"]["image"] for label, each in executors.items()} == {
        **{f"exec-{step}": IMAGES[step] for step in ("init", "update", "report")},
        "exec-evaluate": image,
    }
    Path("study.yaml").write_bytes(study_text(**SHAPES["workers"]))
    _component("study.yaml", "--image", image, "--output", "workers.yaml")
    executors = yaml.safe_load(Path("workers.yaml").read_text())["deploymentSpec"]["executors"]
    assert {each["container"]["image"] for each in executors.values()} == {image}


@pytest.mark.usefixtures("_here")
def test_what_the_target_does_not_have_is_refused() -> None:
    Path("study.yaml").write_bytes(study_text(steps={"evaluate": {"machine_type": "n1-standard-8"}}))
    said = _component("study.yaml", "--images", "images.json", "--target", "kfp")
    assert "study.yaml: steps.evaluate: machine_type and spot work on Vertex only" in said
    assert not Path("out").exists()
