"""The mistakes that a person can mend: shown as one message, without a traceback."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable

import click

MAX_LINES = 20
MAX_LINE = 400
MAX_MESSAGE = 3000
# No message has more, whatever is in it.
LONGEST_LINE = 2000
MOST_LINES = 200

_values = reprlib.Repr()
_values.maxlevel = 3
_values.maxstring = _values.maxother = 80
_values.maxlong = 60


class UserError(click.ClickException):
    """A mistake of the user. A click command that raises it prints the message and exits 1.

    The message names the file and the field, the problem, and the way out. Names of files, keys and columns come from
    anywhere: what would move the cursor or fill the terminal is escaped and shortened, whoever words it.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(_tamed(message))


class NotFoundError(UserError):
    """There is no such file, object or bucket."""


class BucketNotFoundError(NotFoundError):
    """There is no such bucket."""


class TooLargeError(UserError):
    """A file or object is larger than what is read of its kind."""


class DamagedError(UserError):
    """A document cannot be used: it is damaged, lies in the wrong place, or is of another study."""


class ExistsError(UserError):
    """What is created once is there already, with other content."""


class RetainedError(UserError):
    """An object may not be replaced or deleted, because its bucket keeps it."""


class UnavailableError(UserError):
    """Storage gives no answer, or damaged ones, or has no space: unlike any other mistake, this may mend itself."""


class NoRoomError(UnavailableError):
    """A disk is full, or its quota is spent."""


def shown(value: object) -> str:
    """Return a value as a message shows it: short and printable, whatever it is."""
    return _values.repr(value)


def shown_name(name: str) -> str:
    """Return a name as a message shows it: plain where it is short and printable, else quoted and shortened."""
    return name if name.isprintable() and 0 < len(name) <= 80 else shown(name)


def listed(source: str, mistakes: Iterable[str]) -> str:
    """Return a message with a line for each mistake, each once, and how many more there are where it gets long."""
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
    """Return names as a message lists them: as many as one takes in, and how many more there are."""
    known = list(names)
    more = [f"and {len(known) - MAX_LINES} more"] if len(known) > MAX_LINES else []
    return ", ".join([*map(shown_name, known[:MAX_LINES]), *more]) or "none"


def shortened(line: str, most: int = MAX_LINE) -> str:
    """Return a line of a message without its middle where it is long, and with escapes for what cannot be printed."""
    if len(line) > most:
        line = f"{line[: most - 100]} ... {line[-90:]}"
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)


def _tamed(message: str) -> str:
    """Return a message with the lines that a terminal can show, and the tabs in them."""
    lines = message.split("\n")
    if len(lines) > MOST_LINES:
        half = MOST_LINES // 2
        lines = [*lines[:half], f"... ({len(lines) - 2 * half} lines)", *lines[-half:]]
    return "\n".join("\t".join(shortened(part, LONGEST_LINE) for part in line.split("\t")) for line in lines)
