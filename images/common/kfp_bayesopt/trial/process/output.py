"""Captures what an objective prints: copies it on while it runs, looks at its lines, keeps its beginning and end."""

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

# How many bytes are kept of the beginning and of the end.
KEPT_FIRST = 1_000_000
KEPT_LAST = 9_000_000
# As many as a pipe holds by default. After the end no more is read than what the largest one holds.
CHUNK = 65_536
CHUNKS_AFTER_END = 16
# How soon the end is noticed where a process that is left holds the pipe open, in milliseconds.
POLL = 200
# How many seconds whoever reads the copy may take for what is left at the end.
PATIENCE = 5.0
# The last lines are looked for in this many bytes.
WINDOW = 262_144
LAST_LINES = 20
LONGEST_LINE = 1000
# Of a line no more is looked at, in bytes.
LOOKED_AT = 65_536

_ENDS = re.compile(rb"[\r\n]")


class Output:
    """What an objective prints, as bytes.

    Nothing that a program prints, or leaves running, holds up whoever asks for it.
    """

    def __init__(self, copy: IO[bytes] | None = None) -> None:
        """Make an empty one.

        Args:
            copy: Where what is printed is copied to while it is printed.
        """
        self._copy = copy
        self._look: Callable[[str], None] | None = None
        self._line = b""
        self._masked = Masked([])
        self._lock = threading.Lock()
        self._shown = self._printed = _Kept()
        self._has_ended = threading.Event()
        self._copying_since = math.inf

    @contextlib.contextmanager
    def capture(self, look: Callable[[str], None] | None = None, masked: Masked | None = None) -> Iterator[int]:
        """Yield a file descriptor for a program to print to. At the end of the block it must have ended.

        Args:
            look: What is called with each line, cut where it is long. A line that a progress bar overwrites is one too.
            masked: What nothing shows.
        """
        self._look, self._masked = look, masked or Masked([])
        if self._masked.has_secrets:
            self._printed = _Kept()
        reader, writer = os.pipe()
        # It may be left behind, where a copy is not read and its writing waits for ever.
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
        """Wait until all is read, however busy the machine is; but for no longer than that for a copy nobody reads."""
        ended = time.monotonic()
        while thread.is_alive():
            thread.join(POLL / 1000)
            if time.monotonic() - max(ended, self._copying_since) > PATIENCE:
                return

    def content(self) -> bytes:
        """Return what may be shown: of more than 10 MB beginning and end, and between them how much is left out."""
        with self._lock:
            return self._shown.content()

    def printed(self) -> bytes:
        """Return as much of it as it was printed, with what nothing may show: values are read from that alone."""
        with self._lock:
            return self._printed.content()

    def last_lines(self) -> list[str]:
        """Return its last lines as a terminal can show them; blank ones are left out, and long ones cut."""
        return [readable(line, LONGEST_LINE) for line in last_lines(self.content()[-WINDOW:])]

    def _read(self, reader: int) -> None:
        poll = select.poll()
        poll.register(reader)
        try:
            while not self._has_ended.is_set():
                if poll.poll(POLL) and not self._take(reader):
                    return
            # A process that is left may print for ever: what is there is taken, and no more is waited for.
            for _ in range(CHUNKS_AFTER_END):
                if not poll.poll(0) or not self._take(reader):
                    return
        finally:
            os.close(reader)
            self._show(self._masked.rest())
            self._look_at(b"\n")

    def _take(self, reader: int) -> bool:
        """Read, keep and copy what is there; return False at the end of the pipe."""
        chunk = os.read(reader, CHUNK)
        # What is masked before it is read is another number: 0.2*** instead of 0.22026.
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
        for line in lines:
            self._look((self._line + line)[:LOOKED_AT].decode(errors="replace"))
            self._line = b""
        self._line = (self._line + rest)[:LOOKED_AT]


class _Kept:
    """The beginning and the end of what was printed."""

    def __init__(self) -> None:
        self._first = bytearray()
        self._last = bytearray()
        self._size = 0

    def add(self, chunk: bytes) -> None:
        """Take in what comes next."""
        self._size += len(chunk)
        room = KEPT_FIRST - len(self._first)
        self._first += chunk[:room]
        self._last += chunk[room:]
        del self._last[:-KEPT_LAST]

    def content(self) -> bytes:
        """Return all that is kept, and between beginning and end how much is left out."""
        return in_short(bytes(self._first), bytes(self._last), self._size)


def in_short(first: bytes, last: bytes, size: int) -> bytes:
    """Return beginning and end of an output of some size, and between them how much is left out."""
    left_out = size - len(first) - len(last)
    between = f"\n[{left_out:,} bytes are left out here]\n".encode() if left_out else b""
    return first + between + last


def last_lines(output: bytes) -> list[str]:
    """Return the last lines of an output that are not blank, without what a progress bar has overwritten."""
    lines = [line.rstrip().rpartition("\r")[2] for line in output.decode(errors="replace").split("\n")]
    return [line for line in lines if line.strip()][-LAST_LINES:]


def readable(text: str, longest: int) -> str:
    """Return what a record can hold of a text and a terminal can show: cut, and without control characters."""
    shown = "".join(
        character if character.isprintable() or character in "\n\t" else character.encode("unicode_escape").decode()
        for character in text[:longest]
    )
    return shown[:longest]
