"""Turns runs of optimisers into tables and a plot: ranks, regrets and time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.runs import BUDGET, Run

RANKED_AFTER = (16, 32, 64)  # after how many trials
DRAWS = 2000
NAMES = {
    "gp": "`gp`, ours",
    "ax": "Ax",
    "optuna-gp": "Optuna GPSampler",
    "optuna-tpe": "Optuna TPE",
    "skopt": "scikit-optimize",
    "random": "random",
}

Floats = NDArray[np.float64]


class Comparison:
    """The runs of some problems with one batch size.

    Attributes:
        problems: Those that every method has runs of.
        methods: In the order of `NAMES`.
        looks: The numbers of trials after which they are compared.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        problems: Mapping[str, float | None],
        batch: int,
        methods: Sequence[str],
        looks: Sequence[int] = RANKED_AFTER,
    ) -> None:
        """Compare methods.

        Args:
            runs: All runs.
            problems: The names of the problems and their lowest values; None if unknown.
            batch: The size of a batch.
            methods: Their names.
            looks: The numbers of trials after which they are compared; all runs have at least the last one.
        """
        self.methods = list(methods)
        self.looks = looks
        self._traces = {
            (run["problem"], run["method"], run["seed"]): _trace(run, looks[-1])
            for run in runs
            if run["batch"] == batch
        }
        self._lowest = {name: _lowest(name, lowest, runs) for name, lowest in problems.items()}
        self.problems = [name for name in problems if self.seeds(name)]
        self.seconds = {
            method: float(np.mean([r["seconds"] for r in runs if r["method"] == method and r["batch"] == batch] or 0))
            for method in methods
        }

    def seeds(self, problem: str, methods: Sequence[str] | None = None) -> list[int]:
        """Return the seeds that every method has run a problem with."""
        sets = [{s for p, m, s in self._traces if (p, m) == (problem, method)} for method in methods or self.methods]
        return sorted(set.intersection(*sets))

    def regrets(self, problem: str, methods: Sequence[str] | None = None) -> Floats:
        """Return the regrets of a problem after each trial, (seeds, methods, trials), for the seeds that all have."""
        methods = methods or self.methods
        traces = [[self._traces[problem, m, seed] for m in methods] for seed in self.seeds(problem, methods)]
        return np.array(traces) - self._lowest[problem]

    def ranks(self) -> list[Floats]:
        """Return for each problem the ranks of its runs, (seeds, methods, trials): 1 is the best, ties share."""
        return [_ranks(self.regrets(problem)) for problem in self.problems]


def rank_table(comparison: Comparison) -> str:
    """Return the mean ranks and their 90 % intervals."""
    ranks = comparison.ranks()
    drawn = _draw_again(ranks)
    lines = [
        f"Mean rank of {len(comparison.methods)} over {len(ranks)} problems, {_range(map(len, ranks))} seeds each, and "
        "its 90 % interval where problems and seeds are drawn again:",
        "",
        f"| method | {' | '.join(f'after {look}' for look in comparison.looks)} | seconds a run |",
        "| --- |" + " --- |" * (len(comparison.looks) + 1),
    ]
    for i, method in enumerate(comparison.methods):
        cells = [
            _with_interval([r[:, i, look - 1] for r in ranks], drawn[:, i, look - 1], ".2f")
            for look in comparison.looks
        ]
        lines.append(f"| {NAMES[method]} | {' | '.join(cells)} | {comparison.seconds[method]:.1f} |")
    return "\n".join(lines) + "\n"


