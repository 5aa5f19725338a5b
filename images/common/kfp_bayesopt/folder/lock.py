"""Keeps two runs on this machine out of one study folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.jobs import unended
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.local import make_folder, remove_empty, share, what_denies

LOCK = ".lock"


@contextlib.contextmanager
def locked(root: str, instead: str = "give another folder", elsewhere: str | None = None) -> Iterator[None]:
    """Keep other runs of this machine out of a local study folder; the lock ends with this process, however it ends.

    It leaves nothing behind: neither its file nor a folder that it made in vain. A folder in a bucket has no lock;
    there, its jobs tell.

    Args:
        root: The study folder.
        instead: The alternative to waiting.
        elsewhere: The way out if nothing can be written there; by default another folder.

    Raises:
        UserError: Another run is writing there, or the folder cannot be made.
    """
    if not storage.is_local(root):
        yield
        return
    lock = Path(root) / LOCK
    made: list[Path] = []
    try:
        try:
            made = make_folder(lock.parent)
            held = _hold(lock)
        except BlockingIOError:
            raise UserError(f"{root}: {_holder(root)} is writing there; wait for it, or {instead}") from None
        except OSError as error:
            why = f"{error.strerror}"
            if isinstance(error, PermissionError):
                why += f": {what_denies(str(error.filename or root))}"
            way_out = elsewhere or f"give another folder with {hints.FOLDER}"
            raise UserError(f"{root}: cannot write results there: {why}; {way_out}") from None
        with held:
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    lock.unlink()  # while it is held: whoever comes next makes another one
    finally:
        remove_empty(made)


def _hold(path: Path) -> IO[str]:
    """Return an open and locked file, created if missing.

    Raises:
        BlockingIOError: Another process has locked it.
        OSError: It cannot be made or opened.
    """
    while True:
        file = path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its holder may have removed it just now: then it is a file that nobody else finds.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                    share(path)
                    return file
        except BaseException:
            file.close()
            raise
        file.close()


def _holder(root: str) -> str:
    with contextlib.suppress(UserError):
        for job in unended(root):  # those before it ended without a word, and it has said so
            return f"job {job.job} (submitted by {job.by} at {job.submitted})"
    return "another run"
