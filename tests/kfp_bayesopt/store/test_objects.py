"""Objects of S3 through obstore: from servers that do each thing wrong that storage can, and by each setting."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from obstore.store import S3Store

from kfp_bayesopt.errors import BucketNotFoundError, NotFoundError, TooLargeError, UnavailableError, UserError
from kfp_bayesopt.store import patience, storage
from kfp_bayesopt.store.objects import objects
from kfp_bayesopt.store.objects.az import az
from kfp_bayesopt.store.objects.s3 import minio, s3
from tests import fake_s3
from tests.kfp_bayesopt.store.test_gcs import Answer, Clock, Serve, answer, hang_up, reset

OBJECT = "s3://bucket/object"
CONTENT = b"content"
WRITTEN = datetime(2026, 11, 25, 4, 43, 5, tzinfo=UTC)
OF_OBJECT = {"ETag": f'"{hashlib.md5(CONTENT).hexdigest()}"', "Last_Modified": "Wed, 25 Nov 2026 04:43:05 GMT"}


def listed(*names: str, folders: tuple[str, ...] = (), more: str = "") -> bytes:
    """Return a page of a list, as S3 writes it."""
    tag, time = OF_OBJECT["ETag"], f"{WRITTEN:%Y-%m-%dT%H:%M:%S}.123Z"
    each = "".join(
        f"<Contents><Key>{name}</Key><LastModified>{time}</LastModified><ETag>{tag}</ETag><Size>7</Size></Contents>"
        for name in names
    )
    below = "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in folders)
    end = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    return f"<ListBucketResult>{each}{below}{end}</ListBucketResult>".encode()


def query(request: BaseHTTPRequestHandler) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(request.path).query))


def serve_object(request: BaseHTTPRequestHandler) -> None:
    """Answer as S3 does for an object of the content `content`; a list has two pages, whatever it is of."""
    asked = query(request)
    if request.command == "DELETE":
        answer(request, 204, b"")
    elif "list-type" in asked:
        last = "continuation-token" in asked
        page = (
            listed("object/2", folders=("object/b/",)) if last else listed("object/1", folders=("object/a/",), more="2")
        )
        answer(request, 200, page)
    elif part := re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", "")):
        start, end = int(part[1]), min(int(part[2]), len(CONTENT) - 1)
        where = f"bytes {start}-{end}/{len(CONTENT)}"
        answer(request, 206, CONTENT[start : end + 1], Content_Range=where, **OF_OBJECT)
    elif request.command == "HEAD":
        answer(request, 200, b"", Content_Length=str(len(CONTENT)), **OF_OBJECT)
    else:
        answer(request, 200, CONTENT if request.command == "GET" else b"", **OF_OBJECT)


def refuse(status: int, code: str, message: str = "because") -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return lambda request: answer(request, status, b"" if request.command == "HEAD" else body.encode())


def read(uri: str) -> bytes:
    return storage.read(uri, limit=1000)


# Each operation: what it returns where all goes well, and how many requests it makes.
OPERATIONS: dict[str, tuple[Callable[[str], object], object, int]] = {
    "read": (read, CONTENT, 1),
    "read a part": (lambda uri: storage.read_range(uri, 1, 3), b"ont", 1),
    "stat": (lambda uri: storage.stat(uri).size, 7, 1),
    "create": (lambda uri: storage.create(uri, CONTENT), None, 1),
    "replace": (lambda uri: storage.replace(uri, CONTENT), None, 1),
    "delete": (storage.delete, True, 1),
    "list": (lambda uri: [entry.uri for entry in storage.entries(f"{uri}/")], [f"{OBJECT}/1", f"{OBJECT}/2"], 2),
    "list folders": (lambda uri: storage.folders(f"{uri}/"), ["a", "b"], 2),
}
NAMED = [name for name in OPERATIONS if name != "stat"]
"""Those whose refusals have a body: the answer to HEAD has none."""


def said(function: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return caught.value.message


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have no settings of the machine's."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "BAYESOPT_STORE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for each in (s3, minio, az):
        each.forget()
        monkeypatch.setattr(each, "_has_answered", False)
        monkeypatch.setattr(each, "_clock", None)
        monkeypatch.setattr(each, "_written", None)
        monkeypatch.setattr(each, "_etags_are_md5", {})


@pytest.fixture
def serving(answering: Serve, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Return a function that puts in place of S3 a server which answers every request in one way."""

    def serve(answer: Answer) -> None:
        answering(answer)
        monkeypatch.setenv("BAYESOPT_STORE_ENDPOINT", os.environ["STORAGE_EMULATOR_HOST"])
        monkeypatch.setenv("BAYESOPT_STORE_ACCESS_KEY", "ours")
        monkeypatch.setenv("BAYESOPT_STORE_SECRET_KEY", "secret")
        s3.forget()

    return serve


