"""Whole objects of S3, Azure and what speaks as they do, through obstore; the patience and the rules are all stores'.

What this keeps to, as stores differ in it:

- A list may come in the order of folders instead of bytes (SeaweedFS). So only the number of a trial is sent as the
  beginning of a list, where both orders agree, and what came is sorted here.
- An upload is one request, as only that is created once everywhere; the service checks its bytes by the signature.
- An ETag is compared where it is the MD5 of the content, which a key of the customer (SSE-KMS) makes it not.
"""

from __future__ import annotations

import functools
import hashlib
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore import exceptions as bad

from kfp_bayesopt.errors import BucketNotFoundError, NotFoundError, RetainedError, TooLargeError, UserError
from kfp_bayesopt.store.certificates import problem_with_certificate, root_certificates, trusting
from kfp_bayesopt.store.entry import Entry, check_size, is_listed
from kfp_bayesopt.store.names import no_bucket, object_at, problem_with_name, split
from kfp_bayesopt.store.objects import signed_list
from kfp_bayesopt.store.patience import DamagedError, NotAFaultError, Service, ask, short
from kfp_bayesopt.store.protocol import Source

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Store

T = TypeVar("T")

ONCE: RetryConfig = {"max_retries": 0, "retry_timeout": timedelta(seconds=60)}
"""obstore asks once: asking again is ours, which says so."""

UNKNOWN_NAME = "failed to lookup address"
"""Words where no machine has the name of an address; the bucket may be in it where it should be in the path."""
NEVER = 501
"""The status of what a service cannot do at all, such as create once."""
CHUNK = 100
"""How many entries of a list come at once; what came is not asked for again."""
LONGEST_UPLOAD = 5 << 30
"""The most bytes of one request."""

CODES = re.compile(r"<Code>(\w+)</Code>")
MESSAGES = re.compile(r"<Message>([^<]*)")
STATUS = re.compile(r"status code: (\d{3})")
PROVIDERS = re.compile(r"https?://169\.254\.\S+")
BEHIND = "Wanted range starting at"  # obstore's words where a service answers a range at the end with nothing
REASON = re.compile(r'(?:message|error): "([^"]+)"|(InvalidCertificate\(\w+|InvalidContentType|BadScheme|TimedOut)')
MD5 = re.compile(r'"?([0-9a-f]{32})"?')  # of an upload of several requests it ends with their number

RETAINED = {"BlobImmutableDueToPolicy", "ObjectLocked", "InvalidRetentionPeriod"}
NO_BUCKET = {"NoSuchBucket", "ContainerNotFound"}
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
"""Keys that were good until now: somebody or something may renew them."""
LASTING = ("InvalidCertificate", "No CA certificates", "InvalidContentType", "BadScheme", "builder error", "edirect")
"""Words of faults before an answer that no retry mends: certificates, http:// and https:// mixed up, another region."""
PASSING = {"RequestTimeout", "ConditionalRequestConflict", "OperationAborted", "SlowDown"}
"""Refusals that may be over at the next try, such as when another writer comes to its end."""


@dataclass(frozen=True)
class Account:
    """Where the buckets of a scheme are, as the settings say.

    Attributes:
        name: What answers, in messages.
        address: The URL of a bucket, by its name.
        open: Returns obstore's store of a bucket.
        ways_out: What mends a refusal, by its code.
        denied: What mends one of another code.
        no_keys: What is said where nothing gives keys.
        open_at: Returns one whose requests go to the address of a bucket with something at its end; None where lists
            cannot be signed so.
    """

    name: str
    address: Callable[[str], str]
    open: Callable[[str], ObjectStore]
    ways_out: dict[str, str]
    denied: str
    no_keys: str
    open_at: Callable[[str, str], S3Store] | None = None


class _IsThereError(NotAFaultError):
    """The object exists already."""


class _TooLargeError(NotAFaultError):
    """An object is larger than its limit."""


