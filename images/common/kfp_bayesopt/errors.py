"""Mistakes that a person can mend: shown as one message, without a traceback."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Iterable

MAX_LINES = 20
MAX_LINE = 400
MAX_MESSAGE = 3000
# The limits of any message.
LONGEST_LINE = 2000
MOST_LINES = 200

_values = reprlib.Repr()
_values.maxlevel = 3
_values.maxstring = _values.maxother = 80
_values.maxlong = 60


class UserError(Exception):
    """A mistake of the user. A command that raises it prints the message and exits with its status.

    The message names the file and the field, the problem, and the way out. Names of files, keys and columns come from
    anywhere, so characters that move the cursor are escaped, and long texts shortened, in every message.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        self.message = _tamed(message)
        super().__init__(self.message)

    def show(self) -> None:
        """Write the message where a program says what went wrong."""
        sys.stderr.write(f"Error: {self.message}\n")

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows below the cell: the message, without the lines of ours that led to it."""
        return [f"{type(self).__name__}: {self.message}"]


class NotFoundError(UserError):
    """The file, object or bucket does not exist."""


class BucketNotFoundError(NotFoundError):
    """The bucket does not exist."""


class TooLargeError(UserError):
    """A file exceeds the size limit for its kind."""


class DamagedError(UserError):
    """A document cannot be used: it is damaged, in the wrong place, or of another study."""


class ExistsError(UserError):
    """A write-once file already exists with different content."""


class RetainedError(UserError):
    """An object may not be replaced or deleted, because its bucket keeps it."""


class UnavailableError(UserError):
    """Storage does not answer, sends damaged data, or has no space: unlike any other mistake, this may pass."""


class NoRoomError(UnavailableError):
    """A disk is full, or its quota is spent."""


def shown(value: object) -> str:
    """Return a value in the form for messages: short and printable."""
    return _values.repr(value)


def shown_name(name: str) -> str:
    """Return a name in the form for messages: plain if it is short and printable, else quoted and shortened."""
    return name if name.isprintable() and 0 < len(name) <= 80 else shown(name)


def listed(source: str, mistakes: Iterable[str]) -> str:
    """Return a message with a line for each distinct mistake; if there are very many, the last line counts the rest."""
    lines: list[str] = []
    left = 0
    size = 0
    for mistake in dict.fromkeys(mistakes):
        line = f"{source}: {shortened(mistake)}"
        size += len(line)
        if left or len(lines) == MAX_LINES or (lines and size > MAX_MESSAGE):
            left += 1
        else:
            lines.append(line)
    return "\n".join([*lines, f"{source}: and {left} more"] if left else lines)


def named(names: Iterable[str]) -> str:
    """Return a readable list of names; of very many, the end gives the number of the others."""
    known = list(names)
    more = [f"and {len(known) - MAX_LINES} more"] if len(known) > MAX_LINES else []
    return ", ".join([*map(shown_name, known[:MAX_LINES]), *more]) or "none"


def shortened(line: str, most: int = MAX_LINE) -> str:
    """Return a line of a message, its middle cut if it is long, with escapes for unprintable characters."""
    if len(line) > most:
        line = f"{line[: most - 100]} ... {line[-90:]}"
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)


def _tamed(message: str) -> str:
    """Return a message with only lines and tabs as control characters, within the limits."""
    lines = message.split("\n")
    if len(lines) > MOST_LINES:
        half = MOST_LINES // 2
        lines = [*lines[:half], f"... ({len(lines) - 2 * half} lines)", *lines[-half:]]
    return "\n".join("\t".join(shortened(part, LONGEST_LINE) for part in line.split("\t")) for line in lines)
