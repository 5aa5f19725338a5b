"""Compares optimisers on the problems, and writes tables and a plot.

All runs take a day of processor time. So each is a line in `quality.jsonl`, what is there is not run again, and several
of these can run side by side, each for some of the methods:

    python -m benchmarks.quality --methods ax,optuna-gp --half reporting --seeds 20
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.peers import version_of
from benchmarks.problems import PROBLEMS
from benchmarks.ranks import NAMES, Comparison, plot, rank_table, regret_table
from benchmarks.runs import BATCHES, read_runs, run_missing

SEEDS = 20
HALVES = ("reporting", "tuning")
RESULTS = Path(__file__).parent / "quality.jsonl"
PLOT = Path(__file__).parent.parent / "docs" / "performance" / "quality.png"


def measure() -> str:
    """Run what is missing, and return the figures as Markdown."""
    run_missing(RESULTS, list(NAMES), HALVES, SEEDS)
    return figures()


def figures() -> str:
    """Return the figures of the runs that are there as Markdown, and draw the plot."""
    runs = read_runs(RESULTS)
    parts = [
        f"Versions: {', '.join(sorted({version_of(method) for method in NAMES}))}.\n",
        "![Mean rank after each trial](performance/quality.png)\n",
    ]
    panels = {}
    for half in HALVES:
        for batch in BATCHES:
            names = {problem.name for problem in PROBLEMS if problem.half == half}
            run = {r["method"] for r in runs if r["problem"] in names and r["batch"] == batch}
            there = [method for method in NAMES if method in run]
            whole = Comparison(runs, half, batch, there)
            parts.append(f"### The {half} half, {batch} at a time\n")
            # Ax is slow and has run with fewer seeds than the others: once with it, once with all seeds of the others.
            without = [Comparison(runs, half, batch, [m for m in there if m != "ax"])] if "ax" in there else []
            parts += [rank_table(comparison) for comparison in (whole, *without)]
            parts.append(regret_table(whole))
            panels[f"{half} half, {batch} at a time"] = whole
    plot(panels, PLOT)
    return "\n".join(parts)


def main() -> None:
    """Run what is asked for and is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default=",".join(NAMES), help="by commas; default: %(default)s")
    parser.add_argument("--half", choices=HALVES, help="default: both")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many; default: %(default)s")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of the runs")
    arguments = parser.parse_args()
    halves = [arguments.half] if arguments.half else HALVES
    run_missing(arguments.out, arguments.methods.split(","), halves, arguments.seeds)


if __name__ == "__main__":
    main()
