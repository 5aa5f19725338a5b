"""A function of a notebook that travels to its trials, compared with one of a file: the processor time of a trial."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

TRIALS = 100
BODIES = {"takes none": "return x", "imports numpy": "import numpy; return float(numpy.float64(x))"}
"""What the objective does."""
SCRIPT = """
from kfp_bayesopt import Real, tune

def objective(x):
    {body}

tune({objective}, {{"x": Real(0, 1)}}, trials={trials}, parallel=10, jobs=2, name="instant", root={root!r},
     optimizer={{"engine": "random"}}, progress=False)
"""


def measure(runs: int = 5) -> str:
    """Return the figures as Markdown."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for what, body in BODIES.items():
            Path(folder, "instant.py").write_text(f"def objective(x):\n    {body}\n")
            seconds: dict[str, list[float]] = {'"instant:objective"': [], "objective": []}
            for _ in range(runs):  # in turn, so that whatever else the machine does is in both
                for objective, measured in seconds.items():
                    root = tempfile.mkdtemp(dir=folder)
                    script = SCRIPT.format(body=body, objective=objective, trials=TRIALS, root=root)
                    measured.append(_processor_time(script, Path(folder)) / TRIALS)
            file, function = (median(measured) for measured in seconds.values())
            rows.append(f"| {what} | {file:.3f} s | {function:.3f} s | {function / file:.2f} |\n")
    return (
        f"Processor time of a trial, by what its objective does: {TRIALS} trials at 2 jobs, engine `random`, medians "
        f"of {runs}; the run's own start is in it. A function that travels is loaded by dill, whose import is the "
        "difference:\n\n"
        "| the objective | `module:function` of a file | a function of a cell | ratio |\n| --- | --- | --- | --- |\n"
        f"{''.join(rows)}"
    )


def _processor_time(script: str, folder: Path) -> float:
    """Run a script; return the seconds, user and system, of it and its children."""
    paths = [str(Path(__file__).parent.parent / each) for each in ("images/common", "pipeline")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", script], check=True, cwd=folder, env=environment, stdin=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
