"""Removes traces of the place where a study ran from a report: hosts, paths and addresses.

A report is made to be passed around. Numbers, parameters and reasons stay; `full` shows everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kfp_bayesopt.folder.failures import ADDRESSES
from kfp_bayesopt.folder.trials import Record

LEFT_OUT = "…"

# Also IP addresses, and host names of private networks.
_PATTERN = re.compile(
    ADDRESSES
    + r"""
    | \b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b
    | \b(?:[\w-]+\.)+(?:internal|local|localdomain|lan)\b
    """,
    re.VERBOSE,
)


class Privacy:
    """Removes hosts, paths and addresses."""

    def __init__(self, ledger: Iterable[Record], others: Iterable[str] = (), full: bool = False) -> None:
        """Take the names of machines from the records.

        Args:
            ledger: The records.
            others: Other names to leave out.
            full: Leave nothing out.
        """
        self._full = full
        names = set(others)
        for record in ledger:
            names |= {name for name in (record.machine, record.worker) if name}
            if record.worker:  # machine and process
                names.add(re.split(r"[:/\s]", record.worker)[0])
        long = sorted((name for name in names if len(name) >= 3), key=lambda name: (-len(name), name))
        self._names = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, long))})(?!\w)") if long else None

    def text(self, text: str) -> str:
        """Return a text without them; a path or an address keeps its last part."""
        if self._full:
            return text
        found = _PATTERN.sub(_last_name, text)
        return self._names.sub(LEFT_OUT, found) if self._names else found

    def texts(self, texts: Iterable[str]) -> list[str]:
        """Return texts without them, still distinct: equal ones get a number."""
        seen: dict[str, int] = {}
        found = []
        for text in map(self.text, texts):
            seen[text] = seen.get(text, 0) + 1
            found.append(text if seen[text] == 1 else f"{text} ({seen[text]})")
        return found


def _last_name(match: re.Match[str]) -> str:
    text = match[0]
    if "@" in text and "://" not in text:
        return LEFT_OUT
    parts = re.split(r"[/\\]", text.rstrip("/\\"))
    has_name = len(parts) > (3 if "://" in text else 1) and parts[-1]
    return f"{LEFT_OUT}/{parts[-1]}" if has_name else LEFT_OUT
