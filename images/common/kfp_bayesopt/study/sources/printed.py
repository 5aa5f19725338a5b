"""The source `printed`: metrics by name in the lines that an objective prints."""

from __future__ import annotations

import json
import re
from typing import Literal

from kfp_bayesopt.space.numerals import GOES_ON, MINUS, NOT_FINITE, NUMBER, SPACED, read_number
from kfp_bayesopt.study.sources.base import Metrics, NamedSource

# A name begins only where no letter of a name precedes it, so that the time for a line grows with its length alone.
_PAIR = re.compile(
    rf"""(?<![\w.\-/])["']?(?P<name>[A-Za-z_][\w.\-/]{{0,199}})["']?[ \t]{{0,8}}[=:][ \t]{{0,8}}"""
    # The text that follows a number is looked at, and a name may still begin in it.
    rf"""["']?(?P<number>(?>{SPACED}|{NUMBER}|{NOT_FINITE}|{MINUS}(?=[.0-9]))%?)(?=(?P<more>{GOES_ON}[^\s;|=]{{0,1000}})?)"""
)
# Escape sequences of terminal colours.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")


class Printed(NamedSource):
    """Metrics such as `val_acc=0.93 val_loss=0.2`, `val_acc: 0.93`, or a line of JSON, `{"val_acc": 0.93}`."""

    source: Literal["printed"]

    def look(self, line: str, metrics: Metrics) -> None:
        """Add the metrics of a line."""
        line = _ESCAPES.sub("", line).strip()
        if line.startswith("{"):
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                found = None
            if isinstance(found, dict):
                metrics.add_all(found)
                return
        for match in _PAIR.finditer(line):
            number = read_number(match["number"] + (match["more"] or "").rstrip("\"'.,:)]}"))
            if number is not None:
                metrics.add(match["name"], number)

    @property
    def origin(self) -> str:
        """The output."""
        return "what it printed"
