"""Stops an objective when its job has failed, or when this process is told to stop."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import NoReturn, TypeVar

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.store import storage
from kfp_bayesopt.trial.process.sessions import Sessions
from kfp_bayesopt.trial.process.threads import repeating

# Delay until a trial notices that its job has failed.
SECONDS_BETWEEN_LOOKS = 30.0
# The same for a run of this machine, which a person waits for; a bucket is asked less often.
SECONDS_BETWEEN_LOOKS_HERE = 1.0
SECONDS_BETWEEN_LOOKS_AT_BUCKET = 10.0
# Of the 30 s that a machine gives a process before it is taken away.
SECONDS_TO_STOP = 20.0

T = TypeVar("T")


def exit_when_told() -> None:
    """Make SIGTERM end this process with status 143; a second one does not interrupt its clean-up."""

    def leave(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(143)

    signal.signal(signal.SIGTERM, leave)


def uninterrupted(function: Callable[[], T], stop: Callable[[], None]) -> T:
    """Call a function in a thread of its own, and return its result or raise its exception.

    A signal raises its exception at any line of the main thread, such as between the start of a process and the note
    that it runs, or in the middle of a `finally`. Here the main thread only waits; on a signal the function is told to
    stop, and ends by itself.

    Args:
        function: The function.
        stop: Tells the function to stop at the next safe point.
    """
    outcome: SimpleQueue[Callable[[], T]] = SimpleQueue()

    def run() -> None:
        try:
            found = function()
        except BaseException as error:
            outcome.put(_raising(error))
        else:
            outcome.put(lambda: found)

    thread = threading.Thread(target=run, daemon=True)
    try:
        thread.start()
        ended = outcome.get()
    except BaseException:
        deadline = time.monotonic() + SECONDS_TO_STOP
        stop()  # which takes some of that time itself
        if thread.is_alive():
            thread.join(max(0.0, deadline - time.monotonic()))
        raise
    return ended()


def _raising(error: BaseException) -> Callable[[], NoReturn]:
    def raise_it() -> NoReturn:
        raise error

    return raise_it


def seconds_between_looks(root: str) -> float:
    """Return how often a run of this machine looks whether somebody has stopped it."""
    return SECONDS_BETWEEN_LOOKS_HERE if storage.is_local(root) else SECONDS_BETWEEN_LOOKS_AT_BUCKET


@contextlib.contextmanager
def stopped_with(root: str, job: str | None, sessions: Sessions, seconds: float | None = None) -> Iterator[None]:
    """Stop the sessions when their job fails; if it ends otherwise, running trials are finished.

    Args:
        root: The study folder.
        job: The job.
        sessions: The sessions.
        seconds: The delay until they notice. By default that of a step.
    """
    if job is None:
        yield
        return

    def look() -> bool:
        with contextlib.suppress(UserError):  # the next look may tell
            ended = jobs.end_of(root, job)
            if ended is not None and ended.state == "failed":
                sessions.stop()
                return True
        return False

    with repeating(look, SECONDS_BETWEEN_LOOKS if seconds is None else seconds, patience=0.0):
        yield
