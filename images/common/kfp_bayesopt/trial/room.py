"""Disk space for the outcome of a trial: reserved before the trial begins, or waited for."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from kfp_bayesopt.errors import NoRoomError
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.store import storage
from kfp_bayesopt.trial.process.sessions import Sessions

RESERVED_BYTES = 65_536
"""Far more than nearly all records need."""
PATIENCE = 900.0
"""The seconds to wait for space: as long as for a bucket that does not answer."""
SECONDS_BETWEEN_TRIES = 1.0
SECONDS_BETWEEN_WORDS = 60.0

T = TypeVar("T")

logger = logging.getLogger(__name__)


def with_room(write: Callable[[], T], sessions: Sessions, patience: float | None = None) -> T:
    """Write to a disk; if it is full, wait until there is space or the sessions are stopped.

    Args:
        write: The function to retry; its effect must not depend on how often it is called.
        sessions: The sessions of the trial.
        patience: The seconds to wait. By default 15 minutes.

    Raises:
        NoRoomError: There was no space in all that time, or the sessions were stopped.
        UserError: It cannot be written for another reason.
    """
    deadline = time.monotonic() + (PATIENCE if patience is None else patience)
    next_word = time.monotonic()
    while True:
        try:
            return write()
        except NoRoomError as error:
            now = time.monotonic()
            if now >= deadline or sessions.is_stopped:
                raise
            if now >= next_word:
                logger.warning("waiting for room, %.0f s at most: %s", deadline - now, error.message)
                next_word = now + SECONDS_BETWEEN_WORDS
        time.sleep(min(SECONDS_BETWEEN_TRIES, max(0.0, deadline - time.monotonic())))


@contextlib.contextmanager
def reserved(study_folder: StudyFolder, trial: int, attempt: int, sessions: Sessions) -> Iterator[Path | None]:
    """Yield a file that reserves space for the record of an attempt, with a spare name; None in a bucket.

    Raises:
        NoRoomError: There was no space in all that time.
    """
    if not storage.is_local(study_folder.root):
        yield None
        return
    room = Path(study_folder.record_uri(trial, attempt)).with_name(f".room-{attempt}")
    spare = room.with_name(f"{room.name}-spare")
    try:
        with_room(lambda: storage.create(str(room), bytes(RESERVED_BYTES)), sessions)
        with contextlib.suppress(OSError):  # a file system that has links, but no more of them
            spare.hardlink_to(room)
        yield room
    finally:
        for path in (spare, room):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
