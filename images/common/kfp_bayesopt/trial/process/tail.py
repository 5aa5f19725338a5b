"""Reads a file that another program appends to."""

from __future__ import annotations

import os
from pathlib import Path

from kfp_bayesopt.study.sources.base import LONGEST_LINE

READ_AT_ONCE = 1 << 20


class Tail:
    """The lines appended to a file, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._line = b""

    def read(self) -> list[bytes] | None:
        """Return the next whole lines, very long ones cut.

        Returns:
            None if nothing was appended since the last call.
        """
        try:
            if not self._path.is_file() or self._path.is_symlink():
                return None
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._at:  # it was begun anew
                    self._at, self._line = 0, b""
                file.seek(self._at)
                chunk = file.read(READ_AT_ONCE)
        except OSError:
            return None
        if not chunk:
            return None
        self._at += len(chunk)
        *lines, rest = (self._line + chunk).split(b"\n")
        self._line = rest[:LONGEST_LINE]
        return [line for line in lines if line.strip()]
