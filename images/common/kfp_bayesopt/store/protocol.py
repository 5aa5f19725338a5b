"""What every store does, with the errors that all of them raise; `tests/kfp_bayesopt/store/test_stores.py` holds it.

All raise `NotFoundError` for a file, object or bucket that does not exist, `UnavailableError` for a store that does not
answer or damages what it sends, and `UserError` for a file that is none, a refusal, and a disk that is full.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from kfp_bayesopt.store.entry import Entry
from kfp_bayesopt.store.source import Readable, Source


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
