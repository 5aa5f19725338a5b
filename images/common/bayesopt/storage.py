"""Reads and writes whole objects, at `gs://BUCKET/OBJECT` or at a local path.

A write is all or nothing: a reader sees the old content or the new one, never a part. What storage
does wrong is tried again or is one message; see docs/reliability.md.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from bayesopt.errors import ExistsError, NotFoundError, TooLargeError, UserError

WAYS_OUT = {
    errno.ENOSPC: "free some space, then run the same command again",
    errno.EDQUOT: "free some space or raise the quota, then run the same command again",
    errno.EFBIG: "raise the limit on the size of files, then run the same command again",
    errno.EROFS: "choose a folder that can be written",
    errno.EIO: "check the disk, then run the same command again",
    errno.EMFILE: "raise the limit with `ulimit -n`, then run the same command again",
    errno.ENFILE: "close other programs, then run the same command again",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ELOOP: "correct the symbolic links",
    errno.EISDIR: "choose the path of a file",
}


def is_local(uri: str) -> bool:
    """Tell whether a URI is a path of this machine."""
    return not uri.startswith("gs://")


def read(uri: str, limit: int | None = None, *, patience: float | None = None) -> bytes:
    """Return the whole content of a file or object.

    Args:
        uri: What to read.
        limit: How many bytes it may have. No more than that is ever held in memory.
        patience: For how many seconds Cloud Storage is asked again while it does not answer; by
            default long enough for an outage of ten minutes.

    Raises:
        NotFoundError: The file, the object or its bucket does not exist.
        UserError: It is too large or no plain file, or storage refuses it, damages it or does not answer.
    """
    if not is_local(uri):
        return bytes(_gcs().read(uri, limit, patience))
    with _errors(uri):
        return _read_file(Path(uri), limit)


def size(uri: str, *, patience: float | None = None) -> int:
    """Return how many bytes a file or object has, without reading it.

    Raises:
        NotFoundError: The file, the object or its bucket does not exist.
        UserError: It is no plain file, or storage refuses it or does not answer.
    """
    if not is_local(uri):
        return int(_gcs().size(uri, patience))
    with _errors(uri):
        return _size_of_file(Path(uri))


def write(uri: str, content: bytes) -> None:
    """Write a file or object whole; missing local folders are made.

    Raises:
        NotFoundError: The bucket does not exist.
        UserError: Storage refuses it, has no space or does not answer.
    """
    if not is_local(uri):
        _gcs().write(uri, content)
        return
    with _errors(uri):
        _replace(Path(uri), content)


def check_size(uri: str, held: int, limit: int | None) -> None:
    """Refuse what is larger than its limit."""
    if limit is not None and held > limit:
        raise TooLargeError(
            f"{uri}: has {held:,} bytes, but at most {limit:,} are read; check that it is the right file"
        )


def _gcs() -> ModuleType:
    # Imported when it is needed: it takes longer than all else that `evaluate` imports, and
    # a run on local paths does not need the package at all.
    try:
        from bayesopt import gcs
    except ModuleNotFoundError as error:
        raise UserError(f"a gs:// path needs google-cloud-storage, which is not installed here ({error})") from None
    return gcs


def _size_of_file(path: Path) -> int:
    found = path.stat()
    _check_plain(path, found.st_mode)
    return found.st_size


def _read_file(path: Path, limit: int | None) -> bytes:
    held = _size_of_file(path)
    check_size(str(path), held, limit)
    # Without O_NONBLOCK some files of /proc, which say that they are empty, keep a reader waiting.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        content: bytes | None = file.read(held + 1)
    if content is None or len(content) != held:
        raise UserError(
            f"{path}: its content does not have the size that the file says, as files of /proc, or files that "
            "another program is writing; copy it, and give the copy"
        )
    return content


def _check_plain(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise UserError(f"{path}: expected a file, but it is a folder")
    if not stat.S_ISREG(mode):
        raise UserError(f"{path}: expected a plain file, but it is a device, a pipe or a socket")


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        _check_plain(path, path.stat().st_mode)
    # A name of its own, not made from the file's: that may be as long as names can be.
    temporary = path.parent / f".new-{secrets.token_hex(8)}"
    try:
        # Not `tempfile`, whose files only their owner can read: this one gets the permissions that
        # any program would give it.
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _errors(path: str) -> Iterator[None]:
    if not path:
        raise UserError("the path is empty; give a gs:// URI or a local path")
    if path.startswith("gs:/"):
        raise UserError(f"{path}: not a gs:// URI; did you mean gs://{path.removeprefix('gs:/').lstrip('/')}?")
    if "://" in path:
        raise UserError(f"{path}: only gs:// URIs and local paths are supported")
    try:
        yield
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file") from None
    except PermissionError:
        raise UserError(f"{path}: permission denied; give this user access to the file and its folder") from None
    except (NotADirectoryError, FileExistsError):
        raise UserError(f"{path}: a folder of this path is a file; choose another path") from None
    except OSError as error:
        way_out = WAYS_OUT.get(error.errno or 0, "check the path and the disk")
        raise UserError(f"{path}: {error.strerror or error}; {way_out}") from None
    except (MemoryError, OverflowError):
        raise UserError(f"{path}: too large for the memory of this machine; check that it is the right file") from None
    except ValueError as error:  # a NUL, or what the file system cannot encode
        raise UserError(f"{path!r}: not a path ({error}); correct its characters") from None


# Provisional: the branch `storage` has the final ones.
@dataclass(frozen=True)
class Entry:
    """An object: its URI, its size in bytes, and when it was made and changed, by the clock of the storage."""

    uri: str
    size: int
    created: datetime
    updated: datetime


def create(uri: str, content: bytes) -> None:
    """Create an object once."""
    try:
        if read(uri) != content:
            raise ExistsError(f"{uri}: there is another object of this name, and it is not replaced")
    except NotFoundError:
        write(uri, content)


def replace(uri: str, content: bytes) -> None:
    """Replace a derived object."""
    write(uri, content)


def entries(prefix: str, after: str = "") -> Iterator[Entry]:
    """Yield the objects below a prefix."""
    assert prefix.endswith("/")
    if not is_local(prefix):
        found = [look(uri) for uri in _gcs().find(prefix)]
    else:
        files = [path for path in Path(prefix).rglob("*") if path.is_file()]
        found = [
            look(str(path)) for path in files if not any(p.startswith(".") for p in path.relative_to(prefix).parts)
        ]
    yield from sorted((each for each in found if each.uri > after), key=lambda entry: entry.uri)


def folders(prefix: str) -> list[str]:
    """Return the names of the next level."""
    return sorted(
        {
            entry.uri.removeprefix(prefix).partition("/")[0]
            for entry in entries(prefix)
            if "/" in entry.uri.removeprefix(prefix)
        }
    )


def look(uri: str) -> Entry:
    """Look at an object."""
    if not is_local(uri):
        blob = _gcs()._blob(uri)
        blob.reload()
        return Entry(uri, blob.size, blob.time_created, blob.updated)
    with _errors(uri):
        found = Path(uri).stat()
    time = datetime.fromtimestamp(found.st_mtime, UTC)
    return Entry(uri, found.st_size, time, time)


def delete(uri: str) -> None:
    """Delete a derived object."""
    if is_local(uri):
        Path(uri).unlink(missing_ok=True)
    else:
        _gcs()._blob(uri).delete()
