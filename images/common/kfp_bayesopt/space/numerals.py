"""Reads a number from text: the one place that says what is a number, and what only begins as one."""

from __future__ import annotations

import re

NUMBER = r"(?>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
"""A number as programs print it; `float` takes 1_0 and the digits of all scripts too, and few mean a value by these."""
NOT_FINITE = r"[+-]?(?:[nN][aA][nN]|[iI]nf(?:inity)?)"
_BETWEEN = ",.'\u2019\u066b\u066c\uff0c\uff0e\u00a0\u2007\u2009\u202f"
"""What stands between the digits of a number in one language or another; a plain space does so too."""
_POWER = r"(?:(?:\^|\*\*)[({]?[+\-\u2212]?[0-9]+|[\u207a\u207b]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+)"
_TIMES_TEN = rf"[ ]?[xX*\u00d7\u00b7][ ]?10{_POWER}"
GOES_ON = rf"(?:[\w#]|\.+\w|[:/+*\u00d7\u00b7\-{_BETWEEN}][0-9]|{_POWER}|{_TIMES_TEN})"
"""What follows a number that goes on: 0,75 and 1,234.5, 12:30:05, 3/4, 1_000, 1.2.3, 0x1F, 5s, 2026-01-31, 10^-3."""
SPACED = r"[+-]?[0-9]{1,3}(?:[ ][0-9]{3})+(?:[.,][0-9]+)?(?![\w/%]|[.,][0-9])"
"""A number whose thousands stand apart: 1 234.5."""
MINUS = "\u2212"
"""The sign of typography, which is no hyphen, and which no program reads as one."""
WAY_OUT = "write it with digits and a point alone, such as 1234.5"

# The end of a sentence is no part of a number, and a percentage is the number that stands there.
_WHOLE = re.compile(rf"(?>({NUMBER}|{NOT_FINITE})%?)[.,;:!]*")
_BEGINS = re.compile(rf"[+\-{MINUS}]?\.?[0-9]")
# Of these it is plain, whatever stands around it, that they are one number in another notation.
_OTHER_NOTATION = re.compile(
    rf"[+\-{MINUS}]?(?:[0-9]+,[0-9]+|[0-9]{{1,3}}(?:[{_BETWEEN}][0-9]{{3}})+(?:[.,][0-9]+)?|[0-9]+(?::[0-9]+)+(?:\.[0-9]+)?"
    r"|[0-9]+/[0-9]+|[0-9]+(?:\.[0-9]+){2,}|[0-9]+(?:_[0-9]+)+(?:\.[0-9]+)?|0[xX][0-9a-fA-F]+"
    rf"|[0-9]+\.?[0-9]*(?:[eEdD][+\-{MINUS}]?[0-9]+|{_TIMES_TEN})|[0-9]+{_POWER})|{MINUS}?{NUMBER}"
)
_OF_ONE_NUMBER = rf"[0-9a-fA-FxX:/_{_BETWEEN}]{{0,40}}"
# A sign is one where nothing that it could join stands before it.
_BEFORE = re.compile(rf"(?:(?<![\w.)\]}}%])[+\-{MINUS}])?{_OF_ONE_NUMBER}\Z")
_AFTER = re.compile(rf"(?:[0-9.]*[eEdD][+\-{MINUS}]?[0-9]+|[0-9.]*{_TIMES_TEN}|[0-9]*{_POWER}|{_OF_ONE_NUMBER})")
_OF_STEPS = re.compile(r"([0-9]+)/[0-9]+")
LONGEST = 1000
"""Of a text that is no number; it is masked as a whole before less of it is shown."""


class NoNumber(float):
    """A text that begins as a number and is none, such as 0,75: a NaN that knows what stood there."""

    text: str

    def __new__(cls, text: str) -> NoNumber:
        """Keep the text, of a long one the beginning."""
        made = super().__new__(cls, "nan")
        made.text = text[:LONGEST]
        return made


def read_number(text: str) -> float | None:
    """Return the number that a text is, NaN and infinity among them.

    Returns:
        A `NoNumber` where it begins as a number and goes on as none; None where it is something else.
    """
    text = text.strip()
    if match := _WHOLE.fullmatch(text):
        return float(match[1])
    return NoNumber(text) if _BEGINS.match(text) else None


def whole_number(before: str, text: str, after: str) -> str:
    """Return the whole text of a number of which a pattern has matched a part, such as 0,75 where it matched 0.

    Args:
        before: What stands before it.
        text: What was matched.
        after: What stands behind it.
    """
    if not _WHOLE.fullmatch(text):
        return text
    begin, end = _BEFORE.search(before), _AFTER.match(after)
    marks = f":/_{_BETWEEN}"
    whole = f"{begin[0].lstrip(marks) if begin else ''}{text}{end[0].rstrip(marks) if end else ''}"
    return whole if len(whole) > len(text) and _OTHER_NOTATION.fullmatch(whole) else text


def read_step(number: float) -> float:
    """Return the step that a number is; one that is said as 3/10 is the third of ten."""
    match = _OF_STEPS.match(number.text) if isinstance(number, NoNumber) else None
    return float(match[1]) if match else number
