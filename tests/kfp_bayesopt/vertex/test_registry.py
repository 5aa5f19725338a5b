"""Versions of the Model Registry as aiplatform's own client reads them: the best trial's model, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from kfp_bayesopt.errors import UnavailableError, UserError
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import KeptFile, Manifest
from kfp_bayesopt.store import storage
from kfp_bayesopt.vertex import registry
from kfp_bayesopt.vertex.api import Api
from kfp_bayesopt.vertex.registry import Target, register
from tests.builders import a_record, a_study
from tests.kfp_bayesopt.vertex.conftest import JOB
from tests.vertex_stand_in import OF_CLIENTS, VertexStandIn

pytestmark = OF_CLIENTS

STUDY = a_study()
IMAGE = "europe-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"


@pytest.fixture
def folder(bucket: str) -> StudyFolder:
    return StudyFolder(f"{bucket}/runs/studies/branin/{STUDY.fingerprint}/0001", STUDY)


def keep(folder: StudyFolder, trial: int, *names: str, attempt: int = 1) -> None:
    """Write the list of what a trial has kept."""
    files = [KeptFile(name=name, size=1, md5="0" * 32) for name in names]
    manifest = Manifest(study=STUDY.name, fingerprint=STUDY.fingerprint, trial=trial, attempt=attempt, files=files)
    storage.create(folder.manifest_uri(trial, attempt), manifest.to_bytes())


@pytest.fixture
def _job(vertex: VertexStandIn) -> None:
    """Let the job be there whose report registers a model."""
    vertex.jobs["branin-1"] = {"name": JOB}


@pytest.mark.usefixtures("_job")
def test_the_client_reads_a_version_that_says_where_it_is_from(api: Api, folder: StudyFolder) -> None:
    from google.cloud import aiplatform

    keep(folder, 3, "model.joblib")
    said = register(api, Target("digits"), folder, a_record(STUDY, 3, 0.97))
    assert said == f"model digits: trial 3 is registered, as version 1 of {api.parent}/models/digits"
    model = aiplatform.Model("digits")
    assert (model.display_name, model.version_id, model.version_aliases) == ("digits", "1", ["default"])
    assert model.uri == f"{folder.root}/trials/000003/output-1"
    assert model.version_description == f"Trial 3 of study branin: 0.97. Study folder {folder.root}"
    assert model.labels == {"study": "branin", "fingerprint": STUDY.fingerprint, "trial": "3"}
    assert not (model.container_spec and model.container_spec.image_uri)


@pytest.mark.usefixtures("_job")
def test_a_trial_of_a_study_folder_has_one_version(api: Api, folder: StudyFolder) -> None:
    from google.cloud import aiplatform

    for trial in (1, 2, 3, 4):
        keep(folder, trial, "model.joblib")
    said = [register(api, Target("digits"), folder, a_record(STUDY, trial)) for trial in (1, 2, 3, 4, 3, 4)]
    assert said[-1] == f"model digits: trial 4 is registered already, as version 4 of {api.parent}/models/digits"
    versions = aiplatform.Model("digits").versioning_registry.list_versions()
    assert [(each.version_id, list(each.version_aliases or [])) for each in versions] == [
        ("1", []), ("2", []), ("3", []), ("4", ["default"]),
    ]  # fmt: skip


@pytest.mark.usefixtures("_job")
def test_another_attempt_or_folder_is_another_version(vertex: VertexStandIn, api: Api, folder: StudyFolder) -> None:
    other = StudyFolder(f"{folder.root[:-1]}2", STUDY)
    keep(folder, 1, "model.joblib")
    keep(folder, 1, "model.joblib", attempt=2)
    keep(other, 1, "model.joblib")
    register(api, Target("digits"), folder, a_record(STUDY, 1))
    register(api, Target("digits"), folder, a_record(STUDY, 1, attempt=2))
    register(api, Target("digits"), other, a_record(STUDY, 1))
    assert len(vertex.models.known["digits"]) == 3


@pytest.mark.usefixtures("_job")
def test_the_container_that_serves_it_is_given_with_it(api: Api, folder: StudyFolder) -> None:
    from google.cloud import aiplatform

    keep(folder, 1, "model.joblib")
    register(api, Target.of(f"digits={IMAGE}"), folder, a_record(STUDY, 1))
    container = aiplatform.Model("digits").container_spec
    assert container is not None
    assert container.image_uri == IMAGE


@pytest.mark.usefixtures("vertex")
def test_the_client_itself_sends_no_artifact_without_a_container() -> None:
    """So docs/vertex.md says that whether the service takes one is not known."""
    from google.cloud import aiplatform

    with pytest.raises(ValueError, match="`serving_container_image_uri` is required"):
        aiplatform.Model.upload(display_name="digits", artifact_uri="gs://bucket/model")


@pytest.mark.usefixtures("_job")
def test_a_model_of_others_gets_a_version_and_keeps_its_name(
    vertex: VertexStandIn, api: Api, folder: StudyFolder
) -> None:
    from google.cloud import aiplatform

    theirs = aiplatform.Model.upload(
        display_name="Handwritten digits", model_id="digits", artifact_uri="gs://b/m", serving_container_image_uri=IMAGE
    )
    keep(folder, 1, "model.joblib")
    register(api, Target("digits"), folder, a_record(STUDY, 1))
    assert [each["displayName"] for each in vertex.models.known["digits"]] == ["Handwritten digits"] * 2
    assert theirs.version_id == "1"


def test_a_version_has_the_key_of_the_job(vertex: VertexStandIn, api: Api, folder: StudyFolder) -> None:
    key = "projects/p/locations/r/keyRings/k/cryptoKeys/c"
    vertex.jobs["branin-1"] = {"name": JOB, "encryptionSpec": {"kmsKeyName": key}}
    keep(folder, 1, "model.joblib")
    register(api, Target("digits"), folder, a_record(STUDY, 1))
    assert vertex.models.known["digits"][0]["encryptionSpec"] == {"kmsKeyName": key}


@pytest.mark.usefixtures("_job")
def test_an_upload_that_takes_long_is_waited_for(
    vertex: VertexStandIn, api: Api, folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "PAUSE", 0.01)
    vertex.models.pending = 3
    keep(folder, 1, "model.joblib")
    assert "as version 1 of" in register(api, Target("digits"), folder, a_record(STUDY, 1))
    assert sum("/operations/" in each for each in vertex.requests) == 3


@pytest.mark.usefixtures("_job")
@pytest.mark.parametrize("lost", ["taken", "not taken"])
def test_an_upload_whose_answer_is_lost_makes_no_second_version(
    lost: Literal["taken", "not taken"],
    vertex: VertexStandIn,
    api: Api,
    folder: StudyFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "LOOKS", 0.01)
    keep(folder, 1, "model.joblib")
    vertex.lost_uploads = lost
    assert "as version 1 of" in register(api, Target("digits"), folder, a_record(STUDY, 1))
    assert len(vertex.models.known["digits"]) == 1


@pytest.mark.usefixtures("_job")
def test_what_vertex_refuses_is_said(vertex: VertexStandIn, api: Api, folder: StudyFolder) -> None:
    keep(folder, 1, "model.joblib")
    vertex.models.needs_container = True
    with pytest.raises(UserError) as caught:
        register(api, Target("digits"), folder, a_record(STUDY, 1))
    assert caught.value.message == (
        f"{api.parent}/models:upload: Vertex AI refused the request (400: container_spec is required); where it asks "
        "for a container, give the image that serves the model: digits=IMAGE"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "register: trial 1 wrote no model; have the objective save it into BAYESOPT_OUTPUT"),
        ({"output_missing": "no space"}, "register: the model of trial 1 is missing: no space"),
    ],
)
def test_a_trial_without_a_model_is_refused(
    changes: dict[str, Any], message: str, vertex: VertexStandIn, api: Api, folder: StudyFolder
) -> None:
    with pytest.raises(UserError) as caught:
        register(api, Target("digits"), folder, a_record(STUDY, 1, **changes))
    assert caught.value.message == message
    assert vertex.requests == []


def test_a_folder_that_vertex_cannot_read_is_refused(api: Api, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Vertex AI reads models from gs://, but the study folder is"):
        register(api, Target("digits"), StudyFolder(str(tmp_path), STUDY), a_record(STUDY, 1))


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("digits", Target("digits")),
        ("4512345678901234567", Target("4512345678901234567")),
        (f"my_model-2={IMAGE}", Target("my_model-2", IMAGE)),
    ],
)
def test_what_a_person_asks_for_is_read(text: str, target: Target) -> None:
    assert Target.of(text) == target


@pytest.mark.parametrize(
    "text", ["", "Digits", "2digits", "-a", "a" * 64, "digits=", "digits=a b", "a/b", "é", "a=b=c"]
)
def test_what_is_no_model_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="register: expected NAME or NAME=IMAGE"):
        Target.of(text)


@pytest.mark.usefixtures("_job")
@pytest.mark.usefixtures("_impatient")
def test_a_service_that_never_answers_is_given_up(vertex: VertexStandIn, api: Api, folder: StudyFolder) -> None:
    keep(folder, 1, "model.joblib")
    vertex.refusal = (503, "UNAVAILABLE", "not now")
    with pytest.raises(UnavailableError, match="no answer from Vertex AI"):
        register(api, Target("digits"), folder, a_record(STUDY, 1))
