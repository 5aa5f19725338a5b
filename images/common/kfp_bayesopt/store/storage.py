"""Reads, creates, replaces and lists whole objects, in a bucket of any store or at a local path.

Primary files are created once and never change; derived ones are replaced. Either write is all or nothing: a reader
sees nothing, the old content or the new one, never a part. Names that begin with a dot are ignored: a killed writer may
leave one. Faults of storage are retried or become one message; see docs/reliability.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from kfp_bayesopt.errors import ExistsError, NotFoundError, TooLargeError, UnavailableError
from kfp_bayesopt.store import local
from kfp_bayesopt.store.entry import Entry
from kfp_bayesopt.store.protocol import ChangedError, Source
from kfp_bayesopt.store.stores import given, is_local, meant, store_of

__all__ = [
    "Entry",
    "copy",
    "create",
    "create_in",
    "date",
    "delete",
    "delete_folder",
    "digest",
    "entries",
    "folders",
    "given",
    "is_local",
    "meant",
    "read",
    "read_range",
    "replace",
    "stat",
]

MOST_TRIES = 3


def read(uri: str, limit: int, *, patience: float | None = None) -> bytes:
    """Return the whole content of a file or object.

    Args:
        uri: The file or object.
        limit: Its largest size in bytes. No more than that is ever held in memory.
        patience: The seconds for which a store is asked again while it does not answer; by default long enough
            for an outage of ten minutes.

    Raises:
        NotFoundError: The file, the object or its bucket does not exist.
        TooLargeError: It is larger than the limit.
        UnavailableError: The store does not answer, or damages what it sends.
        UserError: It is no plain file, or storage refuses it.
    """
    return store_of(uri).read(uri, limit, patience)


def read_range(uri: str, start: int, count: int) -> bytes:
    """Return bytes of a file or object from a position on; fewer at the end of the file, none past it.

    Raises:
        NotFoundError: The file, the object or its bucket does not exist.
        UnavailableError: The store does not answer, or damages what it sends.
        UserError: It is no plain file, or storage refuses it.
    """
    assert start >= 0
    assert count > 0
    return store_of(uri).read_range(uri, start, count)


def stat(uri: str, *, patience: float | None = None) -> Entry:
    """Return the storage's description of a file or object, without reading it.

    Raises:
        NotFoundError: The file, the object or its bucket does not exist.
        UnavailableError: The store does not answer, or damages what it sends.
        UserError: It is no plain file, or storage refuses it.
    """
    return store_of(uri).stat(uri, patience)


def create(uri: str, content: bytes) -> None:
    """Write a new file or object; missing local folders are made.

    Of several writers at once exactly one writes. Existing equal content is accepted: an earlier attempt may have
    written it, but its answer was lost.

    Raises:
        ExistsError: It exists with different content, which stays.
        NotFoundError: The bucket does not exist.
        UnavailableError: The store does not answer, or sends damaged data.
        UserError: Storage refuses it, has no space or no way to create once.
    """
    if not store_of(uri).create(uri, content):
        _check_same(uri, content)


def create_in(room: Path, uri: str, content: bytes) -> None:
    """Write a new file by renaming a spare one that reserves space for it.

    So neither the content nor the name needs space that the disk may lack. If the spare file was deleted, the new one
    is written like any file.

    Raises:
        ExistsError: As of `create`.
        UserError: As of `create`.
    """
    if not local.create_in(room, uri, content):
        _check_same(uri, content)


def copy(source: str, target: str, is_over: Callable[[], bool] = lambda: False) -> Entry:
    """Create a file or object with the content of another one, part by part; a file appears whole or not at all.

    Args:
        source: The file or object to read.
        target: The file or object to create. Existing equal content is accepted.
        is_over: Called before each part; true stops the copy.

    Returns:
        The description of the source, with its MD5.

    Raises:
        ChangedError: Something writes to the source.
        ExistsError: The target exists with different content, which stays.
        NotFoundError: The source is missing, or the bucket.
        UnavailableError: The store does not answer, or damages what it sends.
        UserError: Storage refuses it, or has no space.
    """

    def copied() -> Entry:
        read_from = Source(store_of(source), source, is_over)
        created = store_of(target).create_from(target, read_from)
        if not created and not _is_copy(target, read_from.digest()):
            raise _is_there(target)
        return read_from.found

    return _tried_again(copied)


def digest(uri: str, is_over: Callable[[], bool] = lambda: False) -> Entry:
    """Return the description of a file or object with the MD5 of its content; a bucket knows it without reading.

    Args:
        uri: The file or object.
        is_over: As in `copy`.

    Raises:
        ChangedError: Something writes to it.
        NotFoundError: The file, the object or its bucket does not exist.
        UnavailableError: The store does not answer, or damages what it sends.
        UserError: It is no plain file, or storage refuses it.
    """
    return _tried_again(lambda: Source(store_of(uri), uri, is_over).digest())


def replace(uri: str, content: bytes, *, lasting: bool = True) -> None:
    """Write a whole file or object, replacing an existing one; missing local folders are made.

    Only for derived files: those that others rely on are created.

    Args:
        uri: The file or object.
        content: Its content.
        lasting: Whether it must survive a power cut on a disk; a file that is written every moment need not.

    Raises:
        NotFoundError: The bucket does not exist.
        RetainedError: The bucket keeps what is there.
        UnavailableError: The store does not answer, or damages what it sends.
        UserError: Storage refuses it or has no space.
    """
    store_of(uri).replace(uri, content, lasting)


def delete(uri: str, below: str | None = None) -> bool:
    """Delete a file or object, and tell whether it existed. Only for derived files.

    S3 does not tell: there a missing one counts as deleted. No link is followed: a link is deleted itself, also one in
    the path.

    Args:
        uri: The file or object.
        below: A folder above it, below which no link is followed; by default its own folder.

    Raises:
        NotFoundError: The bucket does not exist.
        RetainedError: The bucket keeps it.
        UnavailableError: The store does not answer, or damages what it sends.
        UserError: It is no plain file, or storage refuses it.
    """
    return store_of(uri).delete(uri, below)


def delete_folder(uri: str, below: str) -> None:
    """Delete a folder with all its files or objects; no link is followed, as in `delete`.

    Raises:
        NotFoundError: The bucket does not exist.
        RetainedError: The bucket keeps one.
        UnavailableError: The store does not answer, or damages what it sends.
        UserError: Storage refuses it.
    """
    store_of(uri).delete_folder(uri, below)


def entries(prefix: str, after: str = "", *, depth: int | None = None, links: bool = True) -> Iterator[Entry]:
    """Yield all files or objects whose URI begins with a prefix, in the byte order of their names.

    Args:
        prefix: The beginning of their URIs, up to a slash. A folder that does not exist has none.
        after: A URI below the prefix; only those after it are yielded, and those before it cost nearly nothing.
        depth: The most folders between the prefix and a file; by default any number. Deeper ones on a disk are not
            read.
        links: Whether links are followed, as a study folder may be on another disk; otherwise they are left out.

    Raises:
        NotFoundError: The bucket does not exist.
        UnavailableError: The store does not answer, or damages what it sends.
        UserError: Storage refuses it.
    """
    assert prefix.endswith("/")
    assert not after or after.startswith(prefix)
    return store_of(prefix).entries(prefix, after, depth, links)


def folders(prefix: str) -> list[str]:
    """Return the sorted names of the non-empty folders below a prefix, which ends with a slash.

    Raises:
        NotFoundError: The bucket does not exist.
        UnavailableError: The store does not answer, or damages what it sends.
        UserError: Storage refuses it.
    """
    assert prefix.endswith("/")
    return store_of(prefix).folders(prefix)


def date(root: str) -> datetime | None:
    """Return the time by the clock of a folder's storage; None if that is unknown.

    A bucket gives it with each answer. A disk gives it with a new unnamed file: on a network the clock is another
    machine's. For a folder that cannot be written it is unknown.
    """
    return store_of(root).date(root)


def _tried_again(function: Callable[[], Entry]) -> Entry:
    """Call a function a few times, until its source does not change."""
    for _ in range(MOST_TRIES - 1):
        with contextlib.suppress(ChangedError):
            return function()
    return function()


def _is_copy(uri: str, of: Entry) -> bool:
    there = stat(uri)
    return there.size == of.size and digest(uri).md5 == of.md5


def _check_same(uri: str, content: bytes) -> None:
    try:
        if read(uri, len(content)) == content:
            return
    except TooLargeError:
        pass
    except NotFoundError:
        raise UnavailableError(
            f"{uri}: something else created and deleted it just now; run the same command again"
        ) from None
    raise _is_there(uri)


def _is_there(uri: str) -> ExistsError:
    return ExistsError(
        f"{uri}: already exists with different content and cannot be overwritten; check what else writes there, or "
        "choose another folder"
    )
