"""Calls functions in threads of their own: repeatedly beside a running objective, or for a limited time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def repeating(function: Callable[[], bool | None], seconds: float, patience: float | None = None) -> Iterator[None]:
    """Call a function at intervals while the block runs, in a thread of its own.

    Args:
        function: It must not raise. Once it returns True it is not called again.
        seconds: The pause between two calls.
        patience: The seconds to wait at the end for a running call, which is then left behind. By default any.
    """
    has_ended = threading.Event()

    def run() -> None:
        while not has_ended.wait(seconds):
            if function():
                return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join(patience)


def for_at_most(seconds: float, function: Callable[[], None]) -> None:
    """Call a function and wait for its end, but no longer than some seconds: it is then left behind."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(seconds)