@dataclass
class Objects:
    """The objects of a scheme.

    Attributes:
        account: Reads the settings.
    """

    account: Callable[[], Account]
    _opened: dict[str, ObjectStore] = field(default_factory=dict)
    _settings: Account | None = None
    _etags_are_md5: dict[str, bool] = field(default_factory=dict)
    _clock: timedelta | None = None
    _written: tuple[str, float] | None = None
    _has_answered: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def forget(self) -> None:
        """Read the settings again at the next request, such as keys that were renewed."""
        with self._lock:
            self._opened.clear()
            self._settings = None

    def read(self, uri: str, limit: int, patience: float | None = None) -> bytes:
        """Return the content of an object; its MD5 is compared where the service has it."""
        bucket, name = self._at(uri)
        before: list[bytes] = []

        def request() -> bytes:
            found = obstore.get(self._store(bucket), name)
            size = found.meta["size"]
            if size > limit:
                raise _TooLargeError(size)
            _present(found.meta["e_tag"])
            content = bytes(found.bytes())
            if len(content) != size:
                raise DamagedError(f"{len(content):,} of {size:,} bytes came")
            self._compare(bucket, found.meta["e_tag"], content, before)
            self._note_time(uri, found.meta)
            return content

        try:
            return self._ask(uri, request, patience)
        except _TooLargeError as error:
            check_size(uri, error.args[0], limit)
            raise

    def read_range(self, uri: str, start: int, count: int) -> bytes:
        """Return part of an object; fewer bytes at its end."""
        bucket, name = self._at(uri)

        def request() -> bytes:
            try:
                return bytes(obstore.get_range(self._store(bucket), name, start=start, length=count))
            except bad.GenericError as error:
                if _status(error) == 416 or BEHIND in str(error):  # the object ends before
                    return b""
                raise

        part = self._ask(uri, request)
        if len(part) > count:
            raise UserError(f"{uri}: more than the {count:,} bytes came that were asked for")
        return part

    def stat(self, uri: str, patience: float | None = None) -> Entry:
        """Return the service's description of an object."""
        bucket, name = self._at(uri)

        def request() -> Entry:
            return self._entry(uri, obstore.head(self._store(bucket), name))

        return self._ask(uri, request, patience)

    def version(self, uri: str) -> None:
        """Return nothing: an object never changes in its middle."""

    def create(self, uri: str, content: bytes) -> bool:
        """Write an object, unless it exists; tell whether it was written."""
        try:
            self._upload(uri, content, "create")
        except _IsThereError:
            return False
        return True

    def create_from(self, uri: str, source: Source) -> bool:
        """Write a new object, and tell whether it did; all of it is in memory meanwhile, as one request sends it."""
        _check_upload(uri, source.found.size)
        return self.create(uri, b"".join(source.parts()))

    def replace(self, uri: str, content: bytes, lasting: bool = True) -> None:
        """Write a whole object."""
        self._upload(uri, content, "overwrite")

    def delete(self, uri: str, below: str | None = None) -> bool:
        """Delete an object, and tell whether it existed; S3 says so of a missing one too."""
        bucket, name = self._at(uri)
        try:
            self._ask(uri, lambda: obstore.delete(self._store(bucket), name))
        except BucketNotFoundError:
            raise
        except NotFoundError:
            return False
        return True

    def delete_folder(self, uri: str, below: str) -> None:
        """Delete all objects of a folder."""
        for entry in list(self.entries(f"{uri}/", "", None, True)):
            self.delete(entry.uri)

    def entries(self, prefix: str, after: str, depth: int | None, links: bool) -> Iterator[Entry]:
        """Yield the service's entries of objects whose URI begins with a prefix and comes after another."""
        bucket, name = split(prefix)
        begin = _beginning(prefix, after)
        found: dict[str, ObjectMeta] = {}

        def request() -> None:
            # A page that came is kept where a later one fails.
            start = next(reversed(found), begin)
            try:
                for page in obstore.list(self._store(bucket), name or None, offset=start, chunk_size=CHUNK):
                    found.update((each["path"], each) for each in page)
            except bad.InvalidPathError:
                found.update(signed_list.objects_below(self._open_at(bucket), name))
            if not all(each.startswith(name) for each in found):
                found.clear()
                raise DamagedError("names came that were not asked for")

        self._ask(prefix, request)
        beginning = prefix.removesuffix(name)
        for uri, meta in sorted((f"{beginning}{path}", meta) for path, meta in found.items()):
            if uri > after and is_listed(uri.removeprefix(prefix), depth):
                yield self._entry(uri, meta)

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the non-empty folders just below a prefix."""
        bucket, name = split(prefix)

        def request() -> Sequence[str]:
            try:
                return obstore.list_with_delimiter(self._store(bucket), name or None)["common_prefixes"]
            except bad.InvalidPathError:
                return signed_list.folders_below(self._open_at(bucket), name)

        names = {each.removeprefix(name).strip("/") for each in self._ask(prefix, request)}
        return sorted(each for each in names if each and not each.startswith("."))

    def date(self, root: str) -> datetime | None:
        """Return the time by the clock of the service.

        It follows from the time of an object that this process wrote and then saw in a list or read, which takes no
        request; without one, from the head of an answer to whoever asks.
        """
        if self._clock is None:
            self._clock = self._asked_for_time(split(f"{root}/")[0])
        return None if self._clock is None else datetime.fromtimestamp(time.monotonic(), UTC) + self._clock

    def _asked_for_time(self, bucket: str) -> timedelta | None:
        address = self._account().address(bucket)
        request = urllib.request.Request(address, method="HEAD")  # noqa: S310
        context = trusting() if address.startswith("https:") else None
        try:
            with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310
                said = answer.headers.get("Date")
        except urllib.error.HTTPError as error:
            said = error.headers.get("Date")
            error.close()
        except OSError:
            return None
        try:
            return _since(parsedate_to_datetime(said or ""))
        except ValueError:
            return None

    def _note_time(self, uri: str, meta: ObjectMeta) -> None:
        if self._written and self._written[0] == uri:
            self._clock = meta["last_modified"] - datetime.fromtimestamp(self._written[1], UTC)
            self._written = None

    def _upload(self, uri: str, content: bytes, mode: str) -> None:
        bucket, name = self._at(uri)
        _check_upload(uri, len(content))

        def request() -> None:
            began = time.monotonic()
            try:
                put = obstore.put(self._store(bucket), name, content, mode=mode, use_multipart=False)  # type: ignore[arg-type]
            except bad.AlreadyExistsError as error:
                if mode != "create" or _code(error) in PASSING:
                    raise
                raise _IsThereError from None
            if whole := MD5.fullmatch(_present(put["e_tag"])):
                self._etags_are_md5[bucket] = whole[1] == _md5(content)
            if mode == "create":  # what is replaced may be replaced by others, too
                self._written = uri, began

        try:
            self._ask(uri, request)
        except NotFoundError:
            raise no_bucket(uri) from None  # an object that is written need not exist

    def _compare(self, bucket: str, e_tag: str | None, content: bytes, before: list[bytes]) -> None:
        """Compare what came with its MD5, which is known of an upload of one request; every object has an ETag.

        An ETag of that form need not be one. If the same bytes come twice, this is such a bucket.
        """
        whole = MD5.fullmatch(_present(e_tag))
        if whole is None or self._etags_are_md5.get(bucket) is False:
            return
        if whole[1] == _md5(content):
            self._etags_are_md5[bucket] = True
        elif content in before:
            self._etags_are_md5[bucket] = False
        else:
            before[:] = [content]
            raise DamagedError(f"its MD5 is {whole[1]}, but {_md5(content)} came")

    def _entry(self, uri: str, meta: ObjectMeta) -> Entry:
        self._note_time(uri, meta)
        tag = _present(meta["e_tag"])
        whole = MD5.fullmatch(tag) if self._etags_are_md5.get(split(uri)[0]) else None
        at = meta["last_modified"].replace(microsecond=0)  # a list has more digits than the object's own head
        return Entry(uri, meta["size"], at, at, whole[1] if whole else None, tag.strip('"'))

    def _at(self, uri: str) -> tuple[str, str]:
        bucket, name = object_at(uri)
        if problem := problem_with_name(name):
            raise UserError(f"{uri!r}: {problem}; choose another name")
        return bucket, name

    def _account(self) -> Account:
        with self._lock:
            if self._settings is None:
                self._settings = self.account()
            return self._settings

    def _store(self, bucket: str) -> ObjectStore:
        account = self._account()
        with self._lock:
            if bucket not in self._opened:
                self._opened[bucket] = account.open(bucket)
            return self._opened[bucket]

    def _open_at(self, bucket: str) -> Callable[[str], S3Store]:
        """Return what opens an address of a bucket, at a name that obstore cannot list; else raise that again."""
        if (open_at := self._account().open_at) is None:
            raise
        return functools.partial(open_at, bucket)

    def _service(self) -> Service:
        return Service(self._account().name, self._is_transient, _is_damage, _plain, self._refusal, self._way_out)

    def _ask(self, uri: str, request: Callable[[], T], patience: float | None = None) -> T:
        def attempt() -> T:
            try:
                answer = request()
            except bad.BaseError as error:
                if _code(error) in EXPIRED:
                    self.forget()  # a file may have new ones
                raise
            self._has_answered = True
            return answer

        return ask(self._service(), uri, attempt, patience)

    def _is_transient(self, fault: BaseException) -> bool:
        """Tell whether a retry may help; keys that have expired before the first answer are a mistake."""
        return _is_transient(fault) or (self._has_answered and _code(fault) in EXPIRED)

    def _way_out(self, fault: Exception) -> str:
        default = (
            "check the address of the store and the network" if UNKNOWN_NAME in str(fault) else "check the network"
        )
        return self._account().ways_out.get(_code(fault), default)

    def _refusal(self, uri: str, fault: Exception) -> UserError | None:
        """Return the message for a fault that only a person can mend; None if it is not of the service."""
        if isinstance(fault, FileNotFoundError) or _code(fault) in NO_BUCKET:
            return self._missing(uri, fault)
        if isinstance(fault, bad.InvalidPathError):
            found = re.search(r'"([^"\n]*)"', str(fault))
            return UserError(
                f"{uri}: the name of an object there cannot be read, {found[1] if found else _plain(fault)}; delete or "
                "rename it, as names have no empty part and no '.' and '..'"
            )
        if _code(fault) in RETAINED:
            return RetainedError(
                f"{uri}: is kept by a policy of its bucket and cannot be replaced or deleted ({_plain(fault)}); lift "
                "that, or use another bucket"
            )
        return self._misuse(uri, fault) if isinstance(fault, bad.BaseError | ValueError) else None

    def _missing(self, uri: str, fault: Exception) -> UserError:
        """Return the message for what is not there: the object, the bucket, or the whole store."""
        if _code(fault) in NO_BUCKET or "container does not exist" in str(fault):
            return no_bucket(uri)
        if not _code(fault) and _body(fault):
            return UserError(
                f"{uri}: {self._account().name} answers, but not as such a store ({_plain(fault)}); check its address"
            )
        return NotFoundError(f"{uri}: no such object")

    def _misuse(self, uri: str, fault: Exception) -> UserError:
        """Return the message for a refusal, with the settings that mend it."""
        account, plain = self._account(), _plain(fault)
        if PROVIDERS.search(str(fault)):
            return UserError(f"{uri}: {account.no_keys} ({plain})")
        if problem := problem_with_certificate(str(fault)):
            return UserError(f"{uri}: {account.name}: {problem}")
        if "InvalidContentType" in str(fault):
            return UserError(f"{uri}: {account.name} does not speak https://; set its address with http://")
        if way_out := account.ways_out.get(_code(fault)):
            return UserError(f"{uri}: {account.name} refused the request ({plain}); {way_out}")
        if isinstance(fault, bad.UnauthenticatedError) or _status(fault) in (401, 403):
            return UserError(f"{uri}: permission denied ({plain}); {account.denied}")
        return UserError(
            f"{uri}: {account.name} refused the request ({plain}); check the URI, the bucket and the settings of the "
            "store"
        )


def _check_upload(uri: str, size: int) -> None:
    if size > LONGEST_UPLOAD:
        raise TooLargeError(
            f"{uri}: has {size:,} bytes, but an object is written with one request of at most {LONGEST_UPLOAD:,}; make "
            "the file smaller"
        )


def client_options(address: str) -> ClientConfig:
    """Return the settings of obstore's client for an address, with the certificates that it trusts."""
    options: ClientConfig = {
        "connect_timeout": "10s",
        "timeout": "5 minutes",
        "read_timeout": "60s",
        "allow_http": address.startswith("http://"),
    }
    if not options["allow_http"] and (trusted := root_certificates()):
        options["root_certificate"] = trusted
    return options


