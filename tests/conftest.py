"""What tests share: a fake Cloud Storage, and a server that answers as it is told."""

from __future__ import annotations

import gc
import json
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kfp_bayesopt import hints
from kfp_bayesopt.steps import STEPS
from kfp_bayesopt.store import gcs
from kfp_bayesopt.store.objects.az import az
from kfp_bayesopt.store.objects.s3 import minio, s3
from tests import ROOT, fake_azure, fake_s3
from tests.browser import a_browser
from tests.fake_storage import BUCKET, empty, fake_storage
from tests.installed import Installed, an_environment, build, install
from tests.proofs.faulty_storage import Door, door
from tests.registry import DIGEST, Registry

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.register_assert_rewrite("tests.ledgers")  # so that a check there shows both sides, as one in a test does


def pytest_collection_finish() -> None:
    """Leave what was imported out of garbage collections: walking through it takes half of the time of some tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a browser that the machine has."""
    with a_browser() as started:
        yield started


@pytest.fixture(scope="session", autouse=True)
def _own_make() -> None:
    """Let tests run `make` as a person does, also where `make test` runs them: it tells those below it where it is."""
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session", autouse=True)
def _by_make() -> None:
    """Have messages in the words of make, also those of functions that no command calls."""
    os.environ[hints.VARIABLE] = "make"


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Let programs that tests start be interrupted, also where this one runs in the background of a script.

    A shell starts what it puts into the background with SIGINT ignored, and children inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run at the root of the repository, as `make` does."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="session")
def _emulator() -> Iterator[str]:
    """Return the address of a fake Cloud Storage that all tests share."""
    with fake_storage() as address:
        yield address


@pytest.fixture
def bucket(_emulator: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the gs:// URI of a bucket that exists and is empty."""
    empty(_emulator)
    _point_to(_emulator, monkeypatch)
    yield f"gs://{BUCKET}"
    _forget_client()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Return the address of a fake S3 that all tests share."""
    with fake_s3.fake_s3() as address:
        yield address


@pytest.fixture
def s3_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the s3:// URI of a bucket that exists and is empty, with the settings that people have."""
    fake_s3.empty(s3_server)
    for name, value in {**fake_s3.SETTINGS, "AWS_ENDPOINT_URL": s3_server}.items():
        monkeypatch.setenv(name, value)
    s3.forget()  # a test before may have had another store
    yield f"s3://{BUCKET}"
    s3.forget()


@pytest.fixture
def minio_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the minio:// URI of a bucket that exists and is empty, with our own settings."""
    fake_s3.empty(s3_server)
    for name, value in (("ENDPOINT", s3_server), ("ACCESS_KEY", "minio"), ("SECRET_KEY", "minio123")):
        monkeypatch.setenv(f"BAYESOPT_STORE_{name}", value)
    minio.forget()
    yield f"minio://{BUCKET}"
    minio.forget()
    s3.forget()


@pytest.fixture(scope="session")
def azure_server() -> Iterator[str]:
    """Return the address of the account of a fake Azure Blob Storage that all tests share; for long tests."""
    with fake_azure.fake_azure() as address:
        yield address


@pytest.fixture
def az_bucket(azure_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the az:// URI of a container that exists and is empty, with the settings that people have."""
    account = f"AccountName={fake_azure.ACCOUNT};AccountKey={fake_azure.KEY};BlobEndpoint={azure_server};"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", account)
    az.forget()
    yield f"az://{fake_azure.new_container(azure_server)}"
    az.forget()


@pytest.fixture(params=["bucket", "s3_bucket", pytest.param("az_bucket", marks=pytest.mark.long)])
def any_bucket(request: pytest.FixtureRequest) -> str:
    """Return the URI of an empty bucket in each kind of store."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def faulty(bucket: str, _emulator: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """Return a door before the bucket, through which all requests go; it can count them and let faults in."""
    assert bucket
    with door(_emulator.removeprefix("http://")) as opened:
        _point_to(opened.address, monkeypatch)
        yield opened
        _forget_client()


Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], None]]:
    """Return a function that puts in place of Cloud Storage a server which answers every request in one way."""
    servers: list[ThreadingHTTPServer] = []

    def serve(answer: Answer) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer(self)

            do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        _point_to(f"http://127.0.0.1:{server.server_port}", monkeypatch)

    yield serve
    _forget_client()
    for server in servers:
        server.shutdown()
        server.server_close()


def _point_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    gcs._client.cache_clear()


def _forget_client() -> None:
    gcs._client.cache_clear()
    with warnings.catch_warnings():
        # The client leaves the connections of failed downloads to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    gc.freeze()  # what is left lives on: the next collection need not walk through it again


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this checkout."""
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return an environment with the wheel and what it needs without an extra; nothing of the checkout is in it."""
    return install(wheel, an_environment(tmp_path_factory.mktemp("environment")))


@pytest.fixture
def registry() -> Iterator[Registry]:
    served = Registry()
    yield served
    served.stop()


@pytest.fixture
def images(registry: Registry, tmp_path: Path) -> Path:
    """Return a file that names an image of the registry for each step, as `make push` writes it."""
    path = tmp_path / "images.json"
    path.write_text(json.dumps({step: f"{registry.host}/bayesopt/{step}@{DIGEST}" for step in STEPS}))
    return path