def wins_table(comparisons: Sequence[Comparison]) -> str:
    """Return the share of wins of `gp` against each other method, from comparisons of `gp` with one of them."""
    looks = comparisons[0].looks if comparisons else RANKED_AFTER
    lines = [
        "Share of the runs in which `gp` has a lower regret, and its 90 % interval; a tie counts half:",
        "",
        f"| against | seeds | {' | '.join(f'after {look}' for look in looks)} |",
        "| --- | --- |" + " --- |" * len(looks),
    ]
    for comparison in comparisons:
        wins = [2 - rank[:, :1] for rank in comparison.ranks()]
        drawn = _draw_again(wins)
        cells = [_with_interval([w[:, 0, look - 1] for w in wins], drawn[:, 0, look - 1], ".0%") for look in looks]
        lines.append(f"| {NAMES[comparison.methods[1]]} | {_range(map(len, wins))} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def regret_table(comparison: Comparison) -> str:
    """Return the median regret of each problem after each look."""
    lines = [
        f"Median regret after {' / '.join(map(str, comparison.looks))} trials (seeds):",
        "",
        f"| problem | {' | '.join(NAMES[method] for method in comparison.methods)} |",
        "| --- |" + " --- |" * len(comparison.methods),
    ]
    for problem in comparison.problems:
        cells = []
        for method in comparison.methods:
            regrets = comparison.regrets(problem, [method])[:, 0]
            medians = np.median(regrets, axis=0)
            cells.append(" / ".join(f"{medians[look - 1]:.2g}" for look in comparison.looks) + f" ({len(regrets)})")
        lines.append(f"| {problem} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def plot(comparisons: dict[str, Comparison], path: Path) -> None:
    """Draw the mean rank after each trial, a panel for each comparison."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(9, 6.6), sharex=True, sharey=True)
    colors = {method: f"C{number}" for number, method in enumerate(NAMES)}
    for axis, (title, comparison) in zip(axes.flat, comparisons.items(), strict=True):
        curves = np.mean([rank.mean(0) for rank in comparison.ranks()], axis=0)
        for method, curve in zip(comparison.methods, curves, strict=True):
            label, width = NAMES[method].replace("`", ""), 2.5 if method == "gp" else 1.2
            axis.plot(range(1, BUDGET + 1), curve, label=label, color=colors[method], linewidth=width)
        axis.set(title=title, xlim=(1, BUDGET))
        axis.grid(alpha=0.3)
    figure.supxlabel("trials")
    figure.supylabel("mean rank (1 is the best)")
    axes[1, 1].legend(*axes[0, 0].get_legend_handles_labels(), fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)


def _trace(run: Run, trials: int) -> Floats:
    """Return the true value of the best trial after each trial, (trials,)."""
    trace = np.full(trials, np.nan)
    for trial, value in run["best"]:
        trace[trial - 1 :] = value
    return trace


def _lowest(name: str, lowest: float | None, runs: Sequence[Run]) -> float:
    """Return the lowest value, or if unknown the lowest that any run has found."""
    if lowest is not None:
        return lowest
    return min((value for run in runs if run["problem"] == name for _, value in run["best"]), default=np.nan)


def _ranks(regrets: Floats) -> Floats:
    own, others = regrets[:, :, None], regrets[:, None]
    ties = np.abs(own - others) <= 1e-9
    ranks: Floats = 0.5 + ((others < own) & ~ties).sum(2) + ties.sum(2) / 2
    return ranks


def _draw_again(ranks: Sequence[Floats]) -> Floats:
    """Return means, (DRAWS, methods, trials), of problems drawn again, and of seeds drawn again in each of them."""
    rng = np.random.default_rng(0)
    means = []
    for _ in range(DRAWS):
        problems = [ranks[i] for i in rng.integers(len(ranks), size=len(ranks))]
        means.append(np.mean([rank[rng.integers(len(rank), size=len(rank))].mean(0) for rank in problems], axis=0))
    return np.array(means)


def _with_interval(of_problems: Sequence[Floats], drawn: Floats, form: str) -> str:
    low, high = np.quantile(drawn, [0.05, 0.95])
    mean = np.mean([values.mean() for values in of_problems])
    return f"{mean:{form}} ({low:{form}} to {high:{form}})"


def _range(numbers: Iterable[int]) -> str:
    counts = list(numbers)
    return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