def answers(address: str, method: str, **headers: str) -> bool:
    """Tell whether anything answers at an address soon, such as the metadata of a machine, without a proxy."""
    request = urllib.request.Request(address, method=method, headers=headers)  # noqa: S310 - http:// alone
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=2).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


def endpoint_of(text: str) -> str:
    """Return the address of a store that a person gave, without a slash at its end.

    Raises:
        UserError: It is none.
    """
    if not re.fullmatch(r"https?://[^/\s?#@]+(/[^\s?#]*)?", text):
        raise UserError(f"{text}: is no address of a store; give http://HOST:PORT or https://HOST")
    return text.rstrip("/")


def _beginning(prefix: str, after: str) -> str | None:
    """Return the name that a list may begin after: the number before the one that is asked for, where it is one."""
    first = after.removeprefix(prefix).partition("/")[0]
    if not first.isdecimal() or not first.isascii() or not int(first):
        return None
    return f"{split(prefix)[1]}{int(first) - 1:0{len(first)}d}"


def _present(e_tag: str | None) -> str:
    """Return the ETag of an answer; one without, such as the page of a proxy, is not from the store."""
    if e_tag is None:
        raise DamagedError("an answer came that is not from the store, as it has no ETag")
    return e_tag


def _since(at: datetime) -> timedelta:
    return at.replace(tzinfo=at.tzinfo or UTC) - datetime.fromtimestamp(time.monotonic(), UTC)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _is_transient(fault: BaseException) -> bool:
    """Tell whether a retry may help."""
    if _is_damage(fault) or _is_network(fault):
        return True
    status = _status(fault) or 0
    code = _code(fault)
    return isinstance(fault, bad.BaseError) and (
        code in PASSING
        or (status in (408, 409, 425, 429) and code not in RETAINED)
        or (status >= 500 and status != NEVER)
    )


