"""Both schedules: trials in the same time, idle machines and best values, in real processes and simulated.

The simulation has a clock of its own, and the real engine: each suggestion is computed from the state that a worker
would see at that moment. Durations of trials are log-normal. The runs of the 18 problems take half an hour, and are
kept in `schedule.jsonl`; `python -m benchmarks.schedule` makes the missing ones.
"""

from __future__ import annotations

import heapq
import json
import math
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import ROOT
from benchmarks.problems import PROBLEMS, Problem
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.proposing.asynchronous import suggest_beside
from kfp_bayesopt.search.engine import new_engine
from kfp_bayesopt.study.study import Study

RESULTS = Path(__file__).parent / "schedule.jsonl"
PLOT = Path(__file__).parent.parent / "docs" / "performance" / "schedule.png"
PYTHON = str(ROOT / ".venv" / "bin" / "python")
SIGMA = 0.5
"""Standard deviation of the logarithm of a trial's seconds: the slowest of ten takes twice the median."""
MEDIAN_SECONDS = 60.0
ENGINE_SECONDS = 0.3
"""The duration of a suggestion in a worker; meanwhile others do not know it."""
SEEDS = 5
PARALLEL = 8
STARTUP = 20.0
ITERATIONS = 8


@dataclass
class Run:
    """A simulated study.

    Attributes:
        spans: Worker, begin and end of each trial, in seconds.
        values: The true value of each trial; empty without an engine.
        records: The records for the engine.
    """

    spans: list[tuple[int, float, float]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def trials_by(self, end: float) -> int:
        """Return the number of trials that have ended by a moment."""
        return sum(until <= end for _, _, until in self.spans)

    def best_by(self, end: float) -> float:
        """Return the lowest true value of the trials that have ended by a moment."""
        ended = [value for value, (_, _, until) in zip(self.values, self.spans, strict=True) if until <= end]
        return min(ended, default=math.inf)

    def idle(self, workers: int, end: float) -> float:
        """Return the share of the workers' time until a moment without a trial."""
        busy = sum(min(until, end) - begin for _, begin, until in self.spans if begin < end)
        return 1 - busy / (workers * end)


def study_of(problem: Problem, seed: int, parallel: int) -> Study:
    """Return the study of a problem."""
    asked = {
        "name": "benchmark", "objective": {"python": "m:f"}, "iterations": 1000, "parallel_trials": parallel,
        "space": problem.space, "optimizer": {"engine": "gp", "random_state": seed},
    }  # fmt: skip
    return Study.from_text(json.dumps(asked).encode())


def seconds_of(seed: int, trial: int) -> float:
    """Return the duration of a trial, the same for both schedules."""
    return MEDIAN_SECONDS * math.exp(SIGMA * float(np.random.default_rng([seed, trial]).standard_normal()))


def _evaluate(problem: Problem, study: Study, seed: int, trial: int, parameters: Any, run: Run) -> None:
    value = problem.function(**parameters)
    noise = problem.noise * float(np.random.default_rng([seed, trial, 1]).standard_normal())
    run.values.append(value)
    run.records.append(
        Record(
            study=study.name, fingerprint=study.fingerprint, trial=trial, parameters=parameters, state="completed",
            values={"value": value + noise}, started="2026-01-01T00:00:00+00:00", seconds=0,
        )
    )  # fmt: skip


def in_batches(problem: Problem | None, seed: int, parallel: int, startup: float, iterations: int) -> tuple[Run, float]:
    """Simulate batches, and return the run and its duration: each step pays a start."""
    run, clock = Run(), startup  # of `init`
    study = problem and study_of(problem, seed, parallel)
    engine = study and new_engine(study)
    for iteration in range(iterations):
        points = engine.suggest(parallel) if engine else [{}] * parallel
        clock += startup
        ends = []
        for worker, parameters in enumerate(points):
            trial = iteration * parallel + worker + 1
            ends.append(clock + seconds_of(seed, trial))
            run.spans.append((worker, clock, ends[-1]))
            if problem and study:
                _evaluate(problem, study, seed, trial, parameters, run)
        if engine:
            engine.learn(run.records[-parallel:])
        clock = max(ends) + startup  # of `update`
    return run, clock


def asynchronous(problem: Problem | None, seed: int, parallel: int, startup: float, until: float) -> Run:
    """Simulate workers up to a moment: each pays one start, and `init` before them another."""
    run = Run()
    study = problem and study_of(problem, seed, parallel)
    free = [(2 * startup, worker) for worker in range(parallel)]
    known: list[float] = []  # when the suggestion of each trial is there for others
    heapq.heapify(free)
    while free[0][0] < until:
        clock, worker = heapq.heappop(free)
        trial = len(run.spans) + 1
        begin = clock + ENGINE_SECONDS
        if problem and study:
            ended = [record for record, (_, _, end) in zip(run.records, run.spans, strict=True) if end <= clock]
            done = {record.trial for record in ended}
            running = [record for record in run.records if record.trial not in done]
            pending = {each.trial: each.parameters for each in running if known[each.trial - 1] <= clock}
            parameters = suggest_beside(study, ended, pending, len(running) - len(pending))
            _evaluate(problem, study, seed, trial, parameters, run)
        known.append(begin)
        end = begin + seconds_of(seed, trial)
        run.spans.append((worker, begin, end))
        heapq.heappush(free, (end, worker))
    return run


# --- the 18 problems -----------------------------------------------------------------------------


def compare(problem: Problem, seed: int) -> dict[str, Any]:
    """Simulate a problem with both schedules, and return their best values over time."""
    batches, end = in_batches(problem, seed, PARALLEL, STARTUP, ITERATIONS)
    workers = asynchronous(problem, seed, PARALLEL, STARTUP, end)
    budget = len(batches.spans)
    return {
        "problem": problem.name, "seed": seed, "seconds": end, "batches": batches.best_by(end),
        "batches at half": batches.best_by(end / 2), "asynchronous": workers.best_by(end),
        "asynchronous at half": workers.best_by(end / 2), "equal trials": min(workers.values[:budget]),
        "trials": [budget, workers.trials_by(end)],
    }  # fmt: skip


def _compare_one(case: tuple[int, int]) -> dict[str, Any]:
    return compare(PROBLEMS[case[0]], case[1])


def run_missing(processes: int = 2) -> None:
    """Make the missing runs."""
    there = {(row["problem"], row["seed"]) for row in read_runs()}
    cases = [
        (number, seed)
        for seed, number in product(range(SEEDS), range(len(PROBLEMS)))
        if (PROBLEMS[number].name, seed) not in there
    ]
    with ProcessPoolExecutor(processes) as pool, RESULTS.open("a") as file:
        for row in pool.map(_compare_one, cases):
            file.write(json.dumps(row) + "\n")
            file.flush()


def read_runs() -> list[dict[str, Any]]:
    """Return the existing runs."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def problems_table(runs: list[dict[str, Any]]) -> str:
    """Return the best values on each problem, as medians over the seeds."""
    rows, wins, equal = [], 0, 0
    for problem in PROBLEMS:
        own = [row for row in runs if row["problem"] == problem.name]
        if not own:
            continue
        found = {key: median(row[key] for row in own) - (problem.lowest or 0.0) for key in KEYS}
        wins += found["asynchronous at half"] < found["batches"]
        equal += found["equal trials"] <= found["batches"]
        rows.append(f"| {problem.name} | " + " | ".join(f"{found[key]:.3g}" for key in KEYS) + " |\n")
    gain = median(row["trials"][1] / row["trials"][0] for row in runs)
    return (
        f"Simulated with the engine `gp`: {PARALLEL} machines, {PARALLEL * ITERATIONS} trials in batches, median trial "
        f"{MEDIAN_SECONDS:g} s, sigma {SIGMA:g}, start-up {STARTUP:g} s; medians of "
        f"{len({row['seed'] for row in runs})} seeds of the regret, or of the best value where the lowest is unknown. "
        f"In the same time workers evaluated {gain:.1f} times the trials. After half of it they were ahead of batches "
        f"after all of it on {wins} of {len(rows)} problems. With as many trials they were as good or better on "
        f"{equal} of {len(rows)}.\n\n"
        "| problem | batches | workers | workers, half the time | workers, as many trials |\n"
        "| --- | --- | --- | --- | --- |\n" + "".join(rows)
    )


KEYS = ("batches", "asynchronous", "asynchronous at half", "equal trials")


# --- how many trials -----------------------------------------------------------------------------


def trials_table(seeds: int = 50) -> str:
    """Return the number of trials that workers evaluate in the time of batches, and the idle share of machines."""
    rows = []
    for parallel in (4, 8, 16, 32, 64):
        cells = []
        for startup in (0.0, 20.0, 150.0):
            gains, idle, idle_workers = [], [], []
            for seed in range(seeds):
                batches, end = in_batches(None, seed, parallel, startup, 10)
                workers = asynchronous(None, seed, parallel, startup, end)
                gains.append(workers.trials_by(end) / len(batches.spans))
                idle.append(batches.idle(parallel, end))
                idle_workers.append(workers.idle(parallel, end))
            cells.append(f"{median(gains):.2f} ({median(idle):.0%}, {median(idle_workers):.0%})")
        rows.append(f"| {parallel} | {' | '.join(cells)} |\n")
    return (
        f"Simulated, 10 batches, median trial {MEDIAN_SECONDS:g} s, sigma {SIGMA:g}: trials of workers for each trial "
        "of batches in the same time, and in brackets which share of the machines' time no trial ran, with batches "
        f"and with workers; medians of {seeds} seeds.\n\n"
        "| machines | start-up 0 s | 20 s | 150 s |\n| --- | --- | --- | --- |\n" + "".join(rows)
    )


# --- real processes --------------------------------------------------------------------------------

OBJECTIVE = """
import os, random, time
def objective(x):
    time.sleep({median} * random.Random(int(os.environ["BAYESOPT_TRIAL"])).lognormvariate(0, {sigma}))
    return x
"""
REAL_MEDIAN = 2.0
REAL_ITERATIONS = 6


def real(runs: int = 3) -> str:
    """Return the figures of both schedules on this machine in equal time: 8 sleeping processes, engine `random`."""
    rows = []
    for _ in range(runs):
        ends, seconds = _really("batches", PARALLEL * REAL_ITERATIONS)
        busy = sum(length for _, length in ends)
        # More than they can do in this time; trials that end later do not count.
        others, _ = _really("asynchronous", 3 * PARALLEL * REAL_ITERATIONS)
        busy_workers = sum(length - max(0.0, end - seconds) for end, length in others if end - length < seconds)
        rows.append(
            (
                len(ends), sum(end <= seconds for end, _ in others), seconds, 1 - busy / (PARALLEL * seconds),
                1 - busy_workers / (PARALLEL * seconds),
            )
        )  # fmt: skip
    trials, trials_workers, seconds, idle, idle_workers = (median(column) for column in zip(*rows, strict=True))
    return (
        f"Real processes on this machine: {PARALLEL} that sleep, median {REAL_MEDIAN:g} s, sigma {SIGMA:g}, engine "
        f"`random`, in the {seconds:.0f} s that `bayesopt run` takes for {trials:.0f} trials in batches, its start and "
        f"exit included; medians of {runs} runs.\n\n"
        "| schedule | trials | ratio | share of the time that a process waited |\n"
        "| --- | --- | --- | --- |\n"
        f"| batches | {trials:.0f} | 1 | {idle:.0%} |\n"
        f"| asynchronous | {trials_workers:.0f} | {trials_workers / trials:.2f} | {idle_workers:.0%} |\n"
    )


def _really(schedule: str, trials: int) -> tuple[list[tuple[float, float]], float]:
    """Run a study, and return end and duration of each trial in seconds, and the duration of the whole."""
    with tempfile.TemporaryDirectory() as folder:
        study = {
            "name": "sleeps", "objective": {"python": "mine:objective"}, "schedule": schedule, "trials": trials,
            "parallel_trials": PARALLEL, "optimizer": {"engine": "random"},
            "space": {"x": {"type": "real", "low": 0.0, "high": 1.0}},
        }  # fmt: skip
        path, out = Path(folder, "study.yaml"), Path(folder, "out")
        path.write_text(json.dumps(study))
        path.with_name("mine.py").write_text(OBJECTIVE.format(median=REAL_MEDIAN, sigma=SIGMA))
        command = [PYTHON, "-m", "pipeline", "run", str(path), "--out", str(out), "--jobs", str(PARALLEL)]
        began = time.time()
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.time() - began
        ended = []
        for line in (out / "trials.jsonl").read_text().splitlines():
            record = json.loads(line)
            start = datetime.fromisoformat(record["started"]).timestamp() - began
            ended.append((start + record["seconds"], record["seconds"]))
        return ended, seconds


# --- the picture -----------------------------------------------------------------------------------


def plot(path: Path) -> None:
    """Draw the trials of each machine, with both schedules."""
    from matplotlib import pyplot

    batches, end = in_batches(None, 1, PARALLEL, STARTUP, 4)
    runs = {"batches": batches, "asynchronous": asynchronous(None, 1, PARALLEL, STARTUP, end)}
    figure, axes = pyplot.subplots(2, 1, figsize=(9, 5), sharex=True)
    for axis, (name, run) in zip(axes, runs.items(), strict=True):
        for worker, begin, until in _clipped(run, end):
            axis.barh(worker, until - begin, left=begin, height=0.8, color="#2a6f97", edgecolor="white")
        idle = run.idle(PARALLEL, end)
        axis.set_title(f"{name}: {run.trials_by(end)} trials, {idle:.0%} of the machines' time idle", loc="left")
        axis.set_ylabel("machine")
        axis.set_yticks([])
        axis.set_facecolor("#f4d9c6")  # time that is paid for, and in which no trial runs
        axis.set_xlim(0, end)
    axes[-1].set_xlabel(f"seconds; median trial {MEDIAN_SECONDS:g} s, start-up {STARTUP:g} s")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _clipped(run: Run, end: float) -> Iterator[tuple[int, float, float]]:
    for worker, begin, until in run.spans:
        if begin < end:
            yield worker, begin, min(until, end)


def measure() -> str:
    """Return the figures as Markdown, and draw the picture."""
    plot(PLOT)
    run_missing()
    picture = "![When machines work with both schedules](performance/schedule.png)\n"
    return "\n".join([picture, real(), trials_table(), problems_table(read_runs())])


if __name__ == "__main__":
    run_missing()
