"""Calls a function repeatedly beside a running objective."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def repeating(function: Callable[[], None], seconds: float, patience: float | None = None) -> Iterator[None]:
    """Call a function at intervals while the block runs, in a thread of its own.

    Args:
        function: It must not raise.
        seconds: The pause between two calls.
        patience: The seconds to wait at the end for a running call, which is then left behind. By default any.
    """
    has_ended = threading.Event()

    def run() -> None:
        while not has_ended.wait(seconds):
            function()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join(patience)
