"""Does something again and again beside an objective that runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def repeating(function: Callable[[], None], seconds: float, patience: float | None = None) -> Iterator[None]:
    """Call a function every so many seconds while the block runs, in a thread of its own.

    Args:
        function: It must not raise.
        seconds: Between two calls.
        patience: How many seconds a call that runs may take at the end; it is then left behind. By default any.
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
