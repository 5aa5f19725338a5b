"""How long a study takes, simulated."""

from __future__ import annotations

import random
from statistics import median
from typing import Any

import pytest

from kfp_bayesopt_pipeline.plan.simulation import Machines, Taken, TrialTime, between, repeat, simulate
from tests.builders import a_study

WORKERS: dict[str, Any] = {"schedule": "asynchronous", "optimizer": {"engine": "gp"}}


def taken(seconds: list[float], start: float = 5, **changes: Any) -> Taken:
    asked = {"iterations": None, "trials": len(seconds), "parallel_trials": 2, **changes}
    return simulate(a_study(**asked), seconds, Machines(start, step_seconds=1), random.Random(1))


def test_a_batch_takes_as_long_as_its_longest_trial_and_each_step_starts() -> None:
    # init, two batches with an update each, report
    assert taken([10, 20, 30, 40]) == Taken(wall=6 + (25 + 6) + (45 + 6) + 6, trials=120, steps=24)


def test_no_trial_takes_longer_than_it_may() -> None:
    assert taken([10, 20, 30, 40], max_trial_seconds=25) == taken([10, 20, 25, 25])


def test_no_more_trials_than_max_parallel_run_at_once() -> None:
    assert taken([10, 20], max_parallel=1).wall == 6 + (15 + 25) + 6 + 6


def test_workers_start_once_and_wait_for_nobody() -> None:
    # the first: 10, then 30; the second: 20, then 40
    assert taken([10, 20, 30, 40], **WORKERS) == Taken(wall=6 + (5 + 60) + 6, trials=(5 + 40) + (5 + 60), steps=12)


def test_a_machine_that_is_taken_away_costs_its_trial_again() -> None:
    study = a_study(iterations=1, parallel_trials=1, optimizer={"engine": "gp"})
    often = Machines(start_seconds=60, step_seconds=1, losses_per_hour=2.0)
    lost = [simulate(study, [3600.0], often, random.Random(seed)).trials - 3660 for seed in range(200)]
    assert min(lost) == 0
    assert max(lost) > 3600
    assert simulate(study, [3600.0], Machines(60, 1), random.Random(1)).trials == 3660


def test_machines_that_never_last_long_enough_end_too() -> None:
    study = a_study(iterations=1, parallel_trials=1)
    assert simulate(study, [1e6], Machines(1, 1, losses_per_hour=10), random.Random(1)).wall < 1e9


@pytest.mark.parametrize(
    ("minutes", "start", "schedule", "wall", "machine"),
    [
        (5, 150, "batches", 327, 1384), (5, 150, "asynchronous", 129, 949), (1, 150, "asynchronous", 34, 224),
        (5, 20, "batches", 232, 973), (30, 150, "asynchronous", 721, 5484),
    ],
)  # fmt: skip
def test_it_agrees_with_a_simulation_that_somebody_else_wrote(
    minutes: float, start: float, schedule: str, wall: float, machine: float
) -> None:
    """20 x 8 trials, log-normal with a spread of 0.5, minutes."""
    budget = {"iterations": None, "trials": 160} if schedule == "asynchronous" else {"iterations": 20}
    study = a_study(parallel_trials=8, schedule=schedule, optimizer={"engine": "gp"}, **budget)
    runs = repeat(study, TrialTime(minutes * 60, 0.5), Machines(start, 10))
    assert median(each.wall for each in runs) / 60 == pytest.approx(wall, rel=0.2)
    assert median(each.trials for each in runs) / 60 == pytest.approx(machine, rel=0.2)


@pytest.mark.parametrize("start", [0, 20, 150])
@pytest.mark.parametrize("schedule", ["batches", "asynchronous"])
def test_after_ten_trials_the_rest_is_known_within_a_fifth(schedule: str, start: float) -> None:
    """Of studies whose trials take a median and a spread that the plan does not know."""
    budget = {"iterations": None, "trials": 40} if schedule == "asynchronous" else {"iterations": 10}
    study = a_study(parallel_trials=4, schedule=schedule, optimizer={"engine": "gp"}, **budget)
    machines = Machines(start, 1)
    right = 0
    for seed in range(20):
        rng = random.Random(f"truth {seed}")
        spread = rng.choice([0.2, 0.35, 0.5])
        seconds = TrialTime(10 ** rng.uniform(1, 4), spread).draw(study.budget, rng)
        truth = simulate(study, seconds, machines, rng)
        runs = repeat(study, TrialTime.of(seconds[:10]), machines)
        wall = median(each.wall for each in runs) / truth.wall
        trials = median(each.trials for each in runs) / truth.trials
        right += abs(wall - 1) <= 0.2 and abs(trials - 1) <= 0.2
    assert right >= 16, right


def test_trials_that_have_ended_count_as_they_were() -> None:
    known = TrialTime.of([10.0, 20.0, 40.0])
    assert known.draw(5, random.Random(1))[:3] == [10, 20, 40]
    assert known.draw(2, random.Random(1)) == [10, 20]
    assert known.median == pytest.approx(20)


def test_between_is_from_the_tenth_to_the_ninetieth_percentile() -> None:
    assert between([Taken(float(n), 0, 0) for n in range(101)], lambda each: each.wall) == (10, 90)
