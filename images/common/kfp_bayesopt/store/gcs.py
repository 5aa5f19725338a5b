"""Whole objects of Google Cloud Storage, with checksums and messages that a person can act on."""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypeVar

import google_crc32c
import requests
import urllib3
from google.api_core.exceptions import (
    BadRequest,
    Forbidden,
    GoogleAPICallError,
    NotFound,
    PreconditionFailed,
    RequestRangeNotSatisfiable,
    Unauthorized,
    from_http_response,
)
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.cloud.storage import Blob, Client
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY

from kfp_bayesopt.errors import BucketNotFoundError, NotFoundError, RetainedError, UnavailableError, UserError
from kfp_bayesopt.store.entry import PART, Entry, check_size, is_listed
from kfp_bayesopt.store.names import no_bucket, object_at, split
from kfp_bayesopt.store.patience import MAX_DAMAGED, DamagedError, NotAFaultError, Service, ask, short
from kfp_bayesopt.store.protocol import Source

TIMEOUT = (10, 60)  # to connect, and between two pieces of an answer
PAGE = 1000  # entries of a list in one answer; the service gives no more

# Large uploads are several requests. If a service fails every other one, they would never end if each fault restarted
# them.
RETRY_PART = DEFAULT_RETRY.with_timeout(60)
ONE_REQUEST = 8 << 20  # up to which size the client uploads in one request

# Reasons of refusals that no role changes.
KEPT_BY = {
    "retentionPolicyNotMet": "the retention policy of its bucket",
    "objectUnderActiveHold": "a hold",
}
# Words in refusals that are not about a role on the bucket, and the way out.
OTHER_REFUSALS = {
    "Cloud KMS": "grant roles/cloudkms.cryptoKeyEncrypterDecrypter on the key of the bucket to the service agent of "
    "Cloud Storage, and see that the key is enabled",
    "vpcServiceControls": "run this inside of the service perimeter, or let it in with a rule",
    "billing account": "switch billing on for the project of the bucket",
}

T = TypeVar("T")


# Exceptions of the client at an answer that Cloud Storage would not give.
_DAMAGE = (
    DamagedError,
    DataCorruption,
    requests.exceptions.ContentDecodingError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
)
_TRANSIENT = (
    ConnectionError,
    TimeoutError,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.PoolError,
    urllib3.exceptions.SSLError,
    urllib3.exceptions.TimeoutError,
    TransportError,
)
_BAD_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    urllib3.exceptions.LocationParseError,
    UnicodeError,
)


def read(uri: str, limit: int, patience: float | None = None) -> bytes:
    """Return the content of an object; its crc32c is compared with the service's."""

    def request() -> bytes:
        blob, content = _blob(uri), _Limited(limit)
        blob.download_to_file(content, checksum="crc32c", timeout=TIMEOUT, retry=None)
        if blob.crc32c is None and "html" in (blob.content_type or ""):
            raise DamagedError(f"an HTML page came instead: {short(content.getvalue())}")
        return content.getvalue()

    try:
        return _ask(uri, request, patience)
    except _TooLargeError:
        check_size(uri, stat(uri, patience).size, limit)
        raise


def read_range(uri: str, start: int, count: int) -> bytes:
    """Return part of an object; fewer bytes at its end.

    The service has no checksum of a part. It is compared if the part turns out to be the whole.
    """

    def request() -> bytes:
        blob, content = _blob(uri), _Limited(count)
        try:
            blob.download_to_file(content, start=start, end=start + count - 1, timeout=TIMEOUT, retry=None)
        except RequestRangeNotSatisfiable:
            return b""  # the object ends before
        except _TooLargeError:
            raise DamagedError(f"more than the {count:,} bytes came that were asked for") from None
        part = content.getvalue()
        whole = blob.crc32c == _checksum(part)
        if start and whole and part:
            raise DamagedError("the whole object came instead of a part")
        if not start and not whole and len(part) < count:
            raise DamagedError(f"its checksum is {blob.crc32c}, but {_checksum(part)} came")
        return part

    return _ask(uri, request)


def stat(uri: str, patience: float | None = None) -> Entry:
    """Return the service's description of an object."""

    def request() -> Entry:
        blob = _blob(uri)
        blob.reload(timeout=TIMEOUT, retry=None)
        return _entry(uri, blob)

    return _ask(uri, request, patience)


def version(uri: str) -> None:
    """Return nothing: an object never changes in its middle, and its parts are compared with the MD5 of the whole."""


def create(uri: str, content: bytes) -> bool:
    """Write an object, unless it exists; tell whether it was written.

    False may also mean that an earlier attempt wrote it, but its answer was lost.
    """
    return _upload(uri, content, if_generation_match=0)


