"""How a pod finds the store of its cluster: with a server that answers as the API of Kubernetes does, over https."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from obstore.store import S3Store

from kfp_bayesopt.errors import UnavailableError, UserError
from kfp_bayesopt.private import ENDPOINTS
from kfp_bayesopt.store import patience, storage
from kfp_bayesopt.store.objects import launcher
from kfp_bayesopt.store.objects.launcher import ClusterStore
from kfp_bayesopt.store.objects.s3 import minio
from tests import fake_s3
from tests.certificates import Authority, an_authority
from tests.fake_storage import BUCKET

if TYPE_CHECKING:
    from obstore.store import S3Credential

SECRET = "the secret mlpipeline-minio-artifact of the namespace ann"
SET = "set BAYESOPT_STORE_ENDPOINT, BAYESOPT_STORE_ACCESS_KEY and BAYESOPT_STORE_SECRET_KEY in the pod"
KEYS = {"accesskey": "of-ann", "secretkey": "hers"}


@dataclass
class Cluster:
    """The API of a cluster: it gives objects of one namespace to one service account.

    Attributes:
        objects: What is there, by kind and name.
        forbidden: The kinds that the service account may not read.
        faults: Statuses of the next answers, whatever is asked for.
        asked: The paths of all requests.
        token: That of the service account.
    """

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    faults: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    token: str = "a.b.c"

    def answer(self, path: str, authorization: str | None) -> tuple[int, dict[str, Any]]:
        """Return status and document, both as Kubernetes has them."""
        self.asked.append(path)
        if self.faults:
            return _status(self.faults.pop(0), "InternalError", "etcdserver: request timed out")
        if authorization != f"Bearer {self.token}":
            return _status(401, "Unauthorized", "Unauthorized")
        before, kind, name = path.rsplit("/", 2)
        if before != "/api/v1/namespaces/ann" or kind in self.forbidden:
            user = 'User "system:serviceaccount:ann:default-editor" cannot get resource'
            said = f'{kind} "{name}" is forbidden: {user} "{kind}" in API group "" in the namespace "ann"'
            return _status(403, "Forbidden", said)
        if f"{kind}/{name}" not in self.objects:
            return _status(404, "NotFound", f'{kind} "{name}" not found')
        data = self.objects[f"{kind}/{name}"]
        document = {"kind": {"secrets": "Secret", "configmaps": "ConfigMap"}[kind], "apiVersion": "v1"}
        return 200, {**document, "metadata": {"name": name, "namespace": "ann"}, **({"data": data} if data else {})}

    def add_secret(self, name: str, **keys: str) -> None:
        """Have a secret, whose values Kubernetes gives in base64."""
        self.objects[f"secrets/{name}"] = {
            key: base64.b64encode(value.encode()).decode() for key, value in keys.items()
        }

    def tell(self, providers: str) -> None:
        """Have the config map of the launcher."""
        self.objects["configmaps/kfp-launcher"] = {"defaultPipelineRoot": "", "providers": providers}


def _status(code: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    return code, {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    }  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return an_authority(tmp_path_factory.mktemp("cluster"))


@pytest.fixture(scope="module")
def _api(authority: Authority) -> Iterator[ThreadingHTTPServer]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, document = server.cluster.answer(self.path, self.headers["Authorization"])  # type: ignore[attr-defined]
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.certificate())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that trusts nobody hangs up
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have no settings of the machine's."""
    names = (*ENDPOINTS, "BAYESOPT_STORE_ACCESS_KEY", "BAYESOPT_STORE_SECRET_KEY", "BAYESOPT_STORE_REGION")
    for name in (*names, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(patience, "RETRY", patience.RETRY.with_delay(initial=0.01, maximum=0.02))
    minio.forget()
    yield
    minio.forget()


@pytest.fixture
def cluster(
    _api: ThreadingHTTPServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Cluster:
    """Return a cluster with what KFP puts into a namespace; this process is in a pod there."""
    cluster = Cluster()
    cluster.add_secret("mlpipeline-minio-artifact", **KEYS)
    _api.cluster = cluster  # type: ignore[attr-defined]
    for name, content in (("namespace", "ann"), ("token", cluster.token), ("ca.crt", authority.bundle.read_text())):
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(launcher, "ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(_api.server_port))
    return cluster


def message() -> str:
    with pytest.raises(UserError) as caught:
        launcher.find(with_keys=True)
    return caught.value.message


def test_the_store_of_an_installed_cluster_is_found_as_the_launcher_finds_it(cluster: Cluster) -> None:
    assert launcher.find(with_keys=True) == ClusterStore(
        "ann", "http://seaweedfs.kubeflow:9000", "minio", False, ("of-ann", "hers")
    )
    assert cluster.asked == [
        "/api/v1/namespaces/ann/configmaps/kfp-launcher",
        "/api/v1/namespaces/ann/secrets/mlpipeline-minio-artifact",
    ]


def test_a_study_folder_of_the_cluster_is_read_and_written_in_a_pod(cluster: Cluster, s3_server: str) -> None:
    fake_s3.empty(s3_server)
    cluster.tell(TOLD.replace("http://store.example", s3_server))
    cluster.add_secret("mine", a="x", s="y")
    storage.create(f"minio://{BUCKET}/a/record", b"content")
    assert storage.read(f"minio://{BUCKET}/a/record", limit=100) == b"content"
    assert len(cluster.asked) == 2


def test_settings_of_ours_beat_it_and_nothing_is_asked(
    cluster: Cluster, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_s3.empty(s3_server)
    monkeypatch.setenv("BAYESOPT_STORE_ENDPOINT", s3_server)
    storage.create(f"minio://{BUCKET}/b", b"content")
    assert cluster.asked == []


def test_keys_of_ours_leave_the_secret_alone(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAYESOPT_STORE_ACCESS_KEY", "ours")
    monkeypatch.setenv("BAYESOPT_STORE_SECRET_KEY", "secret")
    assert minio.account().name == "S3 at http://seaweedfs.kubeflow:9000"
    assert cluster.asked == ["/api/v1/namespaces/ann/configmaps/kfp-launcher"]


@pytest.mark.usefixtures("cluster")
def test_the_keys_of_a_data_set_at_amazon_are_not_those_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "amazon")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "its")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    opened = minio.account().open("mlpipeline")
    assert isinstance(opened, S3Store)
    assert opened.config["region"] == "minio"
    assert callable(opened.credential_provider)
    assert cast("S3Credential", opened.credential_provider())["access_key_id"] == "of-ann"


def test_no_cluster_is_asked_outside_of_a_pod(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    with pytest.raises(UserError, match="which this machine has no address of; run `kubectl port-forward"):
        storage.read("minio://mlpipeline/a", limit=1)
    assert cluster.asked == []


# --- what an administrator says in the config map -------------------------------------------------

TOLD = """
minio:
  default:
    endpoint: http://store.example
    region: eu
    disableSSL: true
    credentials: {fromEnv: false, secretRef: {secretName: mine, accessKeyKey: a, secretKeyKey: s}}
"""


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("", "", ClusterStore("ann", "http://store.example", "eu", False, ("x", "y"))),
        ("http://store.example", "store:9000", ClusterStore("ann", "http://store:9000", "eu", False, ("x", "y"))),
        (
            "disableSSL: true",
            "forcePathStyle: false",
            ClusterStore("ann", "http://store.example", "eu", True, ("x", "y")),
        ),
        ("http://store.example", "s3.amazonaws.com", ClusterStore("ann", None, "eu", False, ("x", "y"))),
        ("fromEnv: false", "fromEnv: true", ClusterStore("ann", "http://store.example", "eu", False)),
        ("minio:", "s3:", ClusterStore("ann", keys=("of-ann", "hers"))),
        (
            "  default:",
            "  Overrides: [{bucketName: other, credentials: {fromEnv: true}}]\n  default:",
            ClusterStore("ann", "http://store.example", "eu", False, ("x", "y"), frozenset({"other"})),
        ),
    ],
)
def test_the_config_map_of_the_launcher_is_read_as_it_reads_it(
    cluster: Cluster, old: str, new: str, found: ClusterStore
) -> None:
    cluster.tell(TOLD.replace(old, new) if old else TOLD)
    cluster.add_secret("mine", a="x", s="y")
    assert launcher.find(with_keys=True) == found


def test_an_address_without_http_is_https_unless_that_is_switched_off(cluster: Cluster) -> None:
    cluster.tell(TOLD.replace("http://store.example", "store:9000").replace("disableSSL: true", "disableSSL: false"))
    cluster.add_secret("mine", a="x", s="y")
    assert launcher.find(with_keys=True).endpoint == "https://store:9000"


def test_a_bucket_with_settings_of_its_own_is_refused_with_the_way_out(cluster: Cluster) -> None:
    cluster.tell(f"{TOLD}  overrides: [{{bucketName: other, credentials: {{fromEnv: true}}}}]\n")
    cluster.add_secret("mine", a="x", s="y")
    with pytest.raises(UserError) as caught:
        storage.read("minio://other/a", limit=1)
    assert caught.value.message == (
        "minio://other: the config map kfp-launcher of the namespace ann has settings for this bucket alone, which are "
        f"not read here; {SET}"
    )


@pytest.mark.parametrize(
    "providers", ["[", "minio: 1", "minio: {default: {}}", "minio: {default: {endpoint: x}}", "- a"]
)
def test_a_config_map_that_kfp_would_not_take_is_one_message(cluster: Cluster, providers: str) -> None:
    cluster.tell(providers)
    if providers == "minio: {default: {}}":  # says nothing
        assert launcher.find(with_keys=True).keys == ("of-ann", "hers")
    else:
        assert message().startswith("the config map kfp-launcher of the namespace ann: `providers")


# --- what is not there, and what is not allowed ----------------------------------------------------


def test_an_account_that_may_not_read_secrets_is_said_with_the_commands_that_let_it(cluster: Cluster) -> None:
    cluster.forbidden = {"secrets"}
    assert message() == (
        f'{SECRET}: the service account of this pod may not read it (403: secrets "mlpipeline-minio-artifact" is '
        'forbidden: User "system:serviceaccount:ann:default-editor" cannot get resource "secrets" in API group "" in '
        'the namespace "ann"), but it tells how to reach minio:// paths; run `kubectl create role kfp-store -n ann '
        "--verb=get --resource=secrets,configmaps --resource-name=kfp-launcher "
        "--resource-name=mlpipeline-minio-artifact` and `kubectl create rolebinding kfp-store -n ann --role=kfp-store "
        f"--serviceaccount=ann:default-editor`, or {SET}"
    )


def test_a_namespace_without_the_secret_is_none_where_kfp_runs(cluster: Cluster) -> None:
    cluster.objects.clear()
    assert message() == (
        "the namespace ann has no secret mlpipeline-minio-artifact, where KFP has the keys of its store; run this "
        f"where KFP runs pipelines, or {SET}"
    )


@pytest.mark.parametrize("keys", [{}, {"accesskey": "x"}, {"accesskey": "", "secretkey": "y"}])
def test_a_secret_without_keys_is_said(cluster: Cluster, keys: dict[str, str]) -> None:
    cluster.add_secret("mlpipeline-minio-artifact", **keys)
    assert message() == f"{SECRET} has no keys accesskey and secretkey; add them, or {SET}"


def test_a_pod_without_a_token_is_said(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "namespace").unlink()
    assert message() == (
        "minio:// paths are in the store of a cluster, and this pod may not ask for its keys: it has no token of a "
        f"service account (automountServiceAccountToken); mount one, or {SET}"
    )
    assert cluster.asked == []


def test_a_token_that_is_not_taken_is_said_at_once(cluster: Cluster) -> None:
    cluster.token = "renewed"
    assert message() == (
        "the config map kfp-launcher of the namespace ann: the API of the cluster does not give it "
        f"(401: Unauthorized); {SET}"
    )
    assert len(cluster.asked) == 1


def test_an_api_that_is_not_trusted_is_said_at_once(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text(an_authority(tmp_path / "other").bundle.read_text())
    assert "CERTIFICATE_VERIFY_FAILED" in message()
    assert cluster.asked == []


def test_an_api_that_is_busy_is_asked_again(cluster: Cluster) -> None:
    cluster.faults = [503, 429, 500]
    assert launcher.find(with_keys=True).keys == ("of-ann", "hers")
    assert len(cluster.asked) == 5


def test_an_api_that_does_not_answer_is_waited_for_and_then_said(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "RETRY", patience.RETRY.with_timeout(0.1))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    with pytest.raises(UnavailableError, match=r"no answer from the API of the cluster since .*Connection refused"):
        launcher.find(with_keys=True)
    assert cluster.asked == []
