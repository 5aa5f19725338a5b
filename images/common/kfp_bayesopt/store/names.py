"""The names of files, objects and buckets, and what is said of one that cannot be."""

from __future__ import annotations

import re

from kfp_bayesopt.errors import BucketNotFoundError, UserError

LONGEST_NAME = 1000
"""The longest name of an object, in bytes; a bucket allows 1,024 including all before it."""

_UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def problem_with_name(name: str) -> str | None:
    """Return the reason a name is not that of a file below a folder; None if it is."""
    if not {"", ".", ".."}.isdisjoint(name.split("/")) or "\\" in name or "\0" in name:
        return "a name of a file below a folder has no empty part, no '.' and '..', no backslash and no NUL"
    return None


def can_be_object(name: str) -> bool:
    """Tell whether an object of a bucket can have a name, so that others can read it too."""
    return _UNREADABLE.search(name) is None and len(name.encode()) <= LONGEST_NAME


def split(uri: str) -> tuple[str, str]:
    """Return the bucket of a URI and the name in it, which may be empty.

    Raises:
        UserError: The bucket is missing, or none can have that name.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, name = rest.partition("/")
    if not bucket:
        raise UserError(f"{uri}: expected {scheme}://BUCKET/OBJECT, but the bucket is missing")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9._-]{0,220}[a-z0-9])?", bucket):
        raise UserError(
            f"{uri}: {bucket!r} is no name of a bucket; it has lower-case letters, digits, '-', '_' and '.', "
            "and begins and ends with a letter or digit"
        )
    return bucket, name


def object_at(uri: str) -> tuple[str, str]:
    """Return the bucket and the name of an object.

    Raises:
        UserError: One of them is missing, or nothing can have that name.
    """
    bucket, name = split(uri)
    if not name:
        raise UserError(f"{uri}: expected {uri.partition('://')[0]}://BUCKET/OBJECT, but the object is missing")
    if len(name.encode(errors="surrogatepass")) > 1024:
        raise UserError(f"{uri[:200]}…: the name of an object has at most 1,024 bytes; choose a shorter one")
    if name in (".", "..") or _UNREADABLE.search(name):
        raise UserError(f"{uri!r}: the name of an object has no control characters and is not '.' or '..'")
    return bucket, name


def no_bucket(uri: str) -> BucketNotFoundError:
    """Return the message for a bucket that does not exist."""
    bucket = uri.partition("://")[2].partition("/")[0]
    return BucketNotFoundError(f"{uri}: the bucket {bucket} does not exist; create it, or correct its name")
