"""What is looked at outside of this machine before a study is submitted."""

from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kfp_bayesopt.cli.commands.job_commands import submit
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.store import storage
from kfp_bayesopt_pipeline.places import TARGETS, load_target
from kfp_bayesopt_pipeline.places.vertex_service import Service, _access_token
from kfp_bayesopt_pipeline.preflight import registry as registries
from kfp_bayesopt_pipeline.preflight.checks import check_bucket, check_images, check_service
from tests.proofs.faulty_storage import Door, Exchange, Reply
from tests.registry import DIGEST, Registry
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
        f"{image}: the registry has no such image; `make push`"
    ]


def test_an_image_without_a_registry_cannot_be_pulled_by_a_service() -> None:
    assert check_images({"init": "kfp-bayesopt/init:1"}, None) == [
        "kfp-bayesopt/init:1: no registry in the name of the image, so that nobody can pull it; "
        "`make push REGISTRY=HOST/PROJECT/REPOSITORY`"
    ]


def test_a_registry_that_does_not_answer_is_named(registry: Registry) -> None:
    registry.stop()
    image = f"{registry.host}/a/init:1"
    assert check_images({"init": image}, None) == [
        f"{image}: no answer from the registry {registry.host}: [Errno 111] Connection refused"
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
        f"{image}: permission denied (403); grant roles/artifactregistry.reader to the account that submits and to the "
        "one that the steps run as"
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


def test_a_service_that_has_no_address_cannot_be_reached() -> None:
    (problem,) = check_service("https://nowhere.invalid")
    assert problem.startswith("cannot reach https://nowhere.invalid: ")
    assert problem.endswith("; check the network, the proxy (HTTPS_PROXY), and the region or host")


@pytest.fixture
def saying() -> Iterator[Callable[[str], str]]:
    """Return a function that starts a server which says one thing to everyone, and gives its address."""
    servers: list[socketserver.TCPServer] = []

    def start(text: str) -> str:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.recv(4096)
                self.request.sendall(text.encode())

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


MAIL = "220 mail.example.com ESMTP\n"


def test_a_server_that_speaks_no_http_is_no_service(saying: Callable[[str], str]) -> None:
    address = f"http://{saying(MAIL)}"
    assert check_service(address) == [
        f"cannot reach {address}: {MAIL.strip()}; check the network, the proxy (HTTPS_PROXY), and the region or host"
    ]


def test_a_server_that_speaks_no_http_is_no_registry(saying: Callable[[str], str]) -> None:
    host = saying(MAIL)
    assert check_images({"init": f"{host}/a/init:1"}, None) == [
        f"{host}/a/init:1: no answer from the registry {host}: {MAIL.strip()}"
    ]


@pytest.mark.parametrize("realm", ["file:///etc/hostname", "nowhere", ""])
def test_a_registry_cannot_send_us_to_anything_but_a_token_service(saying: Callable[[str], str], realm: str) -> None:
    host = saying(f'HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Bearer realm="{realm}"\r\n\r\n')
    assert registries.missing(f"{host}/a/init:1", None) == (
        f'{host}/a/init:1: no answer from the registry {host}: it names no token service: Bearer realm="{realm}"'
    )


# --- bucket and credentials --------------------------------------------------------------------


def test_a_bucket_that_is_there_is_good_and_what_is_left_there_counts_for_nothing(bucket: str) -> None:
    for _ in range(2):  # what the first check wrote is in nobody's way
        assert check_bucket(f"{bucket}/checked/") == []
    assert list(storage.entries(f"{bucket}/checked/studies/")) == []
    assert storage.folders(f"{bucket}/checked/") == []


def test_a_bucket_that_has_passed_is_asked_little(faulty: Door, bucket: str) -> None:
    assert check_bucket(f"{bucket}/checked") == []
    assert faulty.requests > 20
    faulty.open()
    assert check_bucket(f"{bucket}/checked") == []
    assert faulty.operations == ["read", "list"]


def test_without_a_pipeline_root_there_is_no_bucket_to_check() -> None:
    assert check_bucket("") == []


def test_a_bucket_that_is_not_there_is_named(answering: Callable[[Answer], None]) -> None:
    answering(_answer(404, {"error": {"code": 404, "message": "The specified bucket does not exist."}}))
    assert check_bucket("gs://nobody/root") == ["pipeline_root: the bucket nobody does not exist; create it"]
    assert check_bucket("gs://nobody/root", "docs/vertex-setup.sh creates one") == [
        "pipeline_root: the bucket nobody does not exist; docs/vertex-setup.sh creates one"
    ]


def test_a_bucket_that_may_not_be_read_is_named(answering: Callable[[Answer], None]) -> None:
    answering(_answer(403, {"error": {"code": 403, "message": "no"}}))
    (problem,) = check_bucket("gs://theirs/root")
    assert problem.startswith("pipeline_root: gs://theirs/root/.bayesopt-probed.json: permission denied")
    assert "grant roles/storage.objectUser" in problem


def _refuse(faulty: Door, operation: str, error: dict[str, object]) -> None:
    """Let a bucket refuse one kind of request."""

    def answer(exchange: Exchange) -> None:
        refused = Reply(403, [("Content-Type", "application/json")], json.dumps({"error": error}).encode())
        exchange.reply(refused if exchange.operation == operation else exchange.forward())

    faulty.close_after(1, answer, stays=True)


def test_a_bucket_that_may_not_be_listed_is_named(faulty: Door, bucket: str) -> None:
    _refuse(faulty, "list", {"code": 403, "message": "no"})
    (problem,) = check_bucket(f"{bucket}/theirs")
    assert problem.startswith(f"pipeline_root: {bucket}/theirs/.bayesopt-probe-")
    assert "roles/storage.objectUser" in problem


def test_a_bucket_that_may_not_be_written_is_named(faulty: Door, bucket: str) -> None:
    _refuse(faulty, "create", {"code": 403, "message": "no"})
    (problem,) = check_bucket(f"{bucket}/theirs")
    assert problem.startswith(f"pipeline_root: {bucket}/theirs/.bayesopt-probe-")
    assert ": permission denied" in problem


@pytest.mark.parametrize("operation", ["replace", "delete"])
def test_a_bucket_that_keeps_its_objects_is_good_because_records_are_never_replaced(
    faulty: Door, bucket: str, operation: str
) -> None:
    kept = {"code": 403, "message": "kept", "errors": [{"reason": "retentionPolicyNotMet"}]}
    _refuse(faulty, operation, kept)
    assert check_bucket(f"{bucket}/kept") == []
    assert operation in faulty.operations


def test_a_bucket_in_which_several_create_one_name_is_refused(faulty: Door, bucket: str) -> None:
    def both(exchange: Exchange) -> None:
        exchange.let_it_replace()
        exchange.reply(exchange.forward())

    faulty.close_after(1, both, stays=True)
    (problem,) = check_bucket(f"{bucket}/lying")
    assert problem.startswith(
        f"pipeline_root: {bucket}/lying: its store does not keep what studies rely on, and would lose trials (creators "
        "of one name at once: 8 of 8 that created one name at once were told that they had; "
    )


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


def _vertex(key: Path) -> Service:
    given = {"project_id": "my-project", "region": "europe-west1", "credentials_path": str(key)}
    settings, problems = TARGETS["vertex"].read(given, "status")
    assert problems == []
    target = load_target("vertex", settings)
    assert isinstance(target, Service)
    return target


@pytest.fixture
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "")  # so that what is set goes when the test ends
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.mark.usefixtures("_own_environment")
def test_a_key_file_is_exchanged_for_a_token(key: Path, answering: Callable[[Answer], None]) -> None:
    answering(_answer(200, {"access_token": "secret", "expires_in": 3600, "token_type": "Bearer"}))
    _with_token_service(key, os.environ["STORAGE_EMULATOR_HOST"])
    assert _access_token(_vertex(key)._credentials) == "secret"
    assert os.environ["GOOGLE_APPLICATION_CREDENTIALS"] == str(key), "the client of Cloud Storage must use it too"