def _is_network(fault: BaseException) -> bool:
    """Tell whether no whole answer came, but for reasons that stay."""
    text = str(fault)
    if PROVIDERS.search(text) or any(each in text for each in LASTING):
        return False
    return isinstance(fault, TimeoutError | ConnectionError) or (
        isinstance(fault, bad.GenericError) and _status(fault) is None and "HTTP error" in text
    )


def _is_damage(fault: BaseException) -> bool:
    """Tell whether something changed the data on its way: other bytes, or an answer that is not the service's."""
    if isinstance(fault, DamagedError):
        return True
    text = str(fault)
    lasting = PROVIDERS.search(text) or any(each in text for each in (*LASTING, "HTTP error", *NO_BUCKET))
    return isinstance(fault, bad.GenericError) and _status(fault) is None and not lasting


def _status(fault: BaseException) -> int | None:
    found = STATUS.search(str(fault))
    return int(found[1]) if found else None


def _code(fault: BaseException) -> str:
    found = CODES.search(str(fault))
    return found[1] if found else ""


def _body(fault: BaseException) -> str:
    """Return the body of an answer that was a refusal."""
    said = str(fault).partition("\n\nDebug source:")[0].partition("status code: ")[2]
    return said.partition(": ")[2].strip()


def _plain(fault: BaseException) -> str:
    """Return the cause of a fault in one line, without what obstore says of itself."""
    text = str(fault)
    if code := _code(fault):
        words = MESSAGES.search(text)
        return short(f"{_status(fault)}: {code}, {words[1]}" if words else code)
    said = text.partition("\n\nDebug source:")[0]
    if status := _status(fault):
        return short(f"{status}: {said.partition('status code: ')[2].partition(' ')[2]}")
    reason = REASON.search(text)
    return short((reason[1] or reason[2]) if reason else said) or type(fault).__name__
