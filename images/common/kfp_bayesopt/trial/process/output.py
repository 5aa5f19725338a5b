"""Captures the output of an objective: copies it while it runs, examines its lines, keeps its beginning and end."""

from __future__ import annotations

import contextlib
import math
import os
import re
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO

from kfp_bayesopt.study.environment import Masked

# The bytes kept of the beginning and of the end.
KEPT_FIRST = 1_000_000
KEPT_LAST = 9_000_000
# The default capacity of a pipe. After the end no more is read than the largest pipe holds.
CHUNK = 65_536
CHUNKS_AFTER_END = 16
# Delay in milliseconds until the end is noticed if a remaining process holds the pipe open.
POLL = 200
# The seconds that the reader of the copy may take for the rest at the end.
PATIENCE = 5.0
# The last lines are searched in this many bytes.
WINDOW = 262_144
LAST_LINES = 20
LONGEST_LINE = 1000
# The bytes of a line that are examined.
LOOKED_AT = 65_536

_ENDS = re.compile(rb"(\r\n|[\r\n])")


class Output:
    """The output of an objective, as bytes.

    No output of a program, and no process that it leaves running, holds up the caller.
    """

    def __init__(self, copy: IO[bytes] | None = None) -> None:
        """Make an empty one.

        Args:
            copy: A copy of the output as it is printed.
        """
        self._copy = copy
        self._look: Callable[[str], None] | None = None
        self._line = b""
        self._has_returned = False
        self._masked = Masked([])
        self._lock = threading.Lock()
        self._shown = self._printed = _Kept()
        self._has_ended = threading.Event()
        self._copying_since = math.inf

    @contextlib.contextmanager
    def capture(self, look: Callable[[str], None] | None = None, masked: Masked | None = None) -> Iterator[int]:
        """Yield a file descriptor for a program to print to. The program must have ended at the end of the block.

        Args:
            look: Called with each line, cut if long. A line that a progress bar overwrites is one too; what overwrites
                it begins with a carriage return.
            masked: The secrets to hide.
        """
        self._look, self._masked = look, masked or Masked([])
        if self._masked.has_secrets:
            self._printed = _Kept()
        reader, writer = os.pipe()
        # A daemon: it may be left behind if the copy is not read and a write to it waits for ever.
        thread = threading.Thread(target=self._read, args=(reader,), daemon=True)
        try:
            thread.start()
            yield writer
        finally:
            os.close(writer)
            self._has_ended.set()
            if thread.is_alive():  # an interrupt may come before it begins
                self._wait_for(thread)

    def _wait_for(self, thread: threading.Thread) -> None:
        """Wait until all is read, however busy the machine is, but only a short time for a copy that is not read."""
        ended = time.monotonic()
        while thread.is_alive():
            thread.join(POLL / 1000)
            if time.monotonic() - max(ended, self._copying_since) > PATIENCE:
                return

    def content(self) -> bytes:
        """Return the masked output; of more than 10 MB the beginning and end, with the size of the gap between them."""
        with self._lock:
            return self._shown.content()

    def printed(self) -> bytes:
        """Return the output as it was printed, unmasked: only values are read from it."""
        with self._lock:
            return self._printed.content()

    def last_lines(self) -> list[str]:
        """Return its last lines as a terminal can show them, without blank ones, long ones cut."""
        return [readable(line, LONGEST_LINE) for line in last_lines(self.content()[-WINDOW:])]

    def _read(self, reader: int) -> None:
        poll = select.poll()
        poll.register(reader)
        try:
            while not self._has_ended.is_set():
                if poll.poll(POLL) and not self._take(reader):
                    return
            # A remaining process may print for ever: the rest is read without waiting for more.
            for _ in range(CHUNKS_AFTER_END):
                if not poll.poll(0) or not self._take(reader):
                    return
        finally:
            os.close(reader)
            self._show(self._masked.rest())
            self._look_at(b"\n")

    def _take(self, reader: int) -> bool:
        """Read, keep and copy the next chunk; return False at the end of the pipe."""
        chunk = os.read(reader, CHUNK)
        # Read before it is masked: 0.2*** is another number than 0.22026.
        self._look_at(chunk)
        if self._printed is not self._shown:
            with self._lock:
                self._printed.add(chunk)
        self._show(self._masked.feed(chunk))
        return bool(chunk)

    def _show(self, chunk: bytes) -> None:
        with self._lock:
            self._shown.add(chunk)
        if self._copy is not None:
            self._copying_since = time.monotonic()
            try:
                self._copy.write(chunk)
                self._copy.flush()
            except (OSError, ValueError):  # nobody reads it any more, or the disk is full; the trial goes on
                self._copy = None
            self._copying_since = math.inf

    def _look_at(self, chunk: bytes) -> None:
        if self._look is None:
            return
        *lines, rest = _ENDS.split(chunk)
        for line, end in zip(lines[::2], lines[1::2], strict=True):
            begin = "\r" if self._has_returned else ""
            self._look(begin + (self._line + line)[:LOOKED_AT].decode(errors="replace"))
            self._line, self._has_returned = b"", end == b"\r"
        self._line = (self._line + rest)[:LOOKED_AT]


class _Kept:
    """The beginning and the end of the output."""

    def __init__(self) -> None:
        self._first = bytearray()
        self._last = bytearray()
        self._size = 0

    def add(self, chunk: bytes) -> None:
        """Add the next chunk."""
        self._size += len(chunk)
        room = KEPT_FIRST - len(self._first)
        self._first += chunk[:room]
        self._last += chunk[room:]
        del self._last[:-KEPT_LAST]

    def content(self) -> bytes:
        """Return the kept parts, with the size of the gap between them."""
        return in_short(bytes(self._first), bytes(self._last), self._size)


def in_short(first: bytes, last: bytes, size: int) -> bytes:
    """Return the beginning and end of an output of some size, with the size of the gap between them."""
    left_out = size - len(first) - len(last)
    between = f"\n[{left_out:,} bytes are left out here]\n".encode() if left_out else b""
    return first + between + last


def last_lines(output: bytes) -> list[str]:
    """Return the last non-blank lines of an output, without those that a progress bar has overwritten."""
    lines = [line.rstrip().rpartition("\r")[2] for line in output.decode(errors="replace").split("\n")]
    return [line for line in lines if line.strip()][-LAST_LINES:]


def readable(text: str, longest: int) -> str:
    """Return a text for a record and a terminal: cut, and without control characters."""
    shown = "".join(
        character if character.isprintable() or character in "\n\t" else character.encode("unicode_escape").decode()
        for character in text[:longest]
    )
    return shown[:longest]
