"""Objects of Cloud Storage: in a fake one, and from servers that do each thing wrong that storage can."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import logging
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import google_crc32c
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kfp_bayesopt.errors import (
    BucketNotFoundError,
    ExistsError,
    NotFoundError,
    RetainedError,
    UnavailableError,
    UserError,
)
from kfp_bayesopt.store import gcs, patience, storage
from kfp_bayesopt.store.entry import PART
from tests.proofs.faulty_storage import Door, forbidden, lost_answer, overtaken

# The client leaves the connections of failed downloads to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

Answer = Callable[[BaseHTTPRequestHandler], None]
Serve = Callable[[Answer], None]
OBJECT = "gs://bucket/object"


def answer(request: BaseHTTPRequestHandler, status: int, content: bytes, **headers: str) -> None:
    request.send_response(status)
    for name, value in {"Content_Length": str(len(content)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(content)


def refuse(status: int, message: str) -> Answer:
    return lambda request: answer(request, status, message.encode())


def checksum(content: bytes) -> str:
    return base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()


TIMES = {"timeCreated": "2026-11-25T04:43:05.825945Z", "updated": "2026-11-25T04:43:05.825945Z"}
RESOURCE = {"name": "object", "size": "7", "crc32c": checksum(b"content"), **TIMES}
PAGES = {
    "": {"items": [{**RESOURCE, "name": "object-1"}], "prefixes": ["object-a/"], "nextPageToken": "next"},
    "next": {"items": [{**RESOURCE, "name": "object-2"}], "prefixes": ["object-b/"]},
}


def serve_object(request: BaseHTTPRequestHandler) -> None:
    """Answer as Cloud Storage does for an object of the content `content`, and take a write of it.

    A list has two pages, whatever it is of.
    """
    path = urllib.parse.urlsplit(request.path)
    if request.command == "DELETE":
        answer(request, 204, b"")
    elif path.path == "/download/storage/v1/b/bucket/o/object":
        part = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        content = b"content"[int(part[1]) : int(part[2]) + 1] if part else b"content"
        answer(request, 206 if part else 200, content, X_Goog_Hash=f"crc32c={checksum(b'content')}")
    elif path.path == "/storage/v1/b/bucket/o":
        token = urllib.parse.parse_qs(path.query).get("pageToken", [""])[0]
        answer(request, 200, json.dumps(PAGES[token]).encode())
    else:
        answer(request, 200, json.dumps(RESOURCE).encode())


def write_object(uri: str = OBJECT) -> None:
    storage.replace(uri, b"content")


def read(uri: str) -> bytes:
    return storage.read(uri, limit=1000)


# Each operation: what it returns where all goes well, and how many requests it makes.
OPERATIONS: dict[str, tuple[Callable[[str], object], object, int]] = {
    "read": (read, b"content", 1),
    "read a part": (lambda uri: storage.read_range(uri, 1, 3), b"ont", 1),
    "stat": (lambda uri: storage.stat(uri).size, 7, 1),
    "create": (lambda uri: storage.create(uri, b"content"), None, 1),
    "replace": (write_object, None, 1),
    "delete": (storage.delete, True, 1),
    "list": (lambda uri: [entry.uri for entry in gcs.entries(uri, "", None, True)], [f"{OBJECT}-1", f"{OBJECT}-2"], 2),
    "list folders": (gcs.folders, ["-a", "-b"], 2),
}
ATTEMPTS = [attempt for attempt, _, _ in OPERATIONS.values()]


def said(function: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return caught.value.message


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "RETRY", patience.RETRY.with_delay(initial=0.01, maximum=0.02))
    monkeypatch.setattr(gcs, "RETRY_PART", gcs.RETRY_PART.with_delay(initial=0.01, maximum=0.02))


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch, _short_pauses: None) -> None:
    monkeypatch.setattr(patience, "RETRY", patience.RETRY.with_timeout(0.1))


# --- a bucket that works -----------------------------------------------------------------------


def test_an_object_above_the_size_of_resumable_uploads_makes_the_round_trip(bucket: str) -> None:
    content = os.urandom(1 << 20) * 9
    storage.replace(f"{bucket}/large", content)
    assert storage.read(f"{bucket}/large", limit=len(content)) == content


@pytest.mark.usefixtures("bucket")
def test_of_a_bucket_with_versions_the_current_ones_count() -> None:
    uri = "gs://versions/study/best.json"
    body = json.dumps({"name": "versions", "versioning": {"enabled": True}}).encode()
    made = urllib.request.Request(f"{os.environ['STORAGE_EMULATOR_HOST']}/storage/v1/b?project=tests", body)
    urllib.request.urlopen(made).close()
    for content in (b"first", b"second"):
        storage.replace(uri, content)
    assert storage.read(uri, limit=100) == b"second"
    assert [entry.size for entry in storage.entries("gs://versions/study/")] == [6]
    storage.delete(uri)
    assert list(storage.entries("gs://versions/study/")) == []
    storage.create(uri, b"third")
    assert storage.read(uri, limit=100) == b"third"


def test_what_a_console_made_to_look_like_a_folder_is_not_listed(bucket: str) -> None:
    for name in ("trials/", "trials/1/", "trials/1/record.json"):
        storage.create(f"{bucket}/study/{name}", b"")
    assert [entry.uri for entry in storage.entries(f"{bucket}/study/")] == [f"{bucket}/study/trials/1/record.json"]


def test_all_operations_do_what_they_say(answering: Serve) -> None:
    requests: list[str] = []
    answering(lambda request: (requests.append(request.path), serve_object(request))[1])  # type: ignore[func-returns-value]
    for attempt, result, count in OPERATIONS.values():
        requests.clear()
        assert attempt(OBJECT) == result
        assert len(requests) == count


def test_a_missing_object_is_named(bucket: str) -> None:
    for ask in (read, storage.stat, lambda uri: storage.read_range(uri, 0, 5)):
        with pytest.raises(NotFoundError) as caught:
            ask(f"{bucket}/none")
        assert caught.value.message == "gs://bucket/none: no such object"


@pytest.mark.usefixtures("bucket")
def test_a_missing_bucket_is_named_when_it_is_written() -> None:
    with pytest.raises(BucketNotFoundError) as caught:
        write_object("gs://no-such-bucket/object")
    assert caught.value.message == (
        "gs://no-such-bucket/object: the bucket no-such-bucket does not exist; create it, or correct its name"
    )


@pytest.mark.parametrize(
    ("uri", "missing"),
    [("gs://", "bucket"), ("gs://bucket", "object"), ("gs://bucket/", "object"), ("gs:///o", "bucket")],
)
def test_a_uri_without_bucket_or_object_is_refused(uri: str, missing: str) -> None:
    for attempt in (attempt for name, (attempt, _, _) in OPERATIONS.items() if not name.startswith("list")):
        assert said(attempt, uri) == f"{uri}: expected gs://BUCKET/OBJECT, but the {missing} is missing"


@pytest.mark.parametrize("bucket", ["My-Bucket", "-bucket", "bucket-", "buc ket", "b" * 223, "bücket"])
def test_a_bucket_that_cannot_exist_is_refused_without_asking(bucket: str) -> None:
    for attempt in ATTEMPTS:
        assert said(attempt, f"gs://{bucket}/object") == (
            f"gs://{bucket}/object: {bucket!r} is no name of a bucket; it has lower-case letters, digits, '-', '_' and "
            "'.', and begins and ends with a letter or digit"
        )


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "..", ".", "\udc80"])
def test_a_name_that_no_object_can_have_is_refused_without_asking(name: str) -> None:
    uri = f"gs://bucket/{name}"
    for attempt in (read, write_object):
        assert said(attempt, uri) == f"{uri!r}: the name of an object has no control characters and is not '.' or '..'"


def test_a_name_that_is_too_long_is_refused_without_asking() -> None:
    uri = "gs://bucket/" + "ü" * 513
    assert said(read, uri) == (f"{uri[:200]}…: the name of an object has at most 1,024 bytes; choose a shorter one")


# --- limits --------------------------------------------------------------------------------------


def test_no_more_than_the_limit_is_taken_from_an_object_without_an_end(answering: Serve) -> None:
    sent: list[int] = []

    def without_end(request: BaseHTTPRequestHandler) -> None:
        if "alt=media" not in request.path:
            return answer(request, 200, json.dumps({"name": "object", "size": str(1 << 40), **TIMES}).encode())
        request.send_response(200)
        request.send_header("Content-Length", str(1 << 40))
        request.end_headers()
        with contextlib.suppress(OSError):  # the reader has gone
            while True:
                sent.append(request.wfile.write(bytes(1 << 16)))
        return None

    answering(without_end)
    with pytest.raises(UserError, match=r"has 1,099,511,627,776 bytes, but at most 1,000 are read"):
        storage.read(OBJECT, limit=1000)
    assert sum(sent) < 100 << 20  # what the buffers of two sockets hold


# --- a service that refuses --------------------------------------------------------------------


def test_a_missing_bucket_is_told_from_a_missing_object(answering: Serve) -> None:
    answering(refuse(404, "The specified bucket does not exist."))
    for attempt in ATTEMPTS:
        with pytest.raises(BucketNotFoundError) as caught:
            attempt(OBJECT)
        assert caught.value.message == (
            "gs://bucket/object: the bucket bucket does not exist; create it, or correct its name"
        )


def test_a_permission_error_says_which_role_to_grant(answering: Serve) -> None:
    body = {"error": {"code": 403, "message": "someone does not have storage.objects.get access"}}
    answering(refuse(403, json.dumps(body)))
    for name, (attempt, _, _) in OPERATIONS.items():
        assert said(attempt, OBJECT) == (
            "gs://bucket/object: no permission to list what is there (someone does not have storage.objects.get "
            "access); grant roles/storage.objectUser, which includes storage.objects.list, on the bucket to the "
            "account that runs this"
            if name.startswith("list")
            else "gs://bucket/object: permission denied (someone does not have storage.objects.get access); "
            "grant roles/storage.objectUser on the bucket to the account that runs this"
        )


@pytest.mark.parametrize(
    ("message", "way_out"),
    [
        (
            "Permission denied on Cloud KMS key. Please ensure that your Cloud Storage service account has been "
            "authorized to use this key.",
            "grant roles/cloudkms.cryptoKeyEncrypterDecrypter on the key of the bucket",
        ),
        (
            "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: 7",
            "run this inside of the service perimeter",
        ),
        ("The project to be billed is associated with an absent billing account.", "switch billing on"),
    ],
)
def test_a_refusal_that_no_role_on_the_bucket_mends_says_what_does(
    answering: Serve, message: str, way_out: str
) -> None:
    answering(refuse(403, json.dumps({"error": {"code": 403, "message": message}})))
    for attempt in (write_object, storage.delete):
        with pytest.raises(UserError) as caught:
            attempt(OBJECT)
        assert f"; {way_out}" in caught.value.message
        assert "roles/storage.objectUser" not in caught.value.message


@pytest.mark.parametrize(
    ("reason", "kept_by"),
    [("retentionPolicyNotMet", "the retention policy of its bucket"), ("objectUnderActiveHold", "a hold")],
)
def test_an_object_that_its_bucket_keeps_is_told_from_a_missing_permission(
    answering: Serve, reason: str, kept_by: str
) -> None:
    body = {"error": {"code": 403, "message": "cannot be deleted until 2030", "errors": [{"reason": reason}]}}
    answering(refuse(403, json.dumps(body)))
    for attempt in (write_object, storage.delete):
        with pytest.raises(RetainedError) as caught:
            attempt(OBJECT)
        assert caught.value.message == (
            f"gs://bucket/object: is kept by {kept_by} and cannot be replaced or deleted (cannot be deleted until "
            "2030); lift that, or use another bucket"
        )


def test_credentials_that_are_refused_are_one_message(answering: Serve) -> None:
    answering(refuse(401, "who are you?"))
    for attempt in ATTEMPTS:
        assert said(attempt, OBJECT).startswith("gs://bucket/object: no valid Google Cloud credentials (")


@pytest.mark.parametrize("status", [400, 405, 409, 412, 413])
def test_any_other_refusal_is_one_message_with_the_words_of_the_service(answering: Serve, status: int) -> None:
    answering(refuse(status, "no,\n  because"))
    for attempt in ATTEMPTS:
        assert said(attempt, OBJECT) == (
            f"gs://bucket/object: Cloud Storage refused the request ({status}: no, because); "
            "check the URI and the bucket"
        )


def test_a_long_refusal_is_cut(answering: Serve) -> None:
    answering(refuse(403, "x" * 1_000_000))
    assert len(said(read, OBJECT)) < 500


def test_nothing_but_the_object_is_asked_for(answering: Serve) -> None:
    """The role that reads and writes objects may not read the bucket; and a limit costs no request."""
    paths: list[str] = []

    def note(request: BaseHTTPRequestHandler) -> None:
        paths.append(request.path)
        serve_object(request)

    answering(note)
    storage.read(OBJECT, limit=100)
    storage.read(OBJECT, limit=1000)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.name.startswith(("Thread", "storage")):
            thread.join(1)  # the client asked for the bucket in one of its own
    assert paths == ["/download/storage/v1/b/bucket/o/object?alt=media"] * 2


# --- a service that fails ------------------------------------------------------------------------


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.connection.shutdown(socket.SHUT_RDWR)


def reset(request: BaseHTTPRequestHandler) -> None:
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    request.connection.close()


def break_off(request: BaseHTTPRequestHandler) -> None:
    answer(request, 200, b"con", Content_Length="7", X_Goog_Hash=f"crc32c={checksum(b'content')}")
    hang_up(request)


def send_other_bytes(request: BaseHTTPRequestHandler) -> None:
    if request.command == "GET":
        answer(request, 200, b"c0ntent", X_Goog_Hash=f"crc32c={checksum(b'content')}")
    else:
        answer(request, 200, json.dumps({"name": "object", "crc32c": checksum(b"c0ntent")}).encode())


def find_other_bytes(request: BaseHTTPRequestHandler) -> None:
    message = f'Provided CRC32C "{checksum(b"content")}" doesn\'t match calculated CRC32C "AAAAAA==".'
    answer(request, 400, json.dumps({"error": {"code": 400, "message": message}}).encode())


def send_html(request: BaseHTTPRequestHandler) -> None:
    answer(request, 200, b"<html>Please log in</html>", Content_Type="text/html; charset=utf-8")


def send_bad_gzip(request: BaseHTTPRequestHandler) -> None:
    answer(request, 200, b"content", Content_Encoding="gzip")


def send_a_list(request: BaseHTTPRequestHandler) -> None:
    if request.command == "GET":
        return send_html(request)
    return answer(request, 200, b"[]", Content_Type="application/json")


def exceed_a_rate(request: BaseHTTPRequestHandler) -> None:
    body = {"error": {"code": 403, "message": "slow down", "errors": [{"reason": "rateLimitExceeded"}]}}
    answer(request, 403, json.dumps(body).encode())


PASSING = {
    **{f"status {status}": refuse(status, "try again") for status in (408, 410, 429, 500, 502, 503, 504)},
    "too many requests as 403": exceed_a_rate,
    "hangs up": hang_up,
    "reset": reset,
    "breaks off": break_off,
}
DAMAGE = {
    "other bytes": send_other_bytes,
    "other bytes arrived": find_other_bytes,
    "a page of a proxy": send_html,
    "bad gzip": send_bad_gzip,
    "a list": send_a_list,
}
FAULTS = {**PASSING, **DAMAGE}


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_service_that_fails_for_a_while_is_asked_again(answering: Serve, fault: str) -> None:
    requests: list[str] = []

    def fail_twice(request: BaseHTTPRequestHandler) -> None:
        requests.append(request.command)
        (FAULTS[fault] if len(requests) % 3 else serve_object)(request)

    answering(fail_twice)
    for name, (attempt, result, count) in OPERATIONS.items():
        if name == "delete" and fault in ("other bytes", "a list"):
            continue  # nothing in the answer to a deletion is read
        requests.clear()
        assert attempt(OBJECT) == result
        assert len(requests) == 3 * count


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("fault", PASSING)
def test_a_service_that_goes_on_failing_is_one_message(answering: Serve, fault: str) -> None:
    answering(PASSING[fault])
    for attempt in ATTEMPTS:
        with pytest.raises(UnavailableError) as caught:
            attempt(OBJECT)
        message = caught.value.message
        assert message.startswith("gs://bucket/object: no answer from Cloud Storage since ")
        assert message.endswith("); check the network, then run the same command again")
        assert "object at 0x" not in message


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize("fault", DAMAGE)
def test_answers_that_stay_damaged_are_one_message_after_five_attempts(answering: Serve, fault: str) -> None:
    requests: list[str] = []

    def damage(request: BaseHTTPRequestHandler) -> None:
        requests.append(request.command)
        DAMAGE[fault](request)

    answering(damage)
    for name, (attempt, _, _) in OPERATIONS.items():
        if name == "delete" and fault in ("other bytes", "a list"):
            continue  # nothing in the answer to a deletion is read
        requests.clear()
        with pytest.raises(UnavailableError) as caught:
            attempt(OBJECT)
        message = caught.value.message
        assert message.startswith("gs://bucket/object: Cloud Storage gave a damaged answer 5 times (")
        assert message.endswith(
            "); check what stands between, such as a proxy or a login page, then run the same command again"
        )
        assert len(message) < 700
        assert len(requests) == 5


@pytest.mark.usefixtures("_impatient")
def test_a_service_that_is_not_there_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    gcs._client.cache_clear()
    assert "(Connection refused)" in said(read, OBJECT)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://no-such-host.invalid")
    gcs._client.cache_clear()
    assert said(read, OBJECT).startswith("gs://bucket/object: no answer from Cloud Storage since ")
    gcs._client.cache_clear()


@pytest.mark.parametrize("address", ["localhost:9023", "http://", "ftp://127.0.0.1", "http://a..b"])
def test_an_address_that_cannot_be_one_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    gcs._client.cache_clear()
    message = said(read, OBJECT)
    assert message.startswith("gs://bucket/object: not an address of Cloud Storage (")
    assert message.endswith(
        "); STORAGE_EMULATOR_HOST and the proxies of the environment are addresses like http://localhost:9023"
    )
    gcs._client.cache_clear()


def test_a_certificate_that_is_not_trusted_is_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(a_certificate(tmp_path / "certificate.pem"))
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # the client hangs up
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"https://127.0.0.1:{server.server_port}")
    gcs._client.cache_clear()
    message = said(read, OBJECT)
    server.shutdown()
    server.server_close()
    gcs._client.cache_clear()
    assert message.startswith("gs://bucket/object: the certificate of Cloud Storage is not trusted (")
    assert message.endswith("); where a proxy stands between, set REQUESTS_CA_BUNDLE to the file with its certificate")


def a_certificate(path: Path) -> Path:
    """Write a key and a certificate that nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


