"""A step that tunes inside of a pipeline on Vertex: what its client sends, and what upstream's launcher asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.cloud.aiplatform_v1.types import JobState
from kfp import compiler, dsl

from kfp_bayesopt.steps import STEPS
from kfp_bayesopt.steps.executor import options_of, step_of
from kfp_bayesopt_pipeline.places.vertex import VertexSettings
from kfp_bayesopt_pipeline.tuning.calling import tune
from tests.builders import study_text
from tests.kfp_bayesopt_pipeline.tuning import persons
from tests.vertex_launcher import arguments, launch
from tests.vertex_stand_in import OF_CLIENTS, VertexStandIn

pytestmark = OF_CLIENTS

MACHINE = {
    "machine_type": "n1-standard-8",
    "accelerator_type": "NVIDIA_TESLA_T4",
    "accelerator_count": 2,
    "spot": True,
    "image": persons.IMAGE,
}
WORKERS = {"schedule": "asynchronous", "iterations": None, "trials": 8, "optimizer": {"engine": "gp"}}
ACCOUNT = "steps@my-project.iam.gserviceaccount.com"
KEY = "projects/p/locations/r/keyRings/k/cryptoKeys/c"
BUCKET = "create_gcs_bucket_for_pipeline_artifacts_if_it_does_not_exist"
OPENED: dict[str, Any] = {
    "uri": "gs://bucket/run/init/opened",
    "metadata": {
        "root": "gs://bucket/tuning/studies/branin/f51e5293970f263b/0001",
        "study": "gs://bucket/tuning/studies/branin/f51e5293970f263b/0001/study/12.yaml",
        "job": "branin-1",
    },
}


@pytest.fixture
def vertex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VertexStandIn]:
    """Yield a stand-in for Vertex, to which aiplatform's client sends its jobs."""
    for setting in VertexSettings.described().values():
        monkeypatch.delenv(setting.variable, raising=False)
    stand_in = VertexStandIn(tmp_path / "vertex")
    stand_in.take_client()
    yield stand_in
    stand_in.stop()


def a_pipeline(folder: Path, **changes: Any) -> Path:
    """Compile a person's pipeline: prepare data, tune, and train with what is found."""

    def place() -> None:
        prepared = persons.prepare()
        found = tune(
            study_text(**changes).decode(),
            root="gs://bucket/tuning",
            data=prepared.outputs["table"],
            experiment="branin-trials",
            register="branin",
        )
        persons.train(parameters=found.outputs["parameters"], model=found.outputs["model"])

    path = folder / "mine.yaml"
    # KFP reads annotations, which are texts here.
    compiler.Compiler().compile(dsl.pipeline(lambda: place(), name="mine"), str(path))
    return path


@pytest.mark.parametrize("changes", [{}, WORKERS], ids=["batches", "workers"])
def test_a_pipeline_with_a_study_on_spot_machines_is_sent_and_its_trials_are_custom_jobs(
    changes: dict[str, Any], vertex: VertexStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.cloud import aiplatform

    monkeypatch.chdir(tmp_path)
    for name, value in {"SERVICE_ACCOUNT": ACCOUNT, "VERTEX_ENCRYPTION_KEY": KEY}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "out").mkdir()
    images = {step: f"europe-docker.pkg.dev/my-project/bayesopt/{step}@sha256:{'1' * 64}" for step in STEPS}
    (tmp_path / "out" / "images.json").write_text(json.dumps(images))
    path = a_pipeline(tmp_path, **changes, steps={"evaluate": MACHINE})
    sent = aiplatform.PipelineJob(
        display_name="mine", job_id="mine-1", template_path=str(path), pipeline_root="gs://bucket/root"
    )
    monkeypatch.setattr("google.cloud.aiplatform.utils.gcs_utils." + BUCKET, lambda **_: None)
    sent.submit()
    assert list(vertex.jobs) == ["mine-1"]

    step = "worker" if changes else "evaluate"
    given = {"worker": "2"} if changes else {"trial": 3}
    identity = {"service_account": ACCOUNT, "network": "", "encryption_spec_key_name": KEY, "labels": {}}
    table: dict[str, Any] = {"uri": "gs://bucket/root/table", "metadata": {}}
    artifacts = {"opened": OPENED, "data": table, **({} if changes else {"batch": {"uri": "gs://bucket/batch"}})}
    (job,) = launch(
        arguments(path.read_text(), step, {**given, **identity}, tmp_path, artifacts),
        lambda _: JobState.JOB_STATE_SUCCEEDED,
    )
    assert job.job_spec.scheduling.strategy.name == "SPOT"
    (pool,) = job.job_spec.worker_pool_specs
    assert pool.machine_spec.accelerator_type.name == "NVIDIA_TESLA_T4"
    assert (pool.machine_spec.machine_type, pool.machine_spec.accelerator_count) == ("n1-standard-8", 2)
    assert pool.container_spec.image_uri == persons.IMAGE
    reached, program, *options = pool.container_spec.args
    executor_input = json.loads(reached)
    found = options_of(executor_input, step_of(program, executor_input))
    assert [*options, *found] == [
        f"--{next(iter(given))}", str(next(iter(given.values()))),
        "--root", OPENED["metadata"]["root"], "--study", OPENED["metadata"]["study"], "--job", "branin-1",
    ]  # fmt: skip
    # What a custom job does not take over from the pipeline job is the default of the component.
    (nested,) = [each for name, each in _components(path).items() if name == "comp-tune-branin"]
    inputs = nested["inputDefinitions"]["parameters"]
    assert {name: inputs[name].get("defaultValue") for name in identity} == identity
    assert (job.job_spec.service_account, job.encryption_spec.kms_key_name) == (ACCOUNT, KEY)


def _components(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["components"]
    return found
