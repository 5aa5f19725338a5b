"""`make run` on 16 trials of Branin against the seed's script, both with their packages installed."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.timing import time_commands


def measure(runs: int = 7) -> str:
    """Return the figures as Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        run = [sys.executable, "-m", "pipeline", "run", "studies/branin.yaml", "--out", str(out), "--fresh"]
        timings = time_commands({"seed": [sys.executable, "-m", "benchmarks.seed"], "run": run}, runs)
    seed, ours = timings["seed"], timings["run"]
    return (
        "16 trials of Branin on one machine, wall time from start to exit:\n\n"
        f"| way | median of {runs} (lowest to highest) | ratio |\n| --- | --- | --- |\n"
        f"| the seed's script: scikit-optimize and joblib | {seed} | 1 |\n"
        f"| `make run`: every trial a process, every iteration on disk | {ours} | {ours.median / seed.median:.2f} |\n"
    )
