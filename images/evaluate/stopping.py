"""Stops what an objective does when its job has failed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from bayesopt import jobs
from bayesopt.errors import UserError

from .sessions import Sessions

# How soon a trial hears that its job has failed.
SECONDS_BETWEEN_LOOKS = 30.0


@contextlib.contextmanager
def stopped_with(root: str, job: str | None, sessions: Sessions) -> Iterator[None]:
    """Stop the sessions when their job fails; where it has reached its end, what runs is finished."""
    if job is None:
        yield
        return
    is_done = threading.Event()

    def look() -> None:
        while not is_done.wait(SECONDS_BETWEEN_LOOKS):
            with contextlib.suppress(UserError):  # the next look may tell
                ended = jobs.end_of(root, job)
                if ended is not None and ended.state == "failed":
                    sessions.stop()
                    return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_done.set()
