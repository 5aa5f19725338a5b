"""Which certificates a client of a store trusts, tried with servers of a private authority, and what is said."""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import certifi
import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.private import CA_BUNDLE
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.certificates import problem_with_certificate, root_certificates
from kfp_bayesopt.store.objects.s3 import s3
from tests.certificates import Authority, an_authority

LIST = b"""<?xml version="1.0"?><ListBucketResult>
<Name>bucket</Name><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated>
<Contents><Key>here</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"a"</ETag><Size>1</Size></Contents>
</ListBucketResult>"""


class Answer(BaseHTTPRequestHandler):
    """Any request is answered with a list of one object."""

    def do_HEAD(self) -> None:  # noqa: D102
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:  # noqa: D102
        self.send_response(200)
        self.send_header("Content-Length", str(len(LIST)))
        self.end_headers()
        self.wfile.write(LIST)

    def log_message(self, *_: object) -> None:  # noqa: D102
        pass


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return an_authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def serving(certificate: Path, key: Path) -> Iterator[str]:
    """Run a store with a certificate; give its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that trusts nobody hangs up
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def names(address: str, trusted: bytes | None) -> list[str]:
    store = S3Store(
        "bucket", endpoint=address, access_key_id="a", secret_access_key="b", region="us-east-1",
        client_options={} if trusted is None else {"root_certificate": trusted}, retry_config={"max_retries": 0},
    )  # fmt: skip
    return [each["path"] for page in obstore.list(store) for each in page]


def test_a_store_of_a_private_authority_is_reached_with_its_bundle(authority: Authority) -> None:
    with serving(*authority.certificate()) as address:
        assert names(address, root_certificates({CA_BUNDLE: str(authority.bundle)})) == ["here"]


def test_an_authority_that_is_not_trusted_is_said_with_the_way_out(authority: Authority) -> None:
    with serving(*authority.certificate()) as address, pytest.raises(BaseError) as refused:
        names(address, root_certificates({}))
    assert problem_with_certificate(str(refused.value)) == (
        "its certificate is of an authority that is not trusted here; set BAYESOPT_CA_BUNDLE to a file with the "
        "certificate of that authority (PEM)"
    )


@pytest.mark.parametrize(
    ("address", "days", "why"), [("127.0.0.9", 30, "is for another name"), ("127.0.0.1", -1, "has expired")]
)
def test_a_certificate_that_is_wrong_itself_is_said(authority: Authority, address: str, days: int, why: str) -> None:
    trusted = root_certificates({CA_BUNDLE: str(authority.bundle)})
    with serving(*authority.certificate(address, days)) as served, pytest.raises(BaseError) as refused:
        names(served, trusted)
    assert problem_with_certificate(str(refused.value)) == (
        f"its certificate {why}; see to the certificate of the store, or to its address"
    )


def test_a_machine_without_certificates_reaches_a_store_with_certifis(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any a client cannot even be made, as in an image that was built from nothing."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")
    with serving(*authority.certificate()) as address:
        with pytest.raises(BaseError) as refused:
            names(address, None)
        said = problem_with_certificate(str(refused.value))
        assert said is not None
        assert said.startswith("no certificates of authorities are on this machine, and without them")
        with pytest.raises(BaseError, match="UnknownIssuer"):  # it is made
            names(address, root_certificates({}))
        assert names(address, root_certificates({CA_BUNDLE: str(authority.bundle)})) == ["here"]


def test_certifis_bundle_is_taken_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert root_certificates({}) == Path(certifi.where()).read_bytes()
    monkeypatch.setitem(sys.modules, "certifi", None)
    assert root_certificates({}) is None


@pytest.mark.parametrize("content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n", "über"])
def test_a_bundle_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(UserError) as refused:
        root_certificates({CA_BUNDLE: str(tmp_path / "ca.pem")})
    assert refused.value.message.startswith(f"{tmp_path}/ca.pem: not a file of certificates (")
    assert refused.value.message.endswith(
        "; BAYESOPT_CA_BUNDLE names a file with certificates as PEM, such as that of the authority of a store"
    )


def test_a_bundle_with_a_half_of_a_certificate_is_refused(authority: Authority, tmp_path: Path) -> None:
    whole = authority.bundle.read_bytes()
    (tmp_path / "ca.pem").write_bytes(whole + whole[:200])
    with pytest.raises(UserError, match="not a file of certificates"):
        root_certificates({CA_BUNDLE: str(tmp_path / "ca.pem")})


def test_a_bundle_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"ca\.pem: cannot be read: No such file or directory; BAYESOPT_CA_BUNDLE names"
    ):
        root_certificates({CA_BUNDLE: str(tmp_path / "ca.pem")})


def test_what_is_about_something_else_is_no_problem_with_a_certificate() -> None:
    assert problem_with_certificate("Generic S3 error: connection refused") is None


@pytest.fixture
def secured(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run a store of a private authority, which our settings name; give its bucket."""
    with serving(*authority.certificate()) as address:
        for name, value in (("ENDPOINT", address), ("ACCESS_KEY", "key"), ("SECRET_KEY", "secret")):
            monkeypatch.setenv(f"BAYESOPT_STORE_{name}", value)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
        s3.forget()
        yield "s3://bucket"
    s3.forget()


@pytest.mark.parametrize("variable", [CA_BUNDLE, "AWS_CA_BUNDLE"])
def test_a_study_folder_is_read_and_its_time_asked_for_with_the_bundle(
    variable: str, secured: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(authority.bundle))
    assert storage.date(secured) is not None
    assert [entry.uri for entry in storage.entries(f"{secured}/")] == [f"{secured}/here"]


def test_a_store_that_is_not_trusted_is_said_at_once(secured: str) -> None:
    with pytest.raises(UserError) as refused:
        storage.read(f"{secured}/here", 10)
    said = refused.value.message
    assert said.startswith("s3://bucket/here: S3 at https://127.0.0.1:")
    assert said.endswith(
        ": its certificate is of an authority that is not trusted here; set BAYESOPT_CA_BUNDLE to a file with the "
        "certificate of that authority (PEM)"
    )


def test_a_machine_with_no_certificate_at_all_is_said_at_once(secured: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setitem(sys.modules, "certifi", None)
    with pytest.raises(UserError, match=r"^s3://bucket/here: S3 at https://\S+: no certificates of authorities are on"):
        storage.read(f"{secured}/here", 10)
