"""Captures what an objective prints: copies it on while it runs, looks at its lines, keeps its beginning and end."""

from __future__ import annotations

import contextlib
import os
import re
import select
import threading
from collections.abc import Callable, Iterator
from typing import IO

from bayesopt.environment import Masked

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
        self._first = bytearray()
        self._last = bytearray()
        self._size = 0
        self._has_ended = threading.Event()

    @contextlib.contextmanager
    def capture(self, look: Callable[[str], None] | None = None, masked: Masked | None = None) -> Iterator[int]:
        """Yield a file descriptor for a program to print to. At the end of the block it must have ended.

        Args:
            look: What is called with each line, cut where it is long. A line that a progress bar overwrites is one too.
            masked: What nothing shows.
        """
        self._look, self._masked = look, masked or Masked([])
        reader, writer = os.pipe()
        # It may be left behind, where a copy is not read and its writing waits for ever.
        thread = threading.Thread(target=self._read, args=(reader,), daemon=True)
        try:
            thread.start()
            yield writer
        finally:
            os.close(writer)
            self._has_ended.set()
            thread.join(PATIENCE)

    def content(self) -> bytes:
        """Return all of it; of more than 10 MB the beginning and the end, and between them how much is left out."""
        with self._lock:
            first, last = bytes(self._first), bytes(self._last)
            left_out = self._size - len(first) - len(last)
        between = f"\n[{left_out:,} bytes are left out here]\n".encode() if left_out else b""
        return first + between + last

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
            self._keep(self._masked.rest())
            self._look_at(b"\n")

    def _take(self, reader: int) -> bool:
        """Read, keep and copy what is there; return False at the end of the pipe."""
        chunk = os.read(reader, CHUNK)
        self._keep(self._masked.feed(chunk))
        return bool(chunk)

    def _keep(self, chunk: bytes) -> None:
        self._look_at(chunk)
        with self._lock:
            self._size += len(chunk)
            room = KEPT_FIRST - len(self._first)
            self._first += chunk[:room]
            self._last += chunk[room:]
            del self._last[:-KEPT_LAST]
        if self._copy is not None:
            try:
                self._copy.write(chunk)
                self._copy.flush()
            except (OSError, ValueError):  # nobody reads it any more, or the disk is full; the trial goes on
                self._copy = None

    def _look_at(self, chunk: bytes) -> None:
        if self._look is None:
            return
        *lines, rest = _ENDS.split(chunk)
        for line in lines:
            self._look((self._line + line)[:LOOKED_AT].decode(errors="replace"))
            self._line = b""
        self._line = (self._line + rest)[:LOOKED_AT]


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
