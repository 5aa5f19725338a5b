"""A file or object, as its store describes it, and what all stores keep to: sizes, and the names that count."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kfp_bayesopt.errors import TooLargeError

PART = 8 << 20
"""The number of bytes of a copy in memory at once; uploads of several requests need a multiple of 256 KiB."""


@dataclass(frozen=True)
class Entry:
    """A file or object, as its storage describes it.

    Attributes:
        uri: Its URI.
        size: Its size in bytes.
        created: The time of this content, by the clock of the storage.
        updated: The time of its last change, by the same clock. A disk has only this time, which then stands for both.
        md5: MD5 of the content, in hexadecimal digits, if the storage knows it without reading.
        tag: What a list of the storage says of the content: its MD5 or ETag, else when it was written. A disk says
            nothing of it.
    """

    uri: str
    size: int
    created: datetime
    updated: datetime
    md5: str | None = None
    tag: str | None = None


def check_size(uri: str, held: int, limit: int) -> None:
    """Refuse a file beyond its size limit."""
    if held > limit:
        raise TooLargeError(
            f"{uri}: has {held:,} bytes, but at most {limit:,} are read; check that it is the right file"
        )


def is_listed(name: str, depth: int | None) -> bool:
    """Tell whether an object is one of ours, by its name below a prefix, and not too deep.

    Names that begin with a dot are nobody's, and one that ends with a slash is a folder that a console has made.
    """
    parts = name.split("/")
    if not parts[-1] or any(part.startswith(".") for part in parts):
        return False
    return depth is None or len(parts) <= depth + 1
