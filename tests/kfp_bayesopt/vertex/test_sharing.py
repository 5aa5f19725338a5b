"""The step `report` with an experiment and a model to register: what is written, and what it says where it is not."""

from __future__ import annotations

import json
import logging

import pytest
from click.testing import CliRunner, Result

from images.report.main import main as report
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import KeptFile, Manifest
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.vertex.experiments import run_name
from tests.builders import a_batch, a_record, a_study, records_of, several, study_text, write_folder
from tests.kfp_bayesopt.vertex.conftest import JOB
from tests.vertex_stand_in import OF_CLIENTS, VertexStandIn

pytestmark = OF_CLIENTS

STUDY = a_study(iterations=1)
POINTS: list[Parameters] = [{"x1": 6.0, "x2": 0.1}, {"x1": 1.0, "x2": 2.0}]


def written(bucket: str, study: Study = STUDY, values: tuple[float | None, ...] = (17.25, 0.5)) -> StudyFolder:
    """Return a study folder with two trials, and the model of the second."""
    batch = a_batch(study, POINTS)
    folder = write_folder(f"{bucket}/runs/studies/branin/{study.fingerprint}/0001", study, batch)
    for record in records_of(study, batch, values):
        folder.write_record(record)
    files = [KeptFile(name="model.joblib", size=1, md5="0" * 32)]
    manifest = Manifest(study=study.name, fingerprint=study.fingerprint, trial=2, attempt=1, files=files)
    storage.create(folder.manifest_uri(2, 1), manifest.to_bytes())
    return folder


def asked(folder: StudyFolder, *options: str, content: bytes | None = None) -> Result:
    """Run the step as a task of a pipeline job does."""
    study = folder.write_study(content or study_text(iterations=1))
    return CliRunner().invoke(
        report, ["--root", folder.root, "--study", study, "--pipeline-job", JOB, *options], catch_exceptions=False
    )


@pytest.fixture(autouse=True)
def _job(vertex: VertexStandIn) -> None:
    vertex.jobs["branin-1"] = {"name": JOB}


def test_the_client_finds_every_trial_and_the_best_model(bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    from google.cloud import aiplatform

    folder = written(bucket)
    with caplog.at_level(logging.INFO):
        ended = [asked(folder, "--experiment", "tuning", "--register", "digits") for _ in range(2)]
    assert [each.exit_code for each in ended] == [0, 0], ended[0].output
    runs = aiplatform.ExperimentRun.list(experiment="tuning")
    assert [(run.get_params(), run.get_metrics()) for run in runs] == [
        (POINTS[0], {"value": 17.25}),
        (POINTS[1], {"value": 0.5}),
    ]
    model = aiplatform.Model("digits")
    assert (model.uri, model.version_id) == (f"{folder.root}/trials/000002/output-1", "1")
    said = [record.message for record in caplog.records if record.name.endswith("sharing")]
    assert said == [
        "experiment tuning: a run for each of 2 trials (2 new, 0 changed, 0 as they were)",
        "model digits: trial 2 is registered, as version 1 of projects/123456789/locations/europe-west1/models/digits",
        "experiment tuning: a run for each of 2 trials (0 new, 0 changed, 2 as they were)",
        "model digits: trial 2 is registered already, as version 1 of "
        "projects/123456789/locations/europe-west1/models/digits",
    ]


def test_nothing_is_asked_of_vertex_for_a_study_that_asks_for_nothing(bucket: str, vertex: VertexStandIn) -> None:
    assert asked(written(bucket)).exit_code == 0
    assert vertex.requests == []


def test_a_failed_study_has_its_trials_and_no_model(bucket: str, vertex: VertexStandIn) -> None:
    folder = written(bucket, values=(None, None))
    ended = asked(folder, "--experiment", "tuning", "--register", "digits")
    assert ended.exit_code == 1
    assert "no trial has completed" in ended.output
    known = vertex.contexts.known
    assert [known[name]["metadata"]["_state"] for name in vertex.contexts.children("tuning")] == ["FAILED", "FAILED"]
    assert vertex.models.known == {}


def test_an_experiment_that_cannot_be_written_costs_nothing(
    bucket: str, vertex: VertexStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    folder = written(bucket)
    vertex.refusal = (403, "PERMISSION_DENIED", "no right")
    assert asked(folder, "--experiment", "tuning").exit_code == 0
    assert json.loads(storage.read(f"{folder.root}/best.json", limit=10_000))["value"] == 0.5
    (said,) = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == (
        "the trials are in the study folder, but not all of them are runs of the experiment tuning: projects/123456789/"
        "locations/europe-west1/metadataStores/default/contexts/tuning: permission denied (403: no right); grant "
        "roles/aiplatform.user on the project to the account that the steps run as; the same command writes what is "
        "missing"
    )
    vertex.refusal = None
    assert asked(folder, "--experiment", "tuning").exit_code == 0
    assert len(vertex.contexts.children("tuning")) == 2


def test_a_model_that_is_not_registered_fails_the_step_and_costs_nothing(bucket: str, vertex: VertexStandIn) -> None:
    """What comes next in a pipeline would take the version before it for the new one."""
    folder = written(bucket)
    vertex.models.needs_container = True
    ended = asked(folder, "--register", "digits")
    assert ended.exit_code == 1
    assert ended.output.splitlines()[-2:] == [
        "Error: projects/123456789/locations/europe-west1/models:upload: Vertex AI refused the request (400: "
        "container_spec is required); where it asks for a container, give the image that serves the model: "
        "digits=IMAGE",
        f"the results of the study are in {folder.root}; when that is mended, the same command registers the model and "
        "evaluates nothing again",
    ]
    assert json.loads(storage.read(f"{folder.root}/best.json", limit=10_000))["value"] == 0.5
    assert asked(folder, "--register", "digits=europe-docker.pkg.dev/my-project/serving:1").exit_code == 0


def test_several_objectives_have_no_model_to_register(bucket: str, vertex: VertexStandIn) -> None:
    study = several(iterations=1)
    folder = StudyFolder(f"{bucket}/several", study)
    batch = a_batch(study, POINTS)
    folder.write_suggestions(batch)
    for number, point in enumerate(POINTS, 1):
        values = {"accuracy": 0.5 + number / 10, "latency": 5.0 * number}
        folder.write_record(a_record(study, number, parameters=point, values=values))
    content = study_text(
        iterations=1,
        objective={"python": "mine:objective"},
        optimizer={"engine": "gp"},
        objectives={"accuracy": "maximize", "latency": "minimize"},
    )
    ended = asked(folder, "--experiment", "tuning", "--register", "digits", content=content)
    assert ended.exit_code == 1
    assert "register: a study of several objectives has no best trial" in ended.output
    known = vertex.contexts.known[
        f"tuning-{run_name(folder, a_record(study, 1, values={'accuracy': 0.6, 'latency': 5}))}"
    ]
    assert known["metadata"]["_metrics"] == {"accuracy": 0.6, "latency": 5}


def test_outside_of_vertex_the_experiment_is_said_to_be_left_out(
    bucket: str, vertex: VertexStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a KFP cluster, whose runs have other names."""
    ended = asked(written(bucket), "--experiment", "tuning", "--pipeline-job", "branin-x7k2p")
    assert ended.exit_code == 0
    assert "experiment is a service of Vertex AI, but this is no job of Vertex" in caplog.text
    assert vertex.requests == []
