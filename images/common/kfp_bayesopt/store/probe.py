"""The probe of a store: what a study relies on is tried before a study is trusted to it.

A store that breaks a promise says nothing: two workers evaluate one trial, or a record is missing from a list. So each
promise is tried, below a name that begins with a dot and is deleted again. The short form is for every submission and
every job, which a first one pays for; the whole is for people.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path
from typing import Literal, TypeVar

from kfp_bayesopt.errors import BucketNotFoundError, NotFoundError, RetainedError, UserError
from kfp_bayesopt.store import local
from kfp_bayesopt.store.clock import MOST
from kfp_bayesopt.store.entry import Entry
from kfp_bayesopt.store.protocol import Source, Store
from kfp_bayesopt.store.stores import is_local, store_of

Verdict = Literal["right", "noted", "refused"]
"""Right: as studies need it. Noted: studies work, with the limit that is said. Refused: studies would lose data."""

FORM = 1
"""The version of the short form; a root that passed an earlier one is probed again."""
PASSED = ".bayesopt-probed.json"
"""The object of a root whose store has passed the short form. Names that begin with a dot are nobody's."""
FIRST_PATIENCE = 20.0
"""The seconds for which the first request is repeated: a wrong address is said soon."""
LARGE = (20 << 20) + 1
MANY = 1010
"""More entries than one answer of any service holds."""
THREADS = 10

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        check: Its name.
        found: What a person reads.
        verdict: What that means for studies.
    """

    check: str
    found: str
    verdict: Verdict


@dataclass(frozen=True)
class Probed:
    """What the checks have found at a root.

    Attributes:
        root: The root.
        findings: One of each check, in the order of the list.
    """

    root: str
    findings: list[Finding]

    @property
    def problem(self) -> str | None:
        """Why no study is trusted to the store; None if it is."""
        broken = [each for each in self.findings if each.verdict == "refused"]
        if not broken:
            return None
        said = "; ".join(f"{each.check}: {each.found}" for each in broken)
        return (
            f"{self.root}: its store does not keep what studies rely on, and would lose trials ({said}); update the "
            "store, or choose another one (docs/stores.md)"
        )


class _Ground:
    """Where a store is tried: a new prefix below a root.

    Attributes:
        store: The store.
        root: The root.
        prefix: The prefix, with a slash at its end.
        is_short: Whether few requests are to be made.
    """

    def __init__(self, store: Store, root: str, is_short: bool) -> None:
        self.store = store
        self.root = root
        self.prefix = f"{root}/.bayesopt-probe-{secrets.token_hex(4)}/"
        self.is_short = is_short
        self.written: set[str] = set()

    def uri(self, name: str) -> str:
        """Return the URI of a name that is about to be written."""
        uri = f"{self.prefix}{name}"
        self.written.add(uri)
        return uri

    def names(self, below: str, after: str = "") -> list[str]:
        """Return the names that the store lists below a folder of the prefix, after one of them."""
        prefix = f"{self.prefix}{below}/"
        found = self.store.entries(prefix, f"{prefix}{after}" if after else "", None, True)
        return [entry.uri.removeprefix(prefix) for entry in found]

    def write(self, below: str, names: Sequence[str]) -> None:
        """Write objects into a folder of the prefix, several at once."""
        uris = [self.uri(f"{below}/{name}") for name in names]
        _at_once(lambda uri: self.store.create(uri, uri.encode()), uris)

    def clean(self) -> str | None:
        """Delete what was written; return why something is left, if so."""
        try:
            if is_local(self.root):
                self.store.delete_folder(self.prefix.rstrip("/"), self.root)
            else:
                _at_once(lambda uri: self.store.delete(uri), sorted(self.written))
        except UserError as error:
            return error.message
        return None


Outcome = tuple[Verdict, str]


def _creators(ground: _Ground) -> Outcome:
    """Let several create one name at the same moment: a claim is such a name, and each winner evaluates the trial."""
    rounds, many = (3, 8) if ground.is_short else (10, THREADS)
    for number in range(1, rounds + 1):
        uri = ground.uri(f"creators/{number}")
        contents = [f"creator {each} of {many}".encode() for each in range(many)]
        together = threading.Barrier(many)

        def create(content: bytes, uri: str = uri, together: threading.Barrier = together) -> bool:
            together.wait(60)
            return ground.store.create(uri, content)

        won = _at_once(create, contents)
        kept = ground.store.read(uri, 1000)
        if sum(won) > 1:
            return "refused", f"{sum(won)} of {many} that created one name at once were told that they had"
        # None is told so where the answer to the one that did was lost.
        if kept not in [content for content, has_won in zip(contents, won, strict=True) if has_won or not any(won)]:
            return "refused", f"{many} created one name at once, and another than the winner's content is there"
    return "right", f"{rounds} rounds of {many}: one each"


def _existing(ground: _Ground) -> Outcome:
    uri = ground.uri("existing")
    ground.store.create(uri, b"first")
    if ground.store.create(uri, b"other") or ground.store.read(uri, 100) != b"first":
        return "refused", "an object that was there was replaced by one that was to be new"
    ground.store.create(uri, b"first")
    if ground.store.read(uri, 100) != b"first":
        return "refused", "an object was lost when it was created again"
    return "right", "what is there stays"


def _listed(ground: _Ground) -> Outcome:
    """List at once after each write: a claim that is not listed is claimed again, a record evaluated again."""
    written: list[str] = []
    for number in range(1, (3 if ground.is_short else 12) + 1):
        written.append(f"{number:06d}/claim-1.json")
        ground.write("listed", written[-1:])
        found = ground.names("listed")
        if missing := [name for name in written if name not in found]:
            return "refused", f"a list lacked {len(missing)} of {len(written)} objects that had been written before it"
        if found != written:
            return "refused", f"a list had {len(found)} names where {len(written)} had been written"
    return "right", f"{len(written)} lists, each right after a write"


_TREE = sorted(
    [
        *("000001/claim-1.json", "000001/output-1.json", "000001/output-1/a", "000001/record-1.json"),
        *("000002/claim-1.json", "000002/output-1.json", "000002/output-1/a-b/c", "000002/output-1/a/c"),
        *("000002/output-1/a.b", "000002/suggestion.json", "000003/claim-1.json", "000010/claim-1.json"),
        *("1000000/claim-1.json", "ledger-00001000.jsonl"),
    ],
    key=str.encode,
)
"""Names as those of a study folder: orders by bytes and by folders differ at '-', '.' and '/'."""


def _listed_after(ground: _Ground) -> Outcome:
    """List after a name, as each look of a worker does."""
    ground.write("tree", _TREE)
    found = ground.names("tree")
    if found != _TREE:
        return "refused", _differing(found, _TREE)
    afters = ["000001/~", "000002/~"] if ground.is_short else [*_TREE, "000001/~", "000002/~", "000002/output-1/a/~"]
    for after in afters:
        found = ground.names("tree", after)
        expected = [name for name in _TREE if name.encode() > after.encode()]
        if found != expected:
            return "refused", f"after {after}: {_differing(found, expected)}"
    return "right", f"{len(_TREE)} names in the order of their bytes, and after {len(afters)} of them"


def _differing(found: list[str], expected: list[str]) -> str:
    missing = [name for name in expected if name not in found]
    if missing:
        return f"a list lacked {len(missing)} of {len(expected)} names, such as {missing[0]}"
    if sorted(found, key=str.encode) == expected:
        return "a list is not in the order of bytes"
    return f"a list had {len(found)} names instead of {len(expected)}"


def _many(ground: _Ground) -> Outcome:
    names = [f"{number:06d}/claim-1.json" for number in range(1, MANY + 1)]
    ground.write("many", names)
    for after in ("", "000500/~", "001000/~"):
        found = ground.names("many", after)
        expected = [name for name in names if name > after]
        if found != expected:
            return "refused", f"after {after or 'nothing'}: {_differing(found, expected)}"
    return "right", f"{MANY:,} objects in one list"


def _read(ground: _Ground) -> Outcome:
    content = bytes(range(256)) * 4
    uri = ground.uri("read/file")
    ground.store.create(uri, content)
    if ground.store.read(uri, len(content)) != content:
        return "refused", "other bytes came than were written"
    if ground.store.stat(uri).size != len(content):
        return "refused", f"an object of {len(content):,} bytes is said to have {ground.store.stat(uri).size:,}"
    with contextlib.suppress(NotFoundError):
        ground.store.read(f"{ground.prefix}read/none", 10)
        return "refused", "an object that was never written was read"
    return "right", "what was written, at once; what is missing is said to be"


def _ranges(ground: _Ground) -> Outcome:
    uri = ground.uri("range/file")
    ground.store.create(uri, b"0123456789")
    for start, count, part in ((0, 3, b"012"), (3, 2, b"34"), (8, 5, b"89"), (10, 5, b""), (50, 5, b"")):
        if (found := ground.store.read_range(uri, start, count)) != part:
            return "refused", f"bytes {start} to {start + count - 1} of 10 are {found!r}"
    return "right", "from the start, in the middle, over the end, and nothing behind it"


def _replaced(ground: _Ground) -> Outcome:
    uri = ground.uri("replaced/file")
    for content in (b"one", b"another"):
        try:
            ground.store.replace(uri, content)
        except RetainedError:
            return "noted", "the bucket keeps what is there: results and signs of life are not written again"
        if ground.store.read(uri, 100) != content:
            return "refused", "the old content came after it was replaced"
    return "right", "the new content, at once"


def _deleted(ground: _Ground) -> Outcome:
    uri = ground.uri("deleted/file")
    ground.store.create(uri, b"content")
    try:
        if not ground.store.delete(uri):
            return "noted", "an object that was deleted is said to have been missing"
    except RetainedError:
        return "noted", "the bucket keeps what is there: nothing can be deleted"
    if ground.names("deleted"):
        return "refused", "a list has an object that was deleted before it"
    with contextlib.suppress(NotFoundError):
        ground.store.read(uri, 100)
        return "refused", "an object was read that was deleted before"
    if ground.store.delete(uri):
        return "noted", "an object that was missing is said to have been deleted"
    return "right", "it is gone, at once; deleting it again is no fault"


class _Made:
    """A source of a copy that is made up."""

    def __init__(self, seed: int) -> None:
        self._content = random.Random(seed).randbytes(LARGE)  # noqa: S311 - no secret
        self.md5 = md5(self._content, usedforsecurity=False).hexdigest()

    def stat(self, uri: str, patience: float | None = None) -> Entry:
        now = datetime.now(UTC)
        return Entry(uri, LARGE, now, now, self.md5)

    def read_range(self, uri: str, start: int, count: int) -> bytes:
        return self._content[start : start + count]

    def version(self, uri: str) -> None:
        return None


def _large(ground: _Ground) -> Outcome:
    uri, made = ground.uri("large/model"), _Made(1)
    if not ground.store.create_from(uri, Source(made, "made up", lambda: False)):
        return "refused", "an object that is large could not be written"
    found = ground.store.stat(uri)
    whole = found.size == LARGE and Source(ground.store, uri, lambda: False).digest().md5 == made.md5
    if not whole or ground.store.read_range(uri, LARGE - 9, 100) != made.read_range("", LARGE - 9, 100):
        return "refused", "an object of 20 MB came back with other bytes"
    if ground.store.create_from(uri, Source(_Made(2), "made up", lambda: False)):
        return "noted", "20 MB are right; one that is there is replaced by another one, unlike one up to 8 MB"
    return "right", "20 MB, created once"


def _times(ground: _Ground) -> Outcome:
    """Compare the clocks of store and machine; leases are measured by that of the store alone."""
    entries = []
    for number in range(2):
        uri = ground.uri(f"time/{number}")
        ground.store.create(uri, b"")
        entries.append(ground.store.stat(uri))
    here = datetime.now(UTC)
    listed = next(ground.store.entries(f"{ground.prefix}time/", "", None, True), None)
    date = ground.store.date(ground.root)
    fine = "" if any(each.updated.microsecond for each in entries) else ", in whole seconds"
    if listed is None:
        return "refused", "a list lacked what had been written before it"
    if abs(listed.updated - entries[0].updated).total_seconds() >= 1:
        return "refused", "a list gives other times than the objects themselves"
    if entries[1].updated < entries[0].updated:
        return "noted", f"an object is older than one that was written before it{fine}"
    apart = (date or entries[1].updated) - here
    if abs(apart) > MOST:
        where = "ahead of" if apart.total_seconds() > 0 else "behind"
        size = str(abs(apart)).partition(".")[0]
        return "noted", f"it is {size} {where} this machine's: set the one that is wrong; ages go by the store's"
    return "right", f"{abs(apart).total_seconds():.0f} s from this machine's{fine}"


def _checksums(ground: _Ground) -> Outcome:
    uri = ground.uri("checksum/file")
    ground.store.create(uri, b"content")
    entry = next(ground.store.entries(f"{ground.prefix}checksum/", "", None, True), None)
    if entry is None or entry.md5 is None:
        return "noted", "lists have none: a claim is not compared with its token, and create-once is relied on"
    if entry.md5 != md5(b"content", usedforsecurity=False).hexdigest():
        return "noted", "what lists give is no MD5 of the content, as with keys of one's own"
    return "right", "lists have the MD5 of each object"


@dataclass(frozen=True)
class Check:
    """A promise of stores.

    Attributes:
        name: Its name.
        run: Tries it, and returns the verdict and what was found.
        is_short: Whether it is part of the short form.
    """

    name: str
    run: Callable[[_Ground], Outcome]
    is_short: bool = False


CHECKS = (
    Check("creators of one name at once", _creators, is_short=True),
    Check("create what is there", _existing, is_short=True),
    Check("list after write", _listed, is_short=True),
    Check("list after a name", _listed_after, is_short=True),
    Check("long list", _many),
    Check("read", _read),
    Check("part of an object", _ranges),
    Check("replace", _replaced, is_short=True),
    Check("delete", _deleted),
    Check("large object", _large),
    Check("clock", _times),
    Check("checksums", _checksums),
)
"""All that is tried, in the order of the table; nothing else names them."""


def probe(root: str, store: Store | None = None, *, short: bool = False) -> Probed:
    """Try what studies rely on, below a root.

    Args:
        root: A study folder, or a folder of several.
        store: Its store, by default by its URI.
        short: Whether only what loses data is tried, with few requests.

    Raises:
        NotFoundError: The bucket does not exist.
        UnavailableError: The store does not answer.
        UserError: It refuses to read, to write or to list.
    """
    root = root.rstrip("/") or "/"
    ground = _Ground(store or store_of(root), root, short)
    _passed(ground.store, root)  # it has little patience: a wrong address is said soon
    with _without_new_folders(root):
        try:
            findings = [
                Finding(check.name, found, verdict)
                for check in CHECKS
                if check.is_short or not short
                for verdict, found in [_tried(check, ground)]
            ]
        finally:
            left = ground.clean()
    if left is not None:
        findings.append(Finding("clean-up", f"what was written for this is left ({left})", "noted"))
    return Probed(root, findings)


def _tried(check: Check, ground: _Ground) -> Outcome:
    try:
        return check.run(ground)
    except BucketNotFoundError:
        raise
    except NotFoundError:
        return "refused", "an object was missing that had just been written"


def trust(root: str) -> None:
    """Refuse a root whose store loses data, by the short form; in a bucket a root that has passed is not tried again.

    Raises:
        NotFoundError: The bucket does not exist.
        UnavailableError: The store does not answer.
        UserError: The store may not be trusted, or refuses to read, to write or to list.
    """
    store, is_bucket = store_of(root), not is_local(root)
    # A disk answers in no time, and another folder of it may be another volume.
    if is_bucket and _passed(store, root) == FORM:
        return
    probed = probe(root, store, short=True)
    if probed.problem is not None:
        raise UserError(probed.problem)
    if is_bucket:
        said = {"form": FORM, "findings": [asdict(each) for each in probed.findings]}
        with contextlib.suppress(RetainedError):
            store.replace(f"{root}/{PASSED}", json.dumps(said).encode() + b"\n")


def _passed(store: Store, root: str) -> object:
    """Return the short form that a root has passed; None if it has passed none."""
    try:
        found = json.loads(store.read(f"{root}/{PASSED}", 100_000, FIRST_PATIENCE))
    except BucketNotFoundError:
        raise
    except (NotFoundError, ValueError):
        return None
    return found.get("form") if isinstance(found, dict) else None


@contextlib.contextmanager
def _without_new_folders(root: str) -> Iterator[None]:
    """Remove the folders of a disk again that the block makes for a root, if nothing else is in them."""
    path = Path(root)
    missing = list(itertools.takewhile(lambda each: not os.path.lexists(each), (path, *path.parents)))
    try:
        yield
    finally:
        if is_local(root):
            local.remove_empty(missing[::-1])


def _at_once(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, items))