class Clock:
    """A clock that nobody waits for."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that attempts and the pauses between them go by."""
    clock = Clock()
    for module in (gcs, patience):
        monkeypatch.setattr(module, "time", clock)
    return clock


def test_ten_minutes_without_storage_are_waited_for(answering: Serve, clock: Clock) -> None:
    answering(lambda request: (serve_object if clock.now > 600 else hang_up)(request))
    assert storage.read(OBJECT, limit=100) == b"content"
    clock.now = 0
    write_object()


def test_storage_that_is_away_for_longer_is_given_up_after_15_minutes(answering: Serve, clock: Clock) -> None:
    answering(hang_up)
    assert said(read, OBJECT).startswith("gs://bucket/object: no answer from Cloud Storage since ")
    assert 840 < clock.now <= 900


def test_the_patience_of_one_request_can_be_shorter(answering: Serve) -> None:
    answering(refuse(503, "down"))
    with pytest.raises(UserError, match=r"\(503: down\); check the network"):
        storage.read(OBJECT, limit=100, patience=0.1)


# --- an answer that does not end -----------------------------------------------------------------


@pytest.fixture
def slowly() -> Iterator[Callable[[bytes], Answer]]:
    """Return answers that come byte by byte, each well within the timeout of a socket, and never end."""
    over = threading.Event()

    def trickle(beginning: bytes) -> Answer:
        def answer_slowly(request: BaseHTTPRequestHandler) -> None:
            request.wfile.write(beginning)
            with contextlib.suppress(OSError):
                while not over.wait(0.05):
                    request.wfile.write(b"x")

        return answer_slowly

    yield trickle
    over.set()


