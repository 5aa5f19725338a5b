"""The source of a copy: a file or object that is read part by part, and must not change meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace as replaced
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