def create_from(uri: str, source: Source) -> bool:
    """Write a new object, in parts if it is large, and tell whether it did."""
    found = source.digest()
    if found.size <= PART:
        return create(uri, b"".join(source.parts()))
    assert found.md5 is not None
    return create_large(uri, found.size, found.md5, source.part)


def create_large(uri: str, size: int, md5: str, part: Callable[[int], bytes]) -> bool:
    """Write an object part by part, unless it exists; tell whether it was written.

    Each part is a request, retried by itself for as long as any other; the upload goes on from the position that the
    service names. The service compares the MD5 of the whole with ours before it shows the object.

    Args:
        uri: The object.
        size: Its size in bytes.
        md5: Its MD5, in hexadecimal digits.
        part: Returns the bytes from a position on, a multiple of 256 KiB except at the end.
    """
    checksum = base64.b64encode(bytes.fromhex(md5)).decode()

    def begin() -> str:
        blob = _blob(uri)
        blob.md5_hash = checksum
        try:
            started: str = blob.create_resumable_upload_session(
                content_type="application/octet-stream",
                size=size,
                if_generation_match=0,
                checksum=None,
                timeout=TIMEOUT,
                retry=None,
            )
        except PreconditionFailed:
            raise _IsThereError from None
        return started

    try:
        for _ in range(MAX_DAMAGED):
            with contextlib.suppress(_NoSessionError):
                _send(uri, _ask(uri, begin), size, checksum, part)
                return True
    except _IsThereError:
        return False
    except NotFoundError:
        raise no_bucket(uri) from None
    raise UnavailableError(
        f"{uri}: Cloud Storage ended its upload {MAX_DAMAGED} times before it was whole; run the same command again"
    )


class _IsThereError(NotAFaultError):
    """The object exists already."""


class _NoSessionError(NotAFaultError):
    """An upload of several requests cannot go on, and must begin again."""


def _send(uri: str, session: str, size: int, checksum: str, part: Callable[[int], bytes]) -> None:
    """Send an object part by part to its upload session, whose address needs no credentials."""
    start: int | None = 0
    with requests.Session() as connection:

        def put(content: bytes, where: str) -> requests.Response:
            return connection.put(
                session, data=content, headers={"Content-Range": where}, timeout=TIMEOUT, allow_redirects=False
            )

        while start is not None:
            content, first = part(start) if start < size else b"", start
            known = bool(content)

            def request(first: int = first, content: bytes = content) -> int | None:
                nonlocal known
                if not known:  # an answer was lost: what was sent may be there
                    there = _next(put(b"", f"bytes */{size}"), first, first + len(content), checksum)
                    if there != first:
                        return there
                if not content:
                    raise DamagedError("all was sent, but the upload does not end")
                known = False
                last = first + len(content)
                reached = _next(put(content, f"bytes {first}-{last - 1}/{size}"), first, last, checksum)
                if reached == first:
                    raise DamagedError(f"the upload stays at {first:,} of {size:,} bytes")
                return reached

            start = _ask(uri, request)


def _next(answer: requests.Response, first: int, last: int, checksum: str) -> int | None:
    """Return the position from which an upload goes on, by an answer to it; None if the object is whole."""
    if answer.status_code == 308:
        held = re.fullmatch(r"bytes=0-(\d{1,18})", answer.headers.get("Range", ""))
        reached = int(held[1]) + 1 if held else 0
        if not first <= reached <= last:
            raise _NoSessionError
        return reached
    if answer.status_code in (404, 410):
        raise _NoSessionError
    if answer.status_code == 412:
        raise _IsThereError
    if answer.status_code not in (200, 201):
        raise from_http_response(answer)  # type: ignore[no-untyped-call]
    said = answer.json()["md5Hash"]
    if said != checksum:
        raise DamagedError(f"its checksum is {said}, but {checksum} was written")
    return None


def replace(uri: str, content: bytes, lasting: bool = True) -> None:
    """Write a whole object.

    The caller chooses the name of an object, and its content follows from the inputs of the step, so that a retried
    write writes the same.
    """
    _upload(uri, content)


def delete(uri: str, below: str | None = None) -> bool:
    """Delete an object, and tell whether it existed; a missing one is no error."""
    try:
        _ask(uri, lambda: _blob(uri).delete(timeout=TIMEOUT, retry=None))
    except BucketNotFoundError:
        raise
    except NotFoundError:
        return False
    return True


def delete_folder(uri: str, below: str) -> None:
    """Delete all objects of a folder."""
    for entry in list(entries(f"{uri}/", "", None, True)):
        delete(entry.uri)