SLOW = {
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
    "headers": b"HTTP/1.1 200 OK\r\nX-Header: ",
    "status": b"HTTP/1.1 200 ",
}


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize("where", SLOW)
def test_an_answer_that_trickles_is_given_up_and_asked_for_again(
    answering: Serve, slowly: Callable[[bytes], Answer], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "ATTEMPT", 0.5)
    requests: list[str] = []

    def trickle_once(request: BaseHTTPRequestHandler) -> None:
        requests.append(request.command)
        (slowly(SLOW[where]) if len(requests) % 2 else serve_object)(request)

    answering(trickle_once)
    assert storage.read(OBJECT, limit=100) == b"content"
    write_object()
    assert requests[:2] == ["GET", "GET"]
    assert requests[-2:] == ["POST", "POST"]


def test_an_answer_that_always_trickles_is_one_message(answering: Serve, slowly: Callable[[bytes], Answer]) -> None:
    answering(slowly(SLOW["body"]))
    with pytest.raises(UserError, match=r"\(no whole answer within 1 seconds\); check the network"):
        storage.read(OBJECT, limit=100, patience=0.5)


def test_a_person_hears_that_storage_does_not_answer(answering: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_WORD", 0.01)
    messages: list[str] = []
    heard = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())
            heard.set()

    def answer_when_heard(request: BaseHTTPRequestHandler) -> None:
        assert heard.wait(60)
        serve_object(request)

    listener = Listener()
    patience.logger.addHandler(listener)
    try:
        answering(answer_when_heard)
        assert storage.read(OBJECT, limit=100) == b"content"
    finally:
        patience.logger.removeHandler(listener)
    assert messages[0].startswith("gs://bucket/object: no answer from Cloud Storage since ")
    assert messages[0].endswith(" UTC; still trying")


def test_waiting_for_an_answer_can_be_interrupted(answering: Serve) -> None:
    asked, over = threading.Event(), threading.Event()

    def keep_waiting(_: BaseHTTPRequestHandler) -> None:
        asked.set()
        over.wait(60)

    answering(keep_waiting)
    command = [sys.executable, "-m", "kfp_bayesopt.steps.copy", OBJECT, "-"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1].strip() == b"Aborted!"
    over.set()


# --- uploads of several requests -----------------------------------------------------------------


class Sessions:
    """A service that takes uploads of several requests, and can fail at any of them."""

    def __init__(self, fail: Callable[[int], Answer | None]) -> None:
        self.requests, self._fail = 0, fail

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a request, or fail as the test wants it."""
        self.requests += 1
        fault = self._fail(self.requests)
        if fault is not None:
            fault(request)
        elif request.command == "POST":
            host = request.headers["Host"]
            answer(request, 200, b"{}", Location=f"http://{host}/session")
        else:
            answer(request, 200, json.dumps({"name": "object", "crc32c": checksum(LARGE)}).encode())


LARGE = bytes(9 << 20)


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize(
    "fault", [refuse(503, "down"), refuse(308, ""), refuse(410, "gone"), hang_up, send_html, find_other_bytes]
)
@pytest.mark.parametrize("at", [1, 2])
def test_a_large_upload_survives_a_fault_at_each_of_its_requests(answering: Serve, fault: Answer, at: int) -> None:
    sessions = Sessions(lambda number: fault if number == at else None)
    answering(sessions.answer)
    storage.replace(OBJECT, LARGE)
    assert sessions.requests in (3, 4)


@pytest.mark.usefixtures("_short_pauses")
def test_a_large_upload_comes_through_where_every_other_request_fails(answering: Serve) -> None:
    answering(Sessions(lambda number: refuse(503, "down") if number % 2 else None).answer)
    storage.replace(OBJECT, LARGE)


@pytest.mark.usefixtures("_short_pauses")
def test_a_large_upload_that_never_gets_on_is_one_message(answering: Serve) -> None:
    sessions = Sessions(lambda number: None if number % 2 else refuse(308, ""))
    answering(sessions.answer)
    assert said(storage.replace, OBJECT, LARGE).startswith(
        "gs://bucket/object: Cloud Storage gave a damaged answer 5 times (308"
    )
    assert sessions.requests == 10


# --- created once --------------------------------------------------------------------------------


@pytest.fixture(name="faulty")
def _faulty(faulty: Door, _short_pauses: None) -> Door:
    return faulty


def test_an_object_whose_answer_was_lost_is_recognised_as_created(faulty: Door) -> None:
    faulty.close_after(1, lost_answer)
    storage.create(OBJECT, b"content")
    assert faulty.operations == ["create", "create", "read"]
    assert storage.read(OBJECT, 10) == b"content"


def test_an_object_that_somebody_else_created_first_stays(faulty: Door) -> None:
    faulty.close_after(1, overtaken)
    with pytest.raises(ExistsError):
        storage.create(OBJECT, b"content")
    assert storage.read(OBJECT, 100) == b"of somebody else"


def test_of_a_larger_object_no_more_is_read_than_tells_that_it_is_another(faulty: Door) -> None:
    storage.replace(OBJECT, bytes(100_000))
    faulty.open()
    with pytest.raises(ExistsError):
        storage.create(OBJECT, b"content")
    assert faulty.operations == ["create", "read", "stat"]


def test_creating_an_object_takes_one_request_and_reading_it_one(faulty: Door) -> None:
    storage.create(OBJECT, b"content")
    storage.read(OBJECT, 10)
    assert faulty.operations == ["create", "read"]


def test_a_creation_that_is_refused_is_no_creation(faulty: Door) -> None:
    faulty.close_after(1, forbidden)
    assert "grant roles/storage.objectUser" in said(storage.create, OBJECT, b"content")
    faulty.open()
    storage.create(OBJECT, b"other")


def test_an_object_that_is_there_and_gone_again_may_be_tried_again(answering: Serve) -> None:
    answering(lambda request: refuse(412 if request.command == "POST" else 404, "no")(request))
    with pytest.raises(UnavailableError) as caught:
        storage.create(OBJECT, b"content")
    assert caught.value.message == (
        "gs://bucket/object: something else created and deleted it just now; run the same command again"
    )


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize(("held", "error"), [(bytes(9 << 20), None), (b"another", ExistsError)])
def test_a_large_object_is_created_once_whichever_request_says_so(
    answering: Serve, at: int, held: bytes, error: type[Exception] | None
) -> None:
    sessions = Sessions(lambda number: refuse(412, "is there") if number == at else None)

    def serve(request: BaseHTTPRequestHandler) -> None:
        if request.command == "GET":
            return answer(request, 200, held, X_Goog_Hash=f"crc32c={checksum(held)}")
        return sessions.answer(request)

    answering(serve)
    with pytest.raises(error) if error else contextlib.nullcontext():
        storage.create(OBJECT, LARGE)
    assert sessions.requests == at


# --- uploads part by part ------------------------------------------------------------------------


class Parts:
    """A service that takes an upload part by part as the documents of Cloud Storage say, and can fail at any request.

    Attributes:
        content: What has come.
        begun: How many uploads were begun.
        sent: How many bytes have come in all.
    """

    def __init__(self, fail: Callable[[int], Answer | None] = lambda _: None) -> None:
        self.content, self.begun, self.requests, self.sent, self.most = b"", 0, 0, 0, 1 << 60
        self._fail = fail

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a request, or fail as the test wants it."""
        self.requests += 1
        body = vars(request)["body"]
        self.sent += len(body)
        fault = self._fail(self.requests)
        if request.command == "POST" and fault is None:
            self.content, self.begun = b"", self.begun + 1
            self._wanted = json.loads(body)["md5Hash"]
            answer(request, 200, b"{}", Location=f"http://{request.headers['Host']}/session")
            return
        if fault is lost and request.command == "PUT":
            self._take(request, body)
        if fault is not None:
            fault(request)
            return
        self._take(request, body)
        total = int(request.headers["Content-Range"].rpartition("/")[2])
        if len(self.content) == total:
            held = base64.b64encode(hashlib.md5(self.content).digest()).decode()
            assert held == self._wanted
            answer(request, 200, json.dumps({"name": "object", "md5Hash": held}).encode())
        else:
            held_to = {"Range": f"bytes=0-{len(self.content) - 1}"} if self.content else {}
            answer(request, 308, b"", **held_to)

    def _take(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        where = request.headers["Content-Range"].removeprefix("bytes ").partition("/")[0]
        if where != "*":
            assert int(where.partition("-")[0]) == len(self.content)
            self.content += body[: self.most]


def lost(request: BaseHTTPRequestHandler) -> None:
    """Break the connection when the work is done."""
    hang_up(request)


PARTS = bytes(range(256)) * ((2 * PART + 512) // 256)


@pytest.fixture
def large(tmp_path: Path) -> str:
    path = tmp_path / "large"
    path.write_bytes(PARTS)
    return str(path)


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize("fault", [refuse(503, "down"), hang_up, lost, send_html, refuse(429, "slow down")])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_part_that_fails_is_sent_again_and_no_other(answering: Serve, large: str, fault: Answer, at: int) -> None:
    parts = Parts(lambda number: fault if number == at else None)
    answering(parts.answer)
    storage.copy(large, OBJECT)
    assert parts.content == PARTS
    assert parts.begun == 1
    assert parts.sent < len(PARTS) + PART + 1000


@pytest.mark.usefixtures("_short_pauses")
def test_an_upload_goes_on_where_the_service_says_that_it_is(answering: Serve, large: str) -> None:
    parts = Parts()
    parts.most = 3 << 20
    answering(parts.answer)
    storage.copy(large, OBJECT)
    assert parts.content == PARTS


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize("status", [404, 410])
def test_an_upload_that_the_service_has_forgotten_begins_again(answering: Serve, large: str, status: int) -> None:
    parts = Parts(lambda number: refuse(status, "no such session") if number == 3 else None)
    answering(parts.answer)
    storage.copy(large, OBJECT)
    assert (parts.content, parts.begun) == (PARTS, 2)


@pytest.mark.usefixtures("_short_pauses")
def test_an_upload_that_is_always_forgotten_is_one_message(answering: Serve, large: str) -> None:
    answering(Parts(lambda number: None if number % 2 else refuse(410, "gone")).answer)
    assert said(storage.copy, large, OBJECT) == (
        "gs://bucket/object: Cloud Storage ended its upload 5 times before it was whole; run the same command again"
    )


@pytest.mark.usefixtures("_short_pauses")
def test_an_upload_that_stays_where_it_is_is_one_message(answering: Serve, large: str) -> None:
    parts = Parts()
    parts.most = 0
    answering(parts.answer)
    assert said(storage.copy, large, OBJECT).startswith(
        "gs://bucket/object: Cloud Storage gave a damaged answer 5 times (the upload stays at 0 of"
    )


@pytest.mark.parametrize("at", [1, 3])
def test_a_refused_upload_is_one_message(answering: Serve, large: str, at: int) -> None:
    answering(Parts(lambda number: refuse(403, "no access") if number == at else None).answer)
    assert said(storage.copy, large, OBJECT) == (
        "gs://bucket/object: permission denied (no access); grant roles/storage.objectUser on the bucket to the "
        "account that runs this"
    )


@pytest.mark.parametrize("at", [1, 4])
@pytest.mark.parametrize("same", [True, False])
def test_a_large_copy_is_created_once_whichever_request_says_so(
    answering: Serve, large: str, at: int, same: bool
) -> None:
    held = PARTS if same else b"another"
    there = {
        "name": "object", "size": len(held), "timeCreated": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z",
        "md5Hash": base64.b64encode(hashlib.md5(held).digest()).decode(),
    }  # fmt: skip
    parts = Parts(lambda number: refuse(412, "is there") if number == at else None)

    def serve(request: BaseHTTPRequestHandler) -> None:
        if request.command == "GET":
            return answer(request, 200, json.dumps(there).encode())
        return parts.answer(request)

    answering(serve)
    with contextlib.nullcontext() if same else pytest.raises(ExistsError):
        storage.copy(large, OBJECT)


# --- parts and lists -----------------------------------------------------------------------------


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize(
    ("start", "count", "why"),
    [
        (0, 3, "more than the 3 bytes came that were asked for"),
        (1, 100, "the whole object came instead of a part"),
    ],
)
def test_a_whole_object_in_place_of_a_part_is_refused(answering: Serve, start: int, count: int, why: str) -> None:
    answering(lambda request: answer(request, 200, b"content", X_Goog_Hash=f"crc32c={checksum(b'content')}"))
    assert said(storage.read_range, OBJECT, start, count).startswith(
        f"gs://bucket/object: Cloud Storage gave a damaged answer 5 times ({why}); "
    )


@pytest.mark.usefixtures("_short_pauses")
def test_the_checksum_of_a_part_that_is_the_whole_is_compared(answering: Serve) -> None:
    answering(lambda request: answer(request, 206, b"c0ntent", X_Goog_Hash=f"crc32c={checksum(b'content')}"))
    assert "gave a damaged answer 5 times (its checksum is " in said(storage.read_range, OBJECT, 0, 100)


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize(
    ("page", "why"),
    [
        ({"items": [{**RESOURCE, "name": "elsewhere/x"}]}, "names came that were not asked for"),
        ({"prefixes": ["elsewhere/"]}, "names came that were not asked for"),
        ({"items": [{"name": "object/x", "size": "7"}]}, "its times are missing"),
    ],
)
def test_a_list_of_something_else_is_a_damaged_answer(answering: Serve, page: object, why: str) -> None:
    answering(lambda request: answer(request, 200, json.dumps(page).encode()))
    assert said(lambda: list(storage.entries(f"{OBJECT}/"))).startswith(
        f"gs://bucket/object/: Cloud Storage gave a damaged answer 5 times ({why}); "
    )


def test_a_page_that_fails_is_asked_for_again_alone(answering: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list comes to its end also where more requests fail than one would ever be tried again for."""
    monkeypatch.setattr(patience, "RETRY", patience.RETRY.with_delay(initial=0.01, maximum=0.02).with_timeout(5))
    requests: list[str] = []

    def every_other(request: BaseHTTPRequestHandler) -> None:
        requests.append(request.path)
        number = len(requests) // 2
        if len(requests) % 2:
            return refuse(503, "down")(request)
        page = {"items": [{**RESOURCE, "name": f"object/{number:03}"}], "nextPageToken": str(number)}
        if number == 20:
            del page["nextPageToken"]
        return answer(request, 200, json.dumps(page).encode())

    answering(every_other)
    assert len(list(storage.entries(f"{OBJECT}/"))) == 20
    assert len(requests) == 40


def test_a_list_asks_only_for_what_comes_after_a_name_and_for_what_is_read(answering: Serve) -> None:
    queries: list[dict[str, list[str]]] = []

    def note(request: BaseHTTPRequestHandler) -> None:
        queries.append(urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query))
        answer(request, 200, b"{}")

    answering(note)
    assert list(storage.entries("gs://bucket/trials/", "gs://bucket/trials/000007/record-1.json")) == []
    assert storage.folders("gs://bucket/trials/") == []
    listed, folders = queries
    assert listed["prefix"] == folders["prefix"] == ["trials/"]
    assert listed["startOffset"] == ["trials/000007/record-1.json"]
    assert listed["maxResults"] == ["1000"]
    assert listed["fields"] == ["nextPageToken,items(name,size,timeCreated,updated,md5Hash)"]
    assert folders["fields"] == ["nextPageToken,prefixes"]
    assert folders["delimiter"] == ["/"]


# --- credentials -----------------------------------------------------------------------------------


def test_missing_credentials_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", f"{tmp_path}/none.json")
    gcs._client.cache_clear()
    message = said(read, OBJECT)
    assert message.startswith("gs://bucket/object: no valid Google Cloud credentials (")
    assert message.endswith("; run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS")
