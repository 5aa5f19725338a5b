"""`bayesopt run`: wall time compared with the seed's script, and the processor time that a trial costs."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.timing import time_commands

TRIALS = 200
INSTANT: dict[str, object] = {
    "name": "instant",
    "objective": {"python": "instant:objective"},
    "iterations": TRIALS // 10,
    "parallel_trials": 10,
    "space": {"x": {"type": "real", "low": 0, "high": 1}},
    "optimizer": {"engine": "random"},
}


def measure(runs: int = 7) -> str:
    """Return the figures as Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        run = [sys.executable, "-m", "pipeline", "run", "studies/branin.yaml", "--out", str(out), "--fresh"]
        timings = time_commands({"seed": [sys.executable, "-m", "benchmarks.seed"], "run": run}, runs)
        bare, trial = _processor_time_of_a_trial(Path(folder), runs)
    seed, ours = timings["seed"], timings["run"]
    return (
        "16 trials of Branin on one machine, wall time from start to exit:\n\n"
        f"| way | median of {runs} (lowest to highest) | ratio |\n| --- | --- | --- |\n"
        f"| the seed's script: scikit-optimize and joblib | {seed} | 1 |\n"
        f"| `bayesopt run`: every trial a process, every iteration on disk | {ours} | "
        f"{ours.median / seed.median:.2f} |\n"
        f"\nProcessor time of a trial of an objective that takes none, {TRIALS} trials at 2 jobs, engine `random`; "
        "the run's own start is in it:\n\n"
        f"| what | median of {runs} | ratio |\n| --- | --- | --- |\n"
        f"| `python -c pass` | {bare:.3f} s | 1 |\n"
        f"| a trial of `bayesopt run` | {trial:.3f} s | {trial / bare:.1f} |\n"
    )


def _processor_time_of_a_trial(folder: Path, runs: int) -> tuple[float, float]:
    """Return the seconds of `python -c pass` and of a trial, measured in turn, the median of each."""
    (folder / "instant.py").write_text("def objective(x): return x\n")
    (folder / "study.yaml").write_text(json.dumps(INSTANT))
    bare, trial = [], []
    for number in range(runs):
        bare.append(median(_processor_time([sys.executable, "-c", "pass"]) for _ in range(10)))
        study = ["run", str(folder / "study.yaml"), "--out", str(folder / f"instant-{number}"), "--jobs", "2"]
        trial.append(_processor_time([sys.executable, "-m", "pipeline", *study]) / TRIALS)
    return median(bare), median(trial)


def _processor_time(command: Sequence[str]) -> float:
    """Run a command; return the seconds, user and system, of it and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
