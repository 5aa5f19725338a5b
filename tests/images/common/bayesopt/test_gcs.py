"""Objects of Cloud Storage: against a fake one, and against a server that answers with errors."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest
from google.api_core.exceptions import RetryError

from bayesopt import gcs, storage
from bayesopt.errors import NotFoundError, UserError

# The client leaves the connections of failed downloads to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

Serve = Callable[[Callable[[BaseHTTPRequestHandler], None]], None]


def answer(request: BaseHTTPRequestHandler, status: int, content: bytes, **headers: str) -> None:
    request.send_response(status)
    for name, value in {"Content_Length": str(len(content)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(content)


def refuse(status: int, message: str) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda request: answer(request, status, message.encode())


# --- a bucket that works -----------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"one\n", bytes(range(256))], ids=["empty", "text", "bytes"])
def test_what_was_written_is_read(bucket: str, content: bytes) -> None:
    storage.write(f"{bucket}/folder/object", b"before")
    storage.write(f"{bucket}/folder/object", content)
    assert storage.read(f"{bucket}/folder/object") == content


def test_an_object_above_the_size_of_resumable_uploads_makes_the_round_trip(bucket: str) -> None:
    content = os.urandom(1 << 20) * 9
    storage.write(f"{bucket}/large", content)
    assert storage.read(f"{bucket}/large") == content


def test_a_missing_object_is_named(bucket: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        storage.read(f"{bucket}/none")
    assert caught.value.message == "gs://bucket/none: the object must exist, but it is not there"


def test_a_missing_bucket_is_named_when_it_is_written(bucket: str) -> None:
    with pytest.raises(NotFoundError, match=r"^gs://no-such-bucket/object: the .* must exist, but it is not there$"):
        storage.write("gs://no-such-bucket/object", b"")


@pytest.mark.parametrize("uri", ["gs://", "gs://bucket", "gs://bucket/", "gs:///object"])
def test_a_uri_without_bucket_or_object_is_refused(uri: str) -> None:
    with pytest.raises(UserError) as caught:
        storage.read(uri)
    assert caught.value.message == f"{uri}: gs://BUCKET/OBJECT must hold, but the bucket or the object is missing"


# --- a service that refuses --------------------------------------------------------------------


def test_a_missing_bucket_is_told_from_a_missing_object(answering: Serve) -> None:
    answering(refuse(404, "The specified bucket does not exist."))
    for attempt in (lambda: storage.read("gs://bucket/object"), lambda: storage.write("gs://bucket/object", b"")):
        with pytest.raises(NotFoundError) as caught:
            attempt()
        assert caught.value.message == "gs://bucket/object: the bucket must exist, but it is not there"


def test_a_permission_error_says_which_role_to_grant(answering: Serve) -> None:
    answering(refuse(403, "someone does not have storage.objects.get access"))
    for attempt in (lambda: storage.read("gs://bucket/object"), lambda: storage.write("gs://bucket/object", b"")):
        with pytest.raises(UserError) as caught:
            attempt()
        assert caught.value.message.startswith("gs://bucket/object: permission denied (")
        assert "someone does not have storage.objects.get access" in caught.value.message
        assert caught.value.message.endswith(
            "; grant roles/storage.objectUser on the bucket to the account that runs this"
        )


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcs, "RETRY", gcs.RETRY.with_delay(initial=0.05, maximum=0.1).with_timeout(0.5))


def test_nothing_but_the_object_is_asked_for(answering: Serve) -> None:
    """The role that reads and writes objects may not read the bucket."""
    paths: list[str] = []

    def note(request: BaseHTTPRequestHandler) -> None:
        paths.append(request.path)
        answer(request, 200, b"content")

    answering(note)
    storage.read("gs://bucket/object")
    time.sleep(0.1)  # it was asked in a thread
    assert paths == ["/download/storage/v1/b/bucket/o/object?alt=media"]


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_service_that_fails_for_a_while_is_asked_again(answering: Serve, status: int) -> None:
    requests: list[str] = []

    def fail_twice(request: BaseHTTPRequestHandler) -> None:
        requests.append(request.command)
        if len(requests) % 3:
            answer(request, status, b"try again")
        elif request.command == "GET":
            answer(request, 200, b"content")
        else:
            answer(request, 200, json.dumps({"name": "object", "crc32c": "AAAAAA=="}).encode())

    answering(fail_twice)
    assert storage.read("gs://bucket/object") == b"content"
    storage.write("gs://bucket/object", b"")
    assert requests == ["GET"] * 3 + ["POST"] * 3


@pytest.mark.usefixtures("_short_pauses")
def test_a_service_that_goes_on_failing_is_an_error_and_no_hang(answering: Serve) -> None:
    answering(refuse(503, "down"))
    for attempt in (lambda: storage.read("gs://bucket/object"), lambda: storage.write("gs://bucket/object", b"")):
        began = time.monotonic()
        with pytest.raises(RetryError, match=r"Timeout of 0.5s exceeded"):
            attempt()
        assert time.monotonic() - began < 5


def test_the_retries_end_within_minutes() -> None:
    assert gcs.RETRY.timeout == 120


def test_a_damaged_download_is_refused(answering: Serve) -> None:
    answering(lambda request: answer(request, 200, b"contents", X_Goog_Hash="crc32c=AAAAAA=="))
    with pytest.raises(Exception, match="Checksum mismatch"):
        storage.read("gs://bucket/object")


def test_a_download_that_breaks_off_is_refused(answering: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcs, "RETRY", gcs.RETRY.with_delay(initial=0.05, maximum=0.1).with_timeout(0.3))
    answering(lambda request: answer(request, 200, b"half", Content_Length="8"))
    with pytest.raises(Exception, match=r"IncompleteRead|Timeout of"):
        storage.read("gs://bucket/object")


def test_missing_credentials_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", f"{tmp_path}/none.json")
    gcs._client.cache_clear()
    with pytest.raises(UserError) as caught:
        storage.read("gs://bucket/object")
    assert caught.value.message.startswith("gs://bucket/object: no valid credentials (")
    assert caught.value.message.endswith(
        "; run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
    )