@pytest.fixture
def asked(serving: Serve) -> list[BaseHTTPRequestHandler]:
    """Serve the object, and return the requests that were made."""
    requests: list[BaseHTTPRequestHandler] = []
    serving(lambda request: (requests.append(request), serve_object(request))[1])  # type: ignore[func-returns-value]
    return requests


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "RETRY", patience.RETRY.with_delay(initial=0.01, maximum=0.02))


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch, _short_pauses: None) -> None:
    monkeypatch.setattr(patience, "RETRY", patience.RETRY.with_timeout(0.1))


def test_all_operations_do_what_they_say(asked: list[BaseHTTPRequestHandler]) -> None:
    for attempt, result, count in OPERATIONS.values():
        asked.clear()
        assert attempt(OBJECT) == result
        assert len(asked) == count


# --- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a//b", "a/", "/a", "a/../b", "a/./b", "a\\b"])
def test_a_name_that_obstore_would_change_is_refused_without_asking(name: str) -> None:
    assert said(read, f"s3://bucket/{name}") == (
        f"{f's3://bucket/{name}'!r}: a name of a file below a folder has no empty part, no '.' and '..', no backslash "
        "and no NUL; choose another name"
    )


def test_objects_of_others_whose_names_obstore_cannot_read_hide_no_other(s3_bucket: str, s3_server: str) -> None:
    ours = ["a", "b/c", "d e/+", "é/1"]
    for name in ours:
        storage.create(f"{s3_bucket}/study/{name}", CONTENT)
    before = list(storage.entries(f"{s3_bucket}/study/"))
    for name in ("study//record", "study/a/%2E%2E/record", "study/b//x"):
        fake_s3.put(s3_server, name)
    found = {entry.uri.removeprefix(f"{s3_bucket}/study/"): entry for entry in storage.entries(f"{s3_bucket}/study/")}
    assert sorted(found) == sorted([*ours, "/record", "b//x"])
    assert [found[name] for name in ours] == before
    assert storage.folders(f"{s3_bucket}/study/") == ["a", "b", "d e", "é"]
    assert [entry.uri for entry in storage.entries(f"{s3_bucket}/study/", f"{s3_bucket}/study/b/c")] == [
        f"{s3_bucket}/study/{name}" for name in ("d e/+", "é/1")
    ]


def test_all_pages_of_such_a_list_come(serving: Serve) -> None:
    def serve(request: BaseHTTPRequestHandler) -> None:
        first = "continuation-token" not in query(request)
        answer(request, 200, listed("t//x", more="2") if first else listed("t/y"))

    serving(serve)
    assert [entry.uri for entry in storage.entries("s3://bucket/t/")] == ["s3://bucket/t//x", "s3://bucket/t/y"]


@pytest.mark.usefixtures("_short_pauses")
def test_a_fault_in_such_a_list_is_as_any(serving: Serve) -> None:
    answers: list[Answer] = []

    def serve(request: BaseHTTPRequestHandler) -> None:
        is_signed = "X-Amz-Signature" in request.path
        (answers.pop(0) if is_signed and answers else lambda each: answer(each, 200, listed("t//x")))(request)

    serving(serve)
    answers[:] = [refuse(503, "SlowDown"), hang_up, send_html]
    assert len(list(storage.entries("s3://bucket/t/"))) == 1
    answers[:] = [refuse(403, "AccessDenied", "no")]
    assert "permission denied (403: AccessDenied, no)" in said(list, storage.entries("s3://bucket/t/"))


