"""The simulation of both schedules: its clock, its machines, and what is counted."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from benchmarks.problems import PROBLEMS
from benchmarks.schedule import (
    ITERATIONS,
    KEYS,
    PARALLEL,
    Run,
    asynchronous,
    compare,
    in_batches,
    problems_table,
    read_runs,
    seconds_of,
)


def test_a_batch_waits_for_its_slowest_trial_and_pays_two_starts() -> None:
    run, end = in_batches(None, 1, 4, 10.0, 2)
    slowest = [max(seconds_of(1, trial) for trial in batch) for batch in (range(1, 5), range(5, 9))]
    assert end == pytest.approx(10 + sum(slowest) + 4 * 10)
    assert run.trials_by(end) == 8
    assert run.idle(4, end) == pytest.approx(1 - sum(seconds_of(1, trial) for trial in range(1, 9)) / (4 * end))


def test_workers_wait_for_nobody() -> None:
    run = asynchronous(None, 1, 4, 10.0, 1000.0)
    by_worker: dict[int, list[tuple[float, float]]] = {}
    for worker, begin, end in run.spans:
        by_worker.setdefault(worker, []).append((begin, end))
    assert len(by_worker) == 4
    for spans in by_worker.values():
        assert spans[0][0] == pytest.approx(20.3)
        assert all(after[0] - before[1] == pytest.approx(0.3) for before, after in pairwise(spans))


def test_what_ends_later_does_not_count() -> None:
    run = Run(spans=[(0, 0.0, 10.0), (1, 0.0, 20.0)], values=[3.0, 1.0])
    assert (run.trials_by(15), run.best_by(15), run.best_by(25)) == (1, 3.0, 1.0)
    assert run.idle(2, 20) == pytest.approx(0.25)


def test_both_schedules_try_the_same_start_and_a_run_is_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.schedule.ITERATIONS", 2)
    one, other = compare(PROBLEMS[0], 3), compare(PROBLEMS[0], 3)
    assert json.dumps(one) == json.dumps(other)
    assert one["trials"][0] == 2 * PARALLEL < one["trials"][1]


def test_the_table_has_every_problem_that_was_run_and_the_runs_are_complete() -> None:
    runs = read_runs()
    assert {row["problem"] for row in runs} == {problem.name for problem in PROBLEMS}
    assert {row["trials"][0] for row in runs} == {PARALLEL * ITERATIONS}
    table = problems_table(runs)
    assert table.count("\n| ") == len(PROBLEMS) + 2
    assert len(KEYS) == table.splitlines()[2].count("|") - 2
