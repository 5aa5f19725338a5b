"""Keeps two runs on this machine out of one study folder."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from bayesopt import storage
from bayesopt.errors import UserError
from pipeline.opening import unended

LOCK = ".lock"


@contextlib.contextmanager
def locked(root: str, instead: str = "give another folder") -> Iterator[None]:
    """Keep other runs of this machine out of a local study folder; the lock ends with this process, however it ends.

    A folder in a bucket has no lock; there, its jobs tell.

    Args:
        root: The study folder.
        instead: What a person can do beside waiting.

    Raises:
        UserError: Another run is writing there, or the folder cannot be made.
    """
    if not storage.is_local(root):
        yield
        return
    try:
        Path(root).mkdir(parents=True, exist_ok=True)
        lock = (Path(root) / LOCK).open("w")
    except OSError as error:
        raise UserError(f"{root}: cannot write results there: {error.strerror}; give another folder") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{root}: {_holder(root)} is writing there; wait for it, or {instead}") from None
        yield


def _holder(root: str) -> str:
    with contextlib.suppress(UserError):
        for job in unended(root):  # those before it ended without a word, and it has said so
            return f"job {job.job} (submitted by {job.by} at {job.submitted})"
    return "another run"
