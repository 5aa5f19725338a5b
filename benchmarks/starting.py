"""How long the command line takes to begin: the processor time of help and of a look at a study, by that of Python."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

STUDY = Path(__file__).resolve().parent.parent / "studies" / "branin.yaml"
BAYESOPT = Path(sys.executable).with_name("bayesopt")
MOST = 6.0
"""The most that `bayesopt --help` may take, in times of `python -c pass`."""


def measure(runs: int = 20) -> str:
    """Return the figures as Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder, "out"))
        subprocess.run([BAYESOPT, "run", STUDY, "--out", out], check=True, capture_output=True)
        commands: dict[str, Sequence[str | Path]] = {
            "python -c pass": [sys.executable, "-c", "pass"],
            'python -c "import click"': [sys.executable, "-c", "import click"],
            "bayesopt --help": [BAYESOPT, "--help"],
            "bayesopt run --help": [BAYESOPT, "run", "--help"],
            "bayesopt submit --help": [BAYESOPT, "submit", "--help"],
            "bayesopt best": [BAYESOPT, "best", STUDY, "--out", out],
            "bayesopt logs": [BAYESOPT, "logs", STUDY, "--out", out],
        }
        found: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(runs):
            for name, command in commands.items():  # in turn, so that other load affects all alike
                found[name].append(processor_seconds(command))
    seconds = {name: median(each) for name, each in found.items()}
    plain = seconds["python -c pass"]
    ratio = seconds["bayesopt --help"] / plain
    rows = "".join(f"| `{name}` | {1000 * each:.0f} | {each / plain:.1f} |\n" for name, each in seconds.items())
    verdict = "holds" if ratio <= MOST else "does not hold"
    return (
        f"Processor time of a whole process, median of {runs}; `best` and `logs` are of the 16 trials of Branin. That "
        f"`--help` takes at most {MOST:g} times the time of `python -c pass` {verdict}.\n\n"
        f"| command | milliseconds | ratio |\n| --- | --- | --- |\n{rows}"
    )


def processor_seconds(command: Sequence[str | Path]) -> float:
    """Run a command, and return the processor time that the system counted for it."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime
