"""Objects of Cloud Storage: in a fake one, and from servers that do each thing wrong that storage can."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
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
from google.api_core.retry import retry_base, retry_unary

from bayesopt import gcs, storage
from bayesopt.errors import BucketNotFoundError, NotFoundError, UserError
from pipeline import COMMON

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


def serve_object(request: BaseHTTPRequestHandler) -> None:
    """Answer as Cloud Storage does for an object of the content `content`, and take a write of it."""
    crc32c = checksum(b"content")
    if request.command == "GET":
        answer(request, 200, b"content", X_Goog_Hash=f"crc32c={crc32c}")
    else:
        answer(request, 200, json.dumps({"name": "object", "crc32c": crc32c}).encode())


def write_object(uri: str = OBJECT) -> None:
    storage.write(uri, b"content")


def said(function: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return caught.value.message


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcs, "RETRY", gcs.RETRY.with_delay(initial=0.01, maximum=0.02))
    monkeypatch.setattr(gcs, "RETRY_PART", gcs.RETRY_PART.with_delay(initial=0.01, maximum=0.02))


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch, _short_pauses: None) -> None:
    monkeypatch.setattr(gcs, "RETRY", gcs.RETRY.with_timeout(0.1))


# --- a bucket that works -----------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"one\n", bytes(range(256))], ids=["empty", "text", "bytes"])
def test_what_was_written_is_read(bucket: str, content: bytes) -> None:
    storage.write(f"{bucket}/folder/object", b"before")
    storage.write(f"{bucket}/folder/object", content)
    assert storage.read(f"{bucket}/folder/object") == content
    assert storage.size(f"{bucket}/folder/object") == len(content)


def test_an_object_above_the_size_of_resumable_uploads_makes_the_round_trip(bucket: str) -> None:
    content = os.urandom(1 << 20) * 9
    storage.write(f"{bucket}/large", content)
    assert storage.read(f"{bucket}/large") == content


def test_objects_are_found_by_the_beginning_of_their_uri(bucket: str) -> None:
    for name in ("a", "b", "other"):
        storage.write(f"{bucket}/found/{name}", b"")
    assert sorted(gcs.find(f"{bucket}/found/")) == [f"{bucket}/found/{name}" for name in ("a", "b", "other")]


def test_a_missing_object_is_named(bucket: str) -> None:
    for ask in (storage.read, storage.size):
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
    assert said(storage.read, uri) == f"{uri}: expected gs://BUCKET/OBJECT, but the {missing} is missing"


@pytest.mark.parametrize("bucket", ["My-Bucket", "-bucket", "bucket-", "buc ket", "b" * 223, "bücket"])
def test_a_bucket_that_cannot_exist_is_refused_without_asking(bucket: str) -> None:
    assert said(storage.read, f"gs://{bucket}/object") == (
        f"gs://{bucket}/object: {bucket!r} is no name of a bucket; it has lower-case letters, digits, '-', '_' and "
        "'.', and begins and ends with a letter or digit"
    )


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "..", ".", "\udc80"])
def test_a_name_that_no_object_can_have_is_refused_without_asking(name: str) -> None:
    uri = f"gs://bucket/{name}"
    for attempt in (storage.read, write_object):
        assert said(attempt, uri) == f"{uri!r}: the name of an object has no control characters and is not '.' or '..'"


def test_a_name_that_is_too_long_is_refused_without_asking() -> None:
    uri = "gs://bucket/" + "ü" * 513
    assert said(storage.read, uri) == (
        f"{uri[:200]}…: the name of an object has at most 1,024 bytes; choose a shorter one"
    )


# --- limits --------------------------------------------------------------------------------------


def test_an_object_of_the_size_of_the_limit_is_read_and_a_larger_one_refused(bucket: str) -> None:
    storage.write(f"{bucket}/limited", bytes(20_000))
    assert storage.read(f"{bucket}/limited", limit=20_000) == bytes(20_000)
    with pytest.raises(UserError) as caught:
        storage.read(f"{bucket}/limited", limit=19_999)
    assert caught.value.message == (
        "gs://bucket/limited: has 20,000 bytes, but at most 19,999 are read; check that it is the right file"
    )


def test_no_more_than_the_limit_is_taken_from_an_object_without_an_end(answering: Serve) -> None:
    sent: list[int] = []

    def without_end(request: BaseHTTPRequestHandler) -> None:
        if "alt=media" not in request.path:
            return answer(request, 200, json.dumps({"name": "object", "size": str(1 << 40)}).encode())
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
    for attempt in (storage.read, storage.size, write_object, gcs.find):
        with pytest.raises(BucketNotFoundError) as caught:
            attempt(OBJECT)
        assert caught.value.message == (
            "gs://bucket/object: the bucket bucket does not exist; create it, or correct its name"
        )


def test_a_permission_error_says_which_role_to_grant(answering: Serve) -> None:
    body = {"error": {"code": 403, "message": "someone does not have storage.objects.get access"}}
    answering(refuse(403, json.dumps(body)))
    for attempt in (storage.read, storage.size, write_object, gcs.find):
        assert said(attempt, OBJECT) == (
            "gs://bucket/object: permission denied (someone does not have storage.objects.get access); "
            "grant roles/storage.objectUser on the bucket to the account that runs this"
        )


def test_credentials_that_are_refused_are_one_message(answering: Serve) -> None:
    answering(refuse(401, "who are you?"))
    for attempt in (storage.read, storage.size, write_object, gcs.find):
        assert said(attempt, OBJECT).startswith("gs://bucket/object: no valid Google Cloud credentials (")


@pytest.mark.parametrize("status", [400, 405, 409, 412, 413])
def test_any_other_refusal_is_one_message_with_the_words_of_the_service(answering: Serve, status: int) -> None:
    answering(refuse(status, "no,\n  because"))
    for attempt in (storage.read, storage.size, write_object):
        assert said(attempt, OBJECT) == (
            f"gs://bucket/object: Cloud Storage refused the request ({status}: no, because); "
            "check the URI and the bucket"
        )


def test_a_long_refusal_is_cut(answering: Serve) -> None:
    answering(refuse(403, "x" * 1_000_000))
    assert len(said(storage.read, OBJECT)) < 500


def test_nothing_but_the_object_is_asked_for(answering: Serve) -> None:
    """The role that reads and writes objects may not read the bucket; and a limit costs no request."""
    paths: list[str] = []

    def note(request: BaseHTTPRequestHandler) -> None:
        paths.append(request.path)
        serve_object(request)

    answering(note)
    storage.read(OBJECT)
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
    assert storage.read(OBJECT) == b"content"
    write_object()
    assert requests == ["GET"] * 3 + ["POST"] * 3


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("fault", PASSING)
def test_a_service_that_goes_on_failing_is_one_message(answering: Serve, fault: str) -> None:
    answering(PASSING[fault])
    for attempt in (storage.read, storage.size, write_object, gcs.find):
        message = said(attempt, OBJECT)
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
    for attempt in (storage.read, write_object):
        message = said(attempt, OBJECT)
        assert message.startswith("gs://bucket/object: Cloud Storage gave a damaged answer 5 times (")
        assert message.endswith(
            "); check what stands between, such as a proxy or a login page, then run the same command again"
        )
        assert len(message) < 700
    assert requests == ["GET"] * 5 + ["POST"] * 5


@pytest.mark.usefixtures("_impatient")
def test_a_service_that_is_not_there_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    gcs._client.cache_clear()
    assert "(Connection refused)" in said(storage.read, OBJECT)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://no-such-host.invalid")
    gcs._client.cache_clear()
    assert said(storage.read, OBJECT).startswith("gs://bucket/object: no answer from Cloud Storage since ")
    gcs._client.cache_clear()


@pytest.mark.parametrize("address", ["localhost:9023", "http://", "ftp://127.0.0.1", "http://a..b"])
def test_an_address_that_cannot_be_one_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    gcs._client.cache_clear()
    message = said(storage.read, OBJECT)
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
    message = said(storage.read, OBJECT)
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
    for module in (gcs, retry_base, retry_unary):
        monkeypatch.setattr(module, "time", clock)
    return clock


def test_ten_minutes_without_storage_are_waited_for(answering: Serve, clock: Clock) -> None:
    answering(lambda request: (serve_object if clock.now > 600 else hang_up)(request))
    assert storage.read(OBJECT) == b"content"
    clock.now = 0
    write_object()


def test_storage_that_is_away_for_longer_is_given_up_after_15_minutes(answering: Serve, clock: Clock) -> None:
    answering(hang_up)
    assert said(storage.read, OBJECT).startswith("gs://bucket/object: no answer from Cloud Storage since ")
    assert 840 < clock.now <= 900


def test_the_patience_of_one_request_can_be_shorter(answering: Serve) -> None:
    answering(refuse(503, "down"))
    with pytest.raises(UserError, match=r"\(503: down\); check the network"):
        storage.read(OBJECT, patience=0.1)


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
    monkeypatch.setattr(gcs, "ATTEMPT", 0.5)
    requests: list[str] = []

    def trickle_once(request: BaseHTTPRequestHandler) -> None:
        requests.append(request.command)
        (slowly(SLOW[where]) if len(requests) % 2 else serve_object)(request)

    answering(trickle_once)
    assert storage.read(OBJECT) == b"content"
    write_object()
    assert requests[:2] == ["GET", "GET"]
    assert requests[-2:] == ["POST", "POST"]


def test_an_answer_that_always_trickles_is_one_message(answering: Serve, slowly: Callable[[bytes], Answer]) -> None:
    answering(slowly(SLOW["body"]))
    with pytest.raises(UserError, match=r"\(no whole answer within 1 seconds\); check the network"):
        storage.read(OBJECT, patience=0.5)


def test_a_person_hears_that_storage_does_not_answer(
    answering: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcs, "FIRST_WORD", 0.01)
    heard = threading.Event()

    class Listener(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            heard.set()

    def answer_when_heard(request: BaseHTTPRequestHandler) -> None:
        assert heard.wait(60)
        serve_object(request)

    listener = Listener()
    gcs.logger.addHandler(listener)
    try:
        answering(answer_when_heard)
        assert storage.read(OBJECT) == b"content"
    finally:
        gcs.logger.removeHandler(listener)
    assert caplog.messages[0].startswith("gs://bucket/object: no answer from Cloud Storage since ")
    assert caplog.messages[0].endswith(" UTC; still trying")


def test_waiting_for_an_answer_can_be_interrupted(answering: Serve) -> None:
    asked, over = threading.Event(), threading.Event()

    def keep_waiting(_: BaseHTTPRequestHandler) -> None:
        asked.set()
        over.wait(60)

    answering(keep_waiting)
    command = [sys.executable, "-m", "bayesopt.copy", OBJECT, "-"]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": COMMON}, stderr=subprocess.PIPE) as process:
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
    storage.write(OBJECT, LARGE)
    assert sessions.requests in (3, 4)


@pytest.mark.usefixtures("_short_pauses")
def test_a_large_upload_comes_through_where_every_other_request_fails(answering: Serve) -> None:
    answering(Sessions(lambda number: refuse(503, "down") if number % 2 else None).answer)
    storage.write(OBJECT, LARGE)


@pytest.mark.usefixtures("_short_pauses")
def test_a_large_upload_that_never_gets_on_is_one_message(answering: Serve) -> None:
    sessions = Sessions(lambda number: None if number % 2 else refuse(308, ""))
    answering(sessions.answer)
    assert said(storage.write, OBJECT, LARGE).startswith(
        "gs://bucket/object: Cloud Storage gave a damaged answer 5 times (308"
    )
    assert sessions.requests == 10


# --- credentials -----------------------------------------------------------------------------------


def test_missing_credentials_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", f"{tmp_path}/none.json")
    gcs._client.cache_clear()
    message = said(storage.read, OBJECT)
    assert message.startswith("gs://bucket/object: no valid Google Cloud credentials (")
    assert message.endswith("; run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS")
