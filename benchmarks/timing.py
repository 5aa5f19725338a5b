"""Times commands against each other."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Commands = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Timing:
    """Seconds of wall time of a command, over several runs."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} s ({self.lowest:.2f} to {self.highest:.2f})"


def time_commands(commands: Commands, runs: int) -> dict[str, Timing]:
    """Run every command this often, in turn, so that other load on the machine affects all of them equally."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    return {name: Timing(statistics.median(all_), min(all_), max(all_)) for name, all_ in seconds.items()}