def entries(prefix: str, after: str, depth: int | None, links: bool) -> Iterator[Entry]:
    """Yield the service's entries of objects whose URI begins with a prefix and comes after another."""
    start = after.removeprefix("gs://").partition("/")[2] or None
    for page in _pages(prefix, "items(name,size,timeCreated,updated,md5Hash)", start_offset=start):
        for entry in page.entries:
            if entry.uri > after and is_listed(entry.uri.removeprefix(prefix), depth):
                yield entry


def folders(prefix: str) -> list[str]:
    """Return the names of the non-empty folders just below a prefix."""
    found = {name for page in _pages(prefix, "prefixes", delimiter="/") for name in page.folders}
    return sorted(name for name in found if name and not name.startswith("."))


def _upload(uri: str, content: bytes, if_generation_match: int | None = None) -> bool:
    """Write a whole object; tell whether its generation was the one given.

    The service compares its crc32c with ours before it shows the object.
    """
    checksum = _checksum(content)

    def request() -> bool:
        blob = _blob(uri)
        # Not the client's own check, which deletes the object when the answer has another checksum.
        blob.crc32c = checksum
        try:
            blob.upload_from_string(
                content,
                content_type="application/octet-stream",
                if_generation_match=if_generation_match,
                checksum=None,
                timeout=TIMEOUT,
                retry=RETRY_PART if len(content) > ONE_REQUEST else None,
            )
        except PreconditionFailed:
            if if_generation_match is None:
                raise
            return False
        if blob.crc32c != checksum:
            raise DamagedError(f"its checksum is {blob.crc32c}, but {checksum} was written")
        return True

    try:
        return _ask(uri, request)
    except NotFoundError:
        raise no_bucket(uri) from None  # an object that is written need not exist


class _Page(NamedTuple):
    """One page of a list."""

    entries: list[Entry]
    folders: list[str]
    next_token: str | None


def _pages(prefix: str, fields: str, **options: str | None) -> Iterator[_Page]:
    """List a prefix; each page is retried until it comes."""
    bucket, name = split(prefix)
    token: str | None = None

    def request() -> _Page:
        found = _client().list_blobs(
            bucket,
            prefix=name,
            fields=f"nextPageToken,{fields}",
            page_size=PAGE,
            page_token=token,
            timeout=TIMEOUT,
            retry=None,
            **options,
        )
        try:
            page = next(found.pages)
        except Forbidden as error:
            if _is_transient(error):
                raise
            raise UserError(
                f"{prefix}: no permission to list what is there ({_answer(error)}); grant roles/storage.objectUser, "
                "which includes storage.objects.list, on the bucket to the account that runs this"
            ) from None
        blobs = list(page)
        if not all(each.startswith(name) for each in [*(blob.name for blob in blobs), *page.prefixes]):
            raise DamagedError("names came that were not asked for")
        return _Page(
            [_entry(f"gs://{bucket}/{blob.name}", blob) for blob in blobs],
            [each.removeprefix(name).removesuffix("/") for each in page.prefixes],
            found.next_page_token,
        )

    while True:
        try:
            page = _ask(prefix, request)
        except NotFoundError:
            raise no_bucket(prefix) from None
        yield page
        if page.next_token is None:
            return
        token = page.next_token


def _entry(uri: str, blob: Blob) -> Entry:
    created, updated = blob.time_created, blob.updated
    if created is None or updated is None:
        raise DamagedError("its times are missing")
    md5 = base64.b64decode(blob.md5_hash).hex() if blob.md5_hash else None  # one that was composed of others has none
    return Entry(uri, int(blob.size), created, updated, md5, md5 or created.isoformat())


def _checksum(content: bytes) -> str:
    return base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()


class _TooLargeError(NotAFaultError):
    """An object is larger than its limit."""


