"""Reads a number from text: the one place that tells a number from a text that only begins like one."""

from __future__ import annotations

import re

NUMBER = r"(?>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
"""A number as programs print it; `float` also accepts 1_0 and the digits of all scripts, which few mean as a value."""
NOT_FINITE = r"[+-]?(?:[nN][aA][nN]|[iI]nf(?:inity)?)"
_BETWEEN = ",.'\u2019\u066b\u066c\uff0c\uff0e\u00a0\u2007\u2009\u202f"
"""Separators between the digits of a number in some language; a plain space is one too."""
_POWER = r"(?:(?:\^|\*\*)[({]?[+\-\u2212]?[0-9]+|[\u207a\u207b]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+)"
_TIMES_TEN = rf"[ ]?[xX*\u00d7\u00b7][ ]?10{_POWER}"
GOES_ON = rf"(?:[\w#]|\.+\w|[:/+*\u00d7\u00b7\-{_BETWEEN}][0-9]|{_POWER}|{_TIMES_TEN})"
"""A continuation of a number: 0,75 and 1,234, 12:30:05, 3/4, 1_000, 1.2.3, 0x1F, 5s, 2026-01-31, 10^-3."""
SPACED = r"[+-]?[0-9]{1,3}(?:[ ][0-9]{3})+(?:[.,][0-9]+)?(?![\w/%]|[.,][0-9])"
"""A number with spaces between its thousands: 1 234.5."""
MINUS = "\u2212"
"""The typographical minus sign, which is not a hyphen, and which no program reads as a sign."""
WAY_OUT = "write it with digits and a point alone, such as 1234.5"

# The end of a sentence is not part of a number, and a percentage is its number.
_WHOLE = re.compile(rf"(?>({NUMBER}|{NOT_FINITE})%?)[.,;:!]*")
# One comma may be a decimal one: 1,234 is no number.
_THOUSANDS = re.compile(r"([+-]?[1-9][0-9]{0,2}(?:(?:,[0-9]{3})+\.[0-9]+|(?:,[0-9]{3}){2,}))%?[.,;:!]*")
_BEGINS = re.compile(rf"[+\-{MINUS}]?\.?[0-9]")
# These are plainly one number in another notation, whatever surrounds them.
_OTHER_NOTATION = re.compile(
    rf"[+\-{MINUS}]?(?:[0-9]+,[0-9]+|[0-9]{{1,3}}(?:[{_BETWEEN}][0-9]{{3}})+(?:[.,][0-9]+)?|[0-9]+(?::[0-9]+)+(?:\.[0-9]+)?"
    r"|[0-9]+/[0-9]+|[0-9]+(?:\.[0-9]+){2,}|[0-9]+(?:_[0-9]+)+(?:\.[0-9]+)?|0[xX][0-9a-fA-F]+"
    rf"|[0-9]+\.?[0-9]*(?:[eEdD][+\-{MINUS}]?[0-9]+|{_TIMES_TEN})|[0-9]+{_POWER})|{MINUS}?{NUMBER}"
)
_OF_ONE_NUMBER = rf"[0-9a-fA-FxX:/_{_BETWEEN}]{{0,40}}"
# A sign belongs to a number if nothing before it could be joined by it.
_BEFORE = re.compile(rf"(?:(?<![\w.)\]}}%])[+\-{MINUS}])?{_OF_ONE_NUMBER}\Z")
_AFTER = re.compile(rf"(?:[0-9.]*[eEdD][+\-{MINUS}]?[0-9]+|[0-9.]*{_TIMES_TEN}|[0-9]*{_POWER}|{_OF_ONE_NUMBER})")
_OF_STEPS = re.compile(r"([0-9]+)/[0-9]+")
_SEVERAL = re.compile(rf"(?:^|[ \t;|\u2502\u2503]){NUMBER}%?(?=,?[ \t;|\u2502\u2503]+[+\-.0-9]|$)")
_SPACED = re.compile(SPACED)
LONGEST = 1000
"""The longest kept text that is not a number; it is masked as a whole before less of it is shown."""


class NoNumber(float):
    """A text that begins like a number but is not one, such as 0,75: a NaN that keeps its text."""

    text: str

    def __new__(cls, text: str) -> NoNumber:
        """Keep the text; a long one is cut."""
        made = super().__new__(cls, "nan")
        made.text = text[:LONGEST]
        return made


def read_number(text: str) -> float | None:
    """Return the number that a text is, NaN and infinity included, and thousands if they can be nothing else: 1,234.5.

    Returns:
        A `NoNumber` if it begins like a number but is not one, such as 0,75; None if it is something else.
    """
    text = text.strip()
    if match := _WHOLE.fullmatch(text):
        return float(match[1])
    if match := _THOUSANDS.fullmatch(text):
        return float(match[1].replace(",", ""))
    return NoNumber(text) if _BEGINS.match(text) else None


def whole_number(before: str, text: str, after: str) -> str:
    """Return the whole text of a number of which a pattern matched a part, such as 0,75 for a match of 0.

    Args:
        before: The text before the match.
        text: The match.
        after: The text after the match.
    """
    if not _WHOLE.fullmatch(text):
        return text
    begin, end = _BEFORE.search(before), _AFTER.match(after)
    marks = f":/_{_BETWEEN}"
    whole = f"{begin[0].lstrip(marks) if begin else ''}{text}{end[0].rstrip(marks) if end else ''}"
    return whole if len(whole) > len(text) and _OTHER_NOTATION.fullmatch(whole) else text


def are_several(text: str) -> bool:
    """Tell whether a text is several numbers, such as a list or a row of a table, and not thousands with spaces."""
    return len(_SEVERAL.findall(text)) > 1 and not _SPACED.fullmatch(text)


def read_step(number: float) -> float:
    """Return the step that a number names; of 3/10 it is 3."""
    match = _OF_STEPS.match(number.text) if isinstance(number, NoNumber) else None
    return float(match[1]) if match else number
