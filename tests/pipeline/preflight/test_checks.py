"""What is looked at outside of this machine before a study is submitted."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bayesopt.errors import UserError
from pipeline.commands import submit
from pipeline.preflight import registry as registries
from pipeline.preflight.checks import check_bucket, check_images, check_service
from pipeline.targets.vertex import Vertex, access_token
from tests.pipeline.conftest import DIGEST, Registry
from tests.vertex_stand_in import VertexStandIn

pytestmark = [
    pytest.mark.usefixtures("_root"),
    # Of the client libraries, at import or in their own code.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

Answer = Callable[[BaseHTTPRequestHandler], None]


def _answer(status: int, content: dict[str, Any]) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        body = json.dumps(content).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


# --- images ------------------------------------------------------------------------------------


def test_images_that_are_there_are_good(registry: Registry) -> None:
    assert (
        check_images({"init": f"{registry.host}/a/init@{DIGEST}", "update": f"{registry.host}/a/update:1"}, None) == []
    )


def test_an_image_that_is_not_in_its_registry_is_named(registry: Registry) -> None:
    registry.answers["a/update"] = 404
    image = f"{registry.host}/a/update@{DIGEST}"
    assert check_images({"init": f"{registry.host}/a/init:1", "update": image}, None) == [
        f"{image}: the image must be in its registry, but it is not there; make push"
    ]


def test_an_image_without_a_registry_cannot_be_pulled_by_a_service() -> None:
    assert check_images({"init": "kfp-bayesopt/init:1"}, None) == [
        "kfp-bayesopt/init:1: an image in a registry must be named, but there is no registry in its name; "
        "make push REGISTRY=HOST/PROJECT/REPOSITORY"
    ]


def test_a_registry_that_does_not_answer_is_named(registry: Registry) -> None:
    registry.stop()
    image = f"{registry.host}/a/init:1"
    assert check_images({"init": image}, None) == [
        f"{image}: the registry {registry.host} must answer, but: [Errno 111] Connection refused"
    ]


def test_a_registry_of_google_gets_the_token_and_others_do_not(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = f"{registry.host}/a/init:1"
    assert registries.missing(image, "secret") is None
    assert registry.tokens == [None]
    monkeypatch.setattr(registries, "GOOGLE", registries.LOOPBACK)
    registry.answers["a/init"] = 403
    assert registries.missing(image, "secret") == (
        f"{image}: the image must be readable, but the registry said 403; grant roles/artifactregistry.reader "
        "to the account that submits and to that of the run"
    )
    assert registry.tokens == [None, "Bearer secret"]


@pytest.mark.parametrize("host", ["europe-docker.pkg.dev", "gcr.io", "eu.gcr.io"])
def test_the_registries_of_google_are_known(host: str) -> None:
    assert registries.GOOGLE.fullmatch(host)


@pytest.mark.parametrize("host", ["pkg.dev.example.com", "notgcr.io", "ghcr.io", "docker.io"])
def test_no_other_registry_is_taken_for_one_of_google(host: str) -> None:
    assert not registries.GOOGLE.fullmatch(host)


# --- services -----------------------------------------------------------------------------------


def test_a_service_that_answers_anything_is_reached(registry: Registry) -> None:
    assert check_service(f"http://{registry.host}") == []


def test_a_region_that_does_not_exist_has_no_service() -> None:
    (problem,) = check_service("https://nowhere.invalid")
    assert problem.startswith("https://nowhere.invalid must answer, but: ")
    assert problem.endswith("; check the network, the proxy and the region or host")


# --- bucket and credentials --------------------------------------------------------------------


def test_a_bucket_that_is_there_is_good(bucket: str) -> None:
    assert check_bucket(f"{bucket}/runs") == []


def test_a_bucket_that_is_not_there_is_named(answering: Callable[[Answer], None]) -> None:
    answering(_answer(404, {"error": {"code": 404, "message": "The specified bucket does not exist."}}))
    assert check_bucket("gs://nobody/root") == [
        "pipeline_root: the bucket nobody must exist, but it is not there; docs/vertex-setup.sh makes it"
    ]


def test_a_bucket_that_may_not_be_read_is_named(answering: Callable[[Answer], None]) -> None:
    answering(_answer(403, {"error": {"code": 403, "message": "no"}}))
    (problem,) = check_bucket("gs://theirs/root")
    assert problem.startswith("pipeline_root: gs://theirs/root/studies/none.yaml: permission denied")
    assert "grant roles/storage.objectUser" in problem


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return the key file of a service account."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "key.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "my-project",
                "client_email": "steps@my-project.iam.gserviceaccount.com",
                "private_key": pem.decode(),
                "token_uri": "http://127.0.0.1:1/token",
            }
        )
    )
    return path


def _with_token_service(key: Path, address: str) -> None:
    key.write_text(json.dumps({**json.loads(key.read_text()), "token_uri": f"{address}/token"}))


@pytest.fixture
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "")  # so that what is set goes when the test ends
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.mark.usefixtures("_own_environment")
def test_a_key_file_is_exchanged_for_a_token(
    key: Path, answering: Callable[[Answer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    answering(_answer(200, {"access_token": "secret", "expires_in": 3600, "token_type": "Bearer"}))
    _with_token_service(key, os.environ["STORAGE_EMULATOR_HOST"])
    Vertex("my-project", "europe-west1", str(key)).connect()
    assert access_token() == "secret"
    assert os.environ["GOOGLE_APPLICATION_CREDENTIALS"] == str(key), "the client of Cloud Storage must use it too"


@pytest.mark.usefixtures("_own_environment")
def test_a_key_that_was_taken_back_is_refused(key: Path, answering: Callable[[Answer], None]) -> None:
    import os

    answering(_answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}))
    _with_token_service(key, os.environ["STORAGE_EMULATOR_HOST"])
    Vertex("my-project", "europe-west1", str(key)).connect()
    with pytest.raises(UserError, match=r"credentials: the credentials were refused .*Invalid JWT Signature"):
        access_token()


@pytest.mark.usefixtures("_own_environment")
def test_a_key_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"credentials must be there, but: File .*none.json was not found"):
        Vertex("my-project", "europe-west1", str(tmp_path / "none.json")).connect()


# --- all together ------------------------------------------------------------------------------


def test_one_message_tells_of_images_and_limits(registry: Registry, images: Path, tmp_path: Path, bucket: str) -> None:
    registry.answers["bayesopt/init"] = 404
    study = tmp_path / "study.yaml"
    text = Path("studies/branin.yaml").read_text()
    study.write_text(text.replace("parallel_trials: 4", "parallel_trials: 900"))
    vertex = VertexStandIn(tmp_path / "vertex")
    try:
        ended = CliRunner().invoke(
            submit,
            [
                *(str(study), "--images", str(images), "--pipeline-root", f"{bucket}/runs"),
                *("--project-id", "my-project", "--region", "europe-west1", "--endpoint", vertex.endpoint),
            ],
        )
    finally:
        vertex.stop()
    assert ended.exit_code == 1
    assert ended.output.splitlines() == [
        "Error: nothing was submitted:",
        f"  {study}: parallel_trials: Kubeflow and Vertex take at most 250, because one argument of `update` "
        "names all records of an iteration, but got 900; use more iterations",
        f"  {registry.host}/bayesopt/init@{DIGEST}: the image must be in its registry, but it is not there; make push",
    ]
    assert vertex.jobs == {}