@pytest.mark.usefixtures("_own_environment")
def test_a_key_that_was_taken_back_is_refused(key: Path, answering: Callable[[Answer], None]) -> None:
    answering(_answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}))
    _with_token_service(key, os.environ["STORAGE_EMULATOR_HOST"])
    with pytest.raises(UserError, match=r"credentials: the credentials were refused .*Invalid JWT Signature"):
        _access_token(_vertex(key)._credentials)


@pytest.mark.usefixtures("_own_environment")
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "File {key} was not found"),
        ("", "File {key} is not a valid json file"),
        ("[]", "the key file holds no JSON object"),
        ('{"type": "key"}', "The file {key} does not have a valid type"),
        ('{"type": "service_account"}', "Failed to load service account credentials from {key}: Service account info"),
    ],
)
def test_a_key_file_that_is_none_is_an_error(tmp_path: Path, content: str | None, why: str) -> None:
    key = tmp_path / "key.json"
    if content is not None:
        key.write_text(content)
    with pytest.raises(UserError) as raised:
        _vertex(key)._credentials  # noqa: B018 - it is read when it is first asked for
    assert raised.value.message.startswith(f"no Google Cloud credentials found: {why.format(key=key)}")
    assert raised.value.message.endswith(
        "; run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
    )


# --- all together ------------------------------------------------------------------------------


def test_one_message_tells_of_images_and_limits(registry: Registry, images: Path, tmp_path: Path, bucket: str) -> None:
    registry.answers["bayesopt/init"] = 404
    study = tmp_path / "study.yaml"
    text = Path("studies/branin.yaml").read_text()
    study.write_text(text.replace("parallel_trials: 4", "parallel_trials: 1001"))
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
        f"  {study}: parallel_trials: must be less than or equal to 1000, but got 1001",
        f"  {registry.host}/bayesopt/init@{DIGEST}: the registry has no such image; `make push`",
    ]
    assert vertex.jobs == {}
