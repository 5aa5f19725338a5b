"""What every store does, with the errors that all of them raise, and the source of a copy between two.

`tests/kfp_bayesopt/store/test_stores.py` holds it.

All raise `NotFoundError` for a file, object or bucket that does not exist, `UnavailableError` for a store that does not
answer or damages what it sends, and `UserError` for a file that is none, a refusal, and a disk that is full.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace as replaced
from datetime import datetime
from typing import Protocol

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.store.entry import PART, Entry


class Readable(Protocol):
    """A store, as far as a copy reads it."""

    def stat(self, uri: str, patience: float | None = None) -> Entry:
        """Return the description of a file or object, without reading it."""

    def read_range(self, uri: str, start: int, count: int) -> bytes:
        """Return bytes of a file or object from a position on; fewer at its end, none past it."""

    def version(self, uri: str) -> object:
        """Return what changes with the content of a file; None for objects, which never change in their middle."""


class ChangedError(UserError):
    """The source is written while it is read."""


class Source:
    """A file or object that is copied part by part, and that must not change meanwhile.

    Attributes:
        found: Its storage's description.
    """

    def __init__(self, store: Readable, uri: str, is_over: Callable[[], bool]) -> None:
        """Read its description.

        Raises:
            UserError: It is missing, or not a plain file.
        """
        self._store = store
        self._is_over = is_over
        self.found = store.stat(uri)
        self._version = store.version(uri)

    def parts(self) -> Iterator[bytes]:
        """Yield its content, which has the MD5 of its description; without one, it is added."""
        md5 = hashlib.md5(usedforsecurity=False)
        for start in range(0, self.found.size, PART):
            part = self.part(start)
            md5.update(part)
            yield part
        self._check_same()
        if self.found.md5 not in (None, md5.hexdigest()):
            raise ChangedError(f"{self.found.uri}: its MD5 is {self.found.md5}, but {md5.hexdigest()} came")
        self.found = replaced(self.found, md5=md5.hexdigest())

    def part(self, start: int) -> bytes:
        """Return bytes from a position on.

        Raises:
            ChangedError: Something writes to it.
        """
        if self._is_over():
            raise UserError(f"{self.found.uri}: was not read whole: told to stop")
        wanted = min(PART, self.found.size - start)
        part = self._store.read_range(self.found.uri, start, wanted)
        if len(part) != wanted:
            raise self._changed()
        self._check_same()
        return part

    def digest(self) -> Entry:
        """Return its description with its MD5, for which a file is read once."""
        if self.found.md5 is None:
            for _ in self.parts():
                pass
        return self.found

    def _check_same(self) -> None:
        if self._store.version(self.found.uri) != self._version:
            raise self._changed()

    def _changed(self) -> ChangedError:
        return ChangedError(f"{self.found.uri}: changes while it is read; end what writes to it, then copy it again")


class Store(Readable, Protocol):
    """A place of files or objects, as a module or an object with these functions.

    Each operation is whole or not at all, and tries again what may be over at the next try.
    """

    def read(self, uri: str, limit: int, patience: float | None = None) -> bytes:
        """Return the whole content of a file or object; `TooLargeError` beyond the limit, of which no more is held."""

    def create(self, uri: str, content: bytes) -> bool:
        """Write a new file or object, and tell whether it did; of several writers at once exactly one does.

        False may also mean that an earlier attempt wrote it, whose answer was lost.
        """

    def create_from(self, uri: str, source: Source) -> bool:
        """Write a new file or object part by part, and tell whether it did; the source has its MD5 then."""

    def replace(self, uri: str, content: bytes, lasting: bool = True) -> None:
        """Write a whole file or object; `lasting` asks a disk to keep it over a power cut."""

    def delete(self, uri: str, below: str | None = None) -> bool:
        """Delete a file or object, and tell whether it existed; S3 does not tell, and says so of a missing one too.

        Below that folder no link is followed.
        """

    def delete_folder(self, uri: str, below: str) -> None:
        """Delete a folder with all in it; a missing one has nothing."""

    def entries(self, prefix: str, after: str, depth: int | None, links: bool) -> Iterator[Entry]:
        """Yield what is below a prefix and after a URI, in the byte order of the names; see `storage.entries`."""

    def folders(self, prefix: str) -> list[str]:
        """Return the sorted names of the non-empty folders below a prefix."""

    def date(self, root: str) -> datetime | None:
        """Return the time by the clock of the store; None if that is unknown."""