@pytest.mark.parametrize(
    ("after", "sent"),
    [
        ("", None),
        ("trials/000012/~", "trials/000011"),
        ("trials/000012/claim-1.json", "trials/000011"),
        ("trials/000012", "trials/000011"),
        ("trials/000000/~", None),
        ("trials/1000/x", "trials/0999"),
        ("trials/a-b/x", None),
        ("trials/\u0661/x", None),
    ],
)
def test_only_the_number_before_that_of_a_trial_is_sent_as_the_beginning_of_a_list(
    serving: Serve, after: str, sent: str | None
) -> None:
    asked: list[BaseHTTPRequestHandler] = []
    serving(lambda request: (asked.append(request), answer(request, 200, listed()))[1])  # type: ignore[func-returns-value]
    list(storage.entries("s3://bucket/trials/", f"s3://bucket/{after}" if after else ""))
    assert query(asked[0]).get("start-after") == sent


def test_a_list_that_is_in_the_order_of_folders_comes_in_that_of_bytes(serving: Serve) -> None:
    names = ["t/000001/a", "t/000001-x", "t/a/b/c", "t/a/x", "t/a-b/x", "t/a0"]
    serving(lambda request: answer(request, 200, listed(*names)))
    found = [entry.uri.removeprefix("s3://bucket/") for entry in storage.entries("s3://bucket/t/")]
    assert found == sorted(names, key=str.encode)
    after = [entry.uri for entry in storage.entries("s3://bucket/t/", "s3://bucket/t/000001-x")]
    assert after == [f"s3://bucket/{name}" for name in sorted(names, key=str.encode) if name > "t/000001-x"]


@pytest.mark.usefixtures("_short_pauses")
def test_a_page_that_fails_is_asked_for_again_without_those_before(
    serving: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "CHUNK", 1)
    asked: list[dict[str, str]] = []

    def fail_at_the_second(request: BaseHTTPRequestHandler) -> None:
        asked.append(query(request))
        if len(asked) == 2:
            refuse(503, "SlowDown")(request)
        elif "start-after" in asked[-1]:
            answer(request, 200, listed("object/3"))
        else:
            serve_object(request)

    serving(fail_at_the_second)
    assert [entry.uri[-1] for entry in storage.entries(f"{OBJECT}/")] == ["1", "3"]
    assert asked[2]["start-after"] == "object/1"


# --- a service that refuses ------------------------------------------------------------------------


def test_a_missing_bucket_is_told_from_a_missing_object_in_every_operation(serving: Serve) -> None:
    serving(refuse(404, "NoSuchBucket"))
    for name in NAMED:
        with pytest.raises(BucketNotFoundError) as caught:
            OPERATIONS[name][0](OBJECT)
        assert caught.value.message.endswith(": the bucket bucket does not exist; create it, or correct its name")
    serving(refuse(404, "NoSuchKey"))
    for name in ("read", "read a part", "stat"):
        with pytest.raises(NotFoundError) as missing:
            OPERATIONS[name][0](OBJECT)
        assert missing.value.message == "s3://bucket/object: no such object"


def test_what_is_no_such_store_is_no_missing_object(serving: Serve) -> None:
    serving(lambda request: answer(request, 404, b"<html>Kubeflow</html>", Content_Type="text/html"))
    name = os.environ["BAYESOPT_STORE_ENDPOINT"]
    assert said(read, OBJECT) == (
        f"s3://bucket/object: S3 at {name} answers, but not as such a store (404: Not Found: <html>Kubeflow</html>); "
        "check its address"
    )


@pytest.mark.parametrize(
    ("status", "code", "way_out"),
    [
        (403, "AccessDenied", "let the account that runs this read, write, delete and list objects there"),
        (403, "InvalidAccessKeyId", "correct the access key"),
        (403, "SignatureDoesNotMatch", "correct the secret key"),
        (403, "RequestTimeTooSkewed", "set the clock of this machine"),
        (400, "AuthorizationHeaderMalformed", "set AWS_REGION to the region of the bucket"),
        (400, "ExpiredToken", "renew the keys"),
        (501, "NotImplemented", "use a store that can create once"),
        (405, "MethodNotAllowed", "check the URI, the bucket and the settings of the store"),
    ],
)
def test_a_refusal_is_said_at_once_with_what_mends_it(serving: Serve, status: int, code: str, way_out: str) -> None:
    serving(refuse(status, code, "no,\n because"))
    for name in NAMED:
        message = said(OPERATIONS[name][0], OBJECT)
        assert f" ({status}: {code}, no, because); {way_out}" in message


