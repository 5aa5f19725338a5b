"""Reads and writes whole objects, at `gs://BUCKET/OBJECT` or at a local path.

A write is all or nothing: a reader sees the old content or the new one, never a part.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from bayesopt.errors import NotFoundError, UserError


def is_local(uri: str) -> bool:
    """Tell whether a URI is a path of this machine."""
    return not uri.startswith("gs://")


def read(uri: str, *, limit: int | None = None) -> bytes:
    """Return the whole content of a file or object.

    Args:
        uri: What to read.
        limit: How many bytes it may have. Its size is asked before anything is read.

    Raises:
        NotFoundError: The file, the object or its bucket is not there.
        UserError: It is too large, access was refused, or the URI cannot be read.
    """
    if not is_local(uri):
        return bytes(_gcs().read(uri, limit))
    with _errors(uri):
        check_size(uri, Path(uri).stat().st_size, limit)
        return Path(uri).read_bytes()


def check_size(uri: str, held: int, limit: int | None) -> None:
    """Refuse what is larger than its limit."""
    if limit is not None and held > limit:
        raise UserError(
            f"{uri}: at most {limit:,} bytes are read, but it has {held:,}; check that it is the right file"
        )


def write(uri: str, content: bytes) -> None:
    """Write a file or object whole; missing local folders are made.

    Raises:
        NotFoundError: The bucket is not there.
        UserError: Access was refused, or the URI cannot be written.
    """
    if not is_local(uri):
        _gcs().write(uri, content)
        return
    with _errors(uri):
        _replace(Path(uri), content)


def _gcs() -> ModuleType:
    # Imported when it is needed: it takes longer than all else that `evaluate` imports, and
    # a run on local paths does not need the package at all.
    try:
        from bayesopt import gcs
    except ModuleNotFoundError as error:
        raise UserError(f"a gs:// path needs google-cloud-storage, which is not installed here ({error})") from None
    return gcs


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(21, "it is a folder", str(path))
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)  # mkstemp makes a file that only its owner can read
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _errors(path: str) -> Iterator[None]:
    if "://" in path:
        raise UserError(f"{path}: a gs:// URI or a local path must be given; no other storage is supported")
    try:
        yield
    except FileNotFoundError:
        raise NotFoundError(f"{path}: the file must exist, but it is not there") from None
    except PermissionError:
        raise UserError(f"{path}: permission denied; let this user read and write there") from None
    except (IsADirectoryError, NotADirectoryError, FileExistsError):
        raise UserError(f"{path}: a file in a folder must be named, but a folder and a file are mixed up") from None