class _Limited(io.BytesIO):
    """A download that stops at its limit, also if the content was compressed."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def write(self, chunk: bytes, /) -> int:  # type: ignore[override]
        if self.tell() + len(chunk) > self._limit:
            raise _TooLargeError
        return super().write(chunk)


def _blob(uri: str) -> Blob:
    bucket, name = object_at(uri)
    return _client().bucket(bucket).blob(name)


@functools.cache
def _client() -> Client:
    # Without this, each process also asks for its bucket, in a thread, for unused traces; that needs a role that
    # reading and writing objects does not.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    # Objects need no project; without this the client insists on one.
    client = Client(project=None)
    client._http.hooks["response"].append(_note_date)  # nothing else of it shows the head of an answer
    return client


_latest: tuple[str, float] | None = None
"""The Date of the last answer, and its time of arrival."""


def _note_date(answer: requests.Response, **_options: object) -> None:
    global _latest
    if date := answer.headers.get("Date"):
        _latest = date, time.monotonic()


def date(root: str) -> datetime | None:
    """Return the time by the clock of the service; None before its first answer."""
    if _latest is None:
        return None
    text, at = _latest
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found.replace(tzinfo=found.tzinfo or UTC) + timedelta(seconds=time.monotonic() - at)


# --- asking until there is an answer -------------------------------------------------------------


def _is_transient(fault: BaseException) -> bool:
    """Tell whether a retry may help."""
    if isinstance(fault, RefreshError):
        return bool(fault.retryable) or isinstance(fault.__cause__, TransportError)
    if isinstance(fault, GoogleAPICallError):
        code = fault.code or 0
        return code in (408, 410, 429) or code >= 500 or _is_damage(fault) or (code == 403 and _is_rate_limit(fault))
    if isinstance(fault, _BAD_ADDRESS) or _is_certificate(fault):
        return False
    return isinstance(fault, _TRANSIENT) or _is_damage(fault)


def _is_damage(fault: BaseException) -> bool:
    """Tell whether something changed the data on its way."""
    if isinstance(fault, GoogleAPICallError):
        # Below 400 it is a proxy's page, or an upload of several requests without a position to go on from.
        return (fault.code or 0) < 400 or (
            isinstance(fault, BadRequest) and "doesn't match calculated" in _answer(fault)
        )
    return isinstance(fault, _DAMAGE) and not isinstance(fault, (*_BAD_ADDRESS, GoogleAuthError))


def _is_rate_limit(fault: GoogleAPICallError) -> bool:
    return "rateLimitExceeded" in _text(fault)


def _is_certificate(fault: BaseException) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in str(fault)


def _ask(uri: str, request: Callable[[], T], patience: float | None = None) -> T:
    return ask(SERVICE, uri, request, patience)


# --- messages ---------------------------------------------------------------------------------


def _refusal(uri: str, fault: Exception) -> UserError | None:
    """Return the message for a fault that only a person can mend; None if it is not of the service."""
    if isinstance(fault, NotFound):
        return no_bucket(uri) if "bucket does not exist" in _answer(fault) else NotFoundError(f"{uri}: no such object")
    if _is_certificate(fault):
        return UserError(
            f"{uri}: the certificate of Cloud Storage is not trusted ({_plain(fault)}); where a proxy stands between, "
            "set REQUESTS_CA_BUNDLE to the file with its certificate"
        )
    if isinstance(fault, GoogleAuthError):
        return UserError(
            f"{uri}: no valid Google Cloud credentials ({_plain(fault)}); run `gcloud auth application-default login`, "
            "or set GOOGLE_APPLICATION_CREDENTIALS"
        )
    if isinstance(fault, _BAD_ADDRESS):
        return UserError(
            f"{uri}: not an address of Cloud Storage ({_plain(fault)}); STORAGE_EMULATOR_HOST and the proxies of the "
            "environment are addresses like http://localhost:9023"
        )
    kept_by = next((KEPT_BY[reason] for reason in KEPT_BY if reason in _text(fault)), None)
    if isinstance(fault, Forbidden) and kept_by:
        return RetainedError(
            f"{uri}: is kept by {kept_by} and cannot be replaced or deleted ({_answer(fault)}); lift that, or use "
            "another bucket"
        )
    if isinstance(fault, Forbidden | Unauthorized):
        role = "grant roles/storage.objectUser on the bucket to the account that runs this"
        way_out = next((way for said, way in OTHER_REFUSALS.items() if said in _text(fault)), role)
        return UserError(f"{uri}: permission denied ({_answer(fault)}); {way_out}")
    if isinstance(fault, GoogleAPICallError | requests.RequestException):
        return UserError(f"{uri}: Cloud Storage refused the request ({_plain(fault)}); check the URI and the bucket")
    return None


def _plain(fault: BaseException) -> str:
    """Return the innermost cause of a fault in one line: libraries wrap it several times."""
    if isinstance(fault, GoogleAPICallError):
        return f"{fault.code}: {_answer(fault)}"
    inner = [getattr(fault, "reason", None), *fault.args, fault.__cause__]
    wrapped = next((each for each in inner if isinstance(each, BaseException)), None)
    if wrapped is not None:
        return _plain(wrapped)
    return short(getattr(fault, "strerror", None) or str(fault)) or type(fault).__name__


def _answer(fault: GoogleAPICallError) -> str:
    """Return the words of a refusal."""
    try:
        return short(fault.response.json()["error"]["message"])
    except (AttributeError, LookupError, TypeError, ValueError):
        return short(_text(fault) or fault.message or "")


def _text(fault: BaseException) -> str:
    return getattr(getattr(fault, "response", None), "text", None) or ""


SERVICE = Service("Cloud Storage", _is_transient, _is_damage, _plain, _refusal)
