"""Processes of other programs, as tests look at them."""

from __future__ import annotations

import time
from pathlib import Path


def gone(pid: int) -> bool:
    """Tell whether a process has ended, waiting a little for it."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False
