"""Compares optimisers on the problems: runs them, and makes tables and a plot of all runs.

All runs take a day of processor time. So each is a line in `quality.jsonl`, existing ones are not run again, and
several of these can run side by side, each for some of the methods:

    python -m benchmarks.quality --methods ax,optuna-gp --half reporting --seeds 20
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.peers import version_of
from benchmarks.problems import PROBLEMS
from benchmarks.ranks import NAMES, Comparison, plot, rank_table, regret_table, wins_table
from benchmarks.runs import BATCHES, read_runs, run_missing

SEEDS = 20
FEWEST_SEEDS = 10  # of a method that is ranked; one with fewer is only compared with `gp`
HALVES = ("reporting", "tuning")
RESULTS = Path(__file__).parent / "quality.jsonl"
PLOT = Path(__file__).parent.parent / "docs" / "performance" / "quality.png"


def measure() -> str:
    """Return the figures of the existing runs as Markdown, and draw the plot."""
    runs = read_runs(RESULTS)
    parts = [
        f"Versions: {', '.join(sorted({version_of(method) for method in NAMES}))}.\n",
        "![Mean rank after each trial](performance/quality.png)\n",
    ]
    panels = {}
    for half in HALVES:
        for batch in BATCHES:
            names = {problem.name: problem.lowest for problem in PROBLEMS if problem.half == half}
            seeds = {
                method: min(
                    sum((r["problem"], r["method"], r["batch"]) == (name, method, batch) for r in runs)
                    for name in names
                )
                for method in NAMES
            }
            # Once with every method that has enough runs, and once without the slow one with all its seeds.
            enough = [method for method in NAMES if seeds[method] >= FEWEST_SEEDS]
            groups = [enough, [method for method in enough if method != "ax"]] if "ax" in enough else [enough]
            comparisons = [Comparison(runs, names, batch, group) for group in groups]
            others = [method for method in NAMES if method != "gp" and seeds[method]]
            parts += [
                f"### The {half} half, {batch} at a time\n",
                *map(rank_table, comparisons),
                wins_table([Comparison(runs, names, batch, ["gp", other]) for other in others]),
                regret_table(comparisons[0]),
            ]
            panels[f"{half} half, {batch} at a time"] = comparisons[0]
    plot(panels, PLOT)
    return "\n".join(parts)


def main() -> None:
    """Run the missing runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default=",".join(NAMES), help="by commas; default: %(default)s")
    parser.add_argument("--half", choices=HALVES, help="default: both")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many; default: %(default)s")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of the runs")
    arguments = parser.parse_args()
    halves = [arguments.half] if arguments.half else HALVES
    problems = [problem for problem in PROBLEMS if problem.half in halves]
    run_missing(arguments.out, arguments.methods.split(","), problems, BATCHES, range(arguments.seeds))


if __name__ == "__main__":
    main()