def test_a_redirect_to_another_region_is_said_at_once(serving: Serve) -> None:
    serving(refuse(301, "PermanentRedirect", "must be addressed using the specified endpoint"))
    for name in NAMED:
        assert "egion" in said(OPERATIONS[name][0], OBJECT)


@pytest.mark.usefixtures("_short_pauses")
def test_keys_that_expire_in_the_middle_are_waited_for_and_then_said(
    serving: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[str] = []

    def expired_for_a_while(request: BaseHTTPRequestHandler) -> None:
        requests.append(request.command)
        (refuse(400, "ExpiredToken") if len(requests) in (2, 3) else serve_object)(request)

    serving(expired_for_a_while)
    assert read(OBJECT) == CONTENT
    assert read(OBJECT) == CONTENT
    assert len(requests) == 4
    serving(refuse(400, "ExpiredToken", "the token has expired"))
    monkeypatch.setattr(patience, "RETRY", patience.RETRY.with_timeout(0.1))
    assert re.search(r" \(400: ExpiredToken, the token has expired\); renew the keys, then run the", said(read, OBJECT))


# --- a service that fails --------------------------------------------------------------------------


def break_off(request: BaseHTTPRequestHandler) -> None:
    answer(request, 200, b"con", Content_Length="7", **OF_OBJECT)
    hang_up(request)


def send_html(request: BaseHTTPRequestHandler) -> None:
    answer(request, 200, b"<html>Please log in</html>", Content_Type="text/html; charset=utf-8")


PASSING: dict[str, Answer] = {
    **{f"status {status}": refuse(status, "SlowDown") for status in (408, 429, 500, 502, 503, 504)},
    "two at once": refuse(409, "ConditionalRequestConflict"),
    "hangs up": hang_up,
    "reset": reset,
}


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize("fault", PASSING)
def test_a_service_that_fails_for_a_while_is_asked_again(serving: Serve, fault: str) -> None:
    requests: list[str] = []

    def fail_twice(request: BaseHTTPRequestHandler) -> None:
        requests.append(request.command)
        (PASSING[fault] if len(requests) < 3 else serve_object)(request)

    serving(fail_twice)
    for name, (attempt, result, count) in OPERATIONS.items():
        requests.clear()
        assert attempt(OBJECT) == result, name
        assert len(requests) == count + 2


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("fault", PASSING)
def test_a_service_that_goes_on_failing_is_one_message(serving: Serve, fault: str) -> None:
    serving(PASSING[fault])
    for attempt, _, _ in OPERATIONS.values():
        with pytest.raises(UnavailableError) as caught:
            attempt(OBJECT)
        message = caught.value.message
        assert re.match(r"s3://bucket/object/?: no answer from S3 at http://127.0.0.1:\d+ since ", message)
        assert message.endswith("); check the network, then run the same command again")
        assert "Debug source" not in message
        assert len(message) < 600


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize("fault", [break_off, send_html])
def test_a_read_that_is_cut_or_replaced_on_its_way_is_asked_again(serving: Serve, fault: Answer) -> None:
    requests: list[str] = []

    def fail_twice(request: BaseHTTPRequestHandler) -> None:
        requests.append(request.command)
        (fault if len(requests) < 3 else serve_object)(request)

    serving(fail_twice)
    assert read(OBJECT) == CONTENT
    assert len(requests) == 3


@pytest.mark.usefixtures("_short_pauses")
def test_a_page_of_a_proxy_is_one_message_after_five_attempts(serving: Serve) -> None:
    requests: list[str] = []
    serving(lambda request: (requests.append(request.command), send_html(request))[1])  # type: ignore[func-returns-value]
    for name in ("read", "read a part", "stat", "create"):
        requests.clear()
        with pytest.raises(UnavailableError, match="gave a damaged answer 5 times"):
            OPERATIONS[name][0](OBJECT)
        assert len(requests) == 5


@pytest.mark.usefixtures("_impatient")
def test_a_service_that_is_not_there_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("BAYESOPT_STORE_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("BAYESOPT_STORE_ACCESS_KEY", "ours")
    monkeypatch.setenv("BAYESOPT_STORE_SECRET_KEY", "secret")
    assert "(Connection refused); check the network" in said(read, OBJECT)
    monkeypatch.setenv("BAYESOPT_STORE_ENDPOINT", "http://no-such-host.invalid")
    s3.forget()
    assert re.search(
        r"\(failed to lookup address information: .*\); check the address of the store and the network",
        said(read, OBJECT),
    )


def test_https_where_http_is_served_is_said_at_once(serving: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serving(serve_object)
    address = os.environ["BAYESOPT_STORE_ENDPOINT"].replace("http:", "https:")
    monkeypatch.setenv("BAYESOPT_STORE_ENDPOINT", address)
    s3.forget()
    assert said(read, OBJECT) == (
        f"s3://bucket/object: S3 at {address} does not speak https://; set its address with http://"
    )


@pytest.mark.parametrize("address", ["localhost:9000", "http://", "ftp://127.0.0.1", "http://key:secret@host", "x"])
def test_an_address_that_cannot_be_one_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("BAYESOPT_STORE_ENDPOINT", address)
    assert said(read, OBJECT) == f"{address}: is no address of a store; give http://HOST:PORT or https://HOST"


def test_ten_minutes_without_storage_are_waited_for(serving: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    serving(lambda request: (serve_object if clock.now > 600 else hang_up)(request))
    assert read(OBJECT) == CONTENT
    serving(hang_up)
    clock.now = 0
    assert "no answer from S3" in said(read, OBJECT)
    assert 840 < clock.now <= 900


# --- bytes -----------------------------------------------------------------------------------------

OTHER_TAG = {**OF_OBJECT, "ETag": f'"{"0" * 32}"'}


@pytest.mark.usefixtures("_short_pauses")
def test_other_bytes_than_the_etag_says_are_read_again(serving: Serve) -> None:
    contents = [b"c0ntent", b"c1ntent", CONTENT]
    serving(lambda request: answer(request, 200, contents.pop(0), **OF_OBJECT))
    assert read(OBJECT) == CONTENT


@pytest.mark.usefixtures("_short_pauses")
def test_bytes_that_change_each_time_are_one_message(serving: Serve) -> None:
    contents = [f"{number}".encode() * 7 for number in range(9)]
    serving(lambda request: answer(request, 200, contents.pop(0), **OF_OBJECT))
    with pytest.raises(UnavailableError, match="gave a damaged answer 5 times"):
        read(OBJECT)


@pytest.mark.usefixtures("_short_pauses")
def test_an_etag_that_is_no_md5_is_found_out_once_in_a_bucket(serving: Serve) -> None:
    """The content is encrypted with a key of the customer (SSE-KMS)."""
    requests: list[str] = []

    def serve(request: BaseHTTPRequestHandler) -> None:
        requests.append(request.command)
        is_list = "list-type" in query(request)
        answer(request, 200, listed("object/1").replace(OF_OBJECT["ETag"].encode(), b"0" * 32) if is_list else CONTENT,
               **OTHER_TAG)  # fmt: skip

    serving(serve)
    assert read(OBJECT) == CONTENT
    assert len(requests) == 2
    assert read(OBJECT) == CONTENT
    assert len(requests) == 3
    assert [entry.md5 for entry in storage.entries(f"{OBJECT}/")] == [None]


def test_md5_is_said_once_it_is_known_that_an_etag_is_one(asked: list[BaseHTTPRequestHandler]) -> None:
    assert storage.stat(OBJECT).md5 is None
    storage.create(OBJECT, CONTENT)
    assert storage.stat(OBJECT).md5 == hashlib.md5(CONTENT).hexdigest()
    assert next(storage.entries(f"{OBJECT}/")).md5 == hashlib.md5(CONTENT).hexdigest()
    assert [request.command for request in asked] == ["HEAD", "PUT", "HEAD", "GET", "GET"]


def test_a_creation_is_one_request_that_holds_only_where_nothing_is(asked: list[BaseHTTPRequestHandler]) -> None:
    content = bytes(12 << 20)
    storage.create(OBJECT, content)
    assert [request.headers["If-None-Match"] for request in asked] == ["*"]
    assert asked[0].headers["x-amz-content-sha256"] == hashlib.sha256(content).hexdigest(), "the service checks it"
    storage.replace(OBJECT, content)
    assert [request.headers["If-None-Match"] for request in asked] == ["*", None]


def test_an_object_above_what_one_request_takes_is_refused(
    asked: list[BaseHTTPRequestHandler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "LONGEST_UPLOAD", 5)
    with pytest.raises(TooLargeError) as caught:
        storage.create(OBJECT, CONTENT)
    assert caught.value.message == (
        "s3://bucket/object: has 7 bytes, but an object is written with one request of at most 5; make the file smaller"
    )
    assert asked == []


def test_a_file_above_that_is_refused_before_it_is_read(
    asked: list[BaseHTTPRequestHandler], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(objects, "LONGEST_UPLOAD", 5)
    (tmp_path / "model").write_bytes(CONTENT)
    with pytest.raises(TooLargeError, match="has 7 bytes, but an object is written with one request of at most 5"):
        storage.copy(str(tmp_path / "model"), OBJECT)
    assert asked == []


def test_no_more_than_the_limit_is_taken_of_an_object(serving: Serve) -> None:
    serving(lambda request: answer(request, 200, CONTENT, Content_Length=str(1 << 40), **OF_OBJECT))
    with pytest.raises(TooLargeError, match=r"has 1,099,511,627,776 bytes, but at most 1,000 are read"):
        read(OBJECT)


# --- the time --------------------------------------------------------------------------------------


def test_the_clock_of_the_store_is_known_without_a_request_once_an_object_of_ours_was_seen(
    asked: list[BaseHTTPRequestHandler],
) -> None:
    storage.create(OBJECT, CONTENT)
    storage.stat(OBJECT)
    asked.clear()
    date = storage.date("s3://bucket/study")
    assert date is not None
    assert abs(date - WRITTEN) < timedelta(seconds=5)
    assert asked == []


def test_before_that_it_is_asked_for_once(serving: Serve) -> None:
    requests: list[BaseHTTPRequestHandler] = []
    serving(lambda request: (requests.append(request), answer(request, 403, b""))[1])  # type: ignore[func-returns-value]
    for _ in range(2):
        date = storage.date("s3://bucket/study")
        assert date is not None
        assert abs(date - datetime.now(UTC)) < timedelta(seconds=5)
    assert [(request.command, request.path) for request in requests] == [("HEAD", "/bucket")]


def test_of_a_store_that_does_not_answer_the_time_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("BAYESOPT_STORE_ENDPOINT", f"http://127.0.0.1:{port}")
    assert storage.date("s3://bucket/study") is None


# --- settings --------------------------------------------------------------------------------------


def key_of(request: BaseHTTPRequestHandler) -> str:
    found = re.search(r"Credential=([^/]+)/\d+/([^/]+)/", request.headers["Authorization"])
    assert found
    return f"{found[1]} {found[2]} {request.headers.get('x-amz-security-token')}"


def set_all(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    s3.forget()


def test_our_settings_beat_those_of_people_and_these_their_files(
    asked: list[BaseHTTPRequestHandler], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    endpoint = os.environ["BAYESOPT_STORE_ENDPOINT"]
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(
        "[default]\naws_access_key_id = of-file\naws_secret_access_key = s\n"
        "[mine]\naws_access_key_id = of-mine\naws_secret_access_key = s\naws_session_token = t\n"
    )
    (tmp_path / ".aws/config").write_text(
        f"[default]\nregion = eu-north-1\nendpoint_url = {endpoint}\n[profile mine]\nendpoint_url = {endpoint}\n"
    )
    people = {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    set_all(monkeypatch, **people, AWS_REGION="eu-west-1", AWS_ENDPOINT_URL=endpoint, BAYESOPT_STORE_REGION="here")
    read(OBJECT)
    for name in ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY", "REGION"):
        monkeypatch.delenv(f"BAYESOPT_STORE_{name}")
    s3.forget()
    read(OBJECT)
    for name in (*people, "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    s3.forget()
    read(OBJECT)
    set_all(monkeypatch, AWS_PROFILE="mine")
    read(OBJECT)
    assert [key_of(request) for request in asked] == [
        "ours here None",
        "theirs eu-west-1 t",
        "of-file eu-north-1 None",
        "of-mine us-east-1 t",
    ]


def test_a_program_of_a_profile_gives_keys(
    asked: list[BaseHTTPRequestHandler], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.delenv(f"BAYESOPT_STORE_{name}")
    keys = '{"Version": 1, "AccessKeyId": "of-program", "SecretAccessKey": "s", "Expiration": "2099-01-01T00:00:00Z"}'
    (tmp_path / "keys").write_text(keys)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(f"[default]\ncredential_process = cat {tmp_path}/keys\n")
    s3.forget()
    read(OBJECT)
    assert key_of(asked[0]) == "of-program us-east-1 None"
    (tmp_path / "keys").write_text("{}")
    s3.forget()
    assert "the credential_process of the profile default gives no keys (KeyError); run it by hand" in said(
        read, OBJECT
    )


def test_the_bucket_is_in_the_path_of_an_address_that_is_given_unless_it_is_to_be_in_the_host(
    asked: list[BaseHTTPRequestHandler], monkeypatch: pytest.MonkeyPatch
) -> None:
    read(OBJECT)
    assert asked[0].path == "/bucket/object"
    for way in ({"AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"}, {"AWS_S3_FORCE_PATH_STYLE": "false"}):
        with monkeypatch.context() as patched:
            set_all(patched, BAYESOPT_STORE_ENDPOINT="https://host:9000", **way)
            opened = s3._store("bucket")
            assert isinstance(opened, S3Store)
            assert opened.config["endpoint"] == "https://bucket.host:9000"


def test_mistakes_in_settings_are_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keyless = (
        "no keys for s3:// paths found; set BAYESOPT_STORE_ACCESS_KEY and BAYESOPT_STORE_SECRET_KEY, or "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    )
    assert said(read, OBJECT) == keyless
    set_all(monkeypatch, AWS_ACCESS_KEY_ID="x")
    assert said(read, OBJECT) == "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not; set both, or none"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    set_all(monkeypatch, AWS_PROFILE="nobody")
    assert "AWS_PROFILE is nobody, but ~/.aws has no profile of that name" in said(read, OBJECT)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text("[profile nobody]\nsso_session = x\n")
    s3.forget()
    assert 'run `eval "$(aws configure export-credentials --profile nobody --format env)"` first' in said(read, OBJECT)
    (tmp_path / ".aws/config").write_text("no section\n")
    s3.forget()
    assert said(read, OBJECT).startswith(f"{tmp_path}/.aws/config: cannot be read (")


@pytest.mark.usefixtures("_impatient")
def test_without_keys_a_machine_that_is_not_amazons_is_not_asked_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    set_all(monkeypatch, AWS_METADATA_ENDPOINT=f"http://127.0.0.1:{port}")
    assert said(read, OBJECT).startswith("no keys for s3:// paths found; set BAYESOPT_STORE_ACCESS_KEY")


def test_azure_is_of_the_account_that_the_settings_name(answering: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(read, "az://container/object") == (
        "az:// paths need the name of their account; set AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_CONNECTION_STRING "
        "or BAYESOPT_STORE_ACCESS_KEY"
    )
    requests: list[BaseHTTPRequestHandler] = []

    def serve(request: BaseHTTPRequestHandler) -> None:
        requests.append(request)
        answer(request, 200, CONTENT, ETag='"0x8D"', Last_Modified=OF_OBJECT["Last_Modified"])

    answering(serve)
    address = os.environ["STORAGE_EMULATOR_HOST"]
    for values in (
        {"AZURE_STORAGE_CONNECTION_STRING": f"AccountName=acc;AccountKey=a2V5;BlobEndpoint={address}/acc"},
        {"AZURE_STORAGE_ACCOUNT": "acc", "AZURE_STORAGE_KEY": "a2V5", "AZURE_STORAGE_ENDPOINT": f"{address}/acc"},
        {
            "AZURE_STORAGE_ACCOUNT_NAME": "acc",
            "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=2",
            "AZURE_STORAGE_ENDPOINT": address,
        },
    ):
        with monkeypatch.context() as patched:
            for name, value in values.items():
                patched.setenv(name, value)
            az.forget()
            assert read("az://container/object") == CONTENT
    assert [request.path.partition("?")[0] for request in requests] == [
        "/acc/container/object",
        "/acc/container/object",
        "/container/object",
    ]
    assert [(request.headers.get("Authorization") or "").split(":")[0] for request in requests] == [
        "SharedKey acc",
        "SharedKey acc",
        "",
    ]
    assert "sig=2" in requests[2].path
