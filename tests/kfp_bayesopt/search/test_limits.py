"""Limits on metrics, as the search and the end of a study see them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.proposing.early_end import reason_to_stop
from kfp_bayesopt.proposing.recommendation import recommend
from kfp_bayesopt.search.engine import replay
from kfp_bayesopt.search.gp import proposal
from kfp_bayesopt.search.ledger_engine import LedgerEngine
from kfp_bayesopt.study.study import Study
from tests.asking import search
from tests.builders import a_record, a_study

SPACE: dict[str, Any] = {name: {"type": "real", "low": 0.0, "high": 1.0} for name in ("x", "y")}


def limited(**changes: Any) -> Study:
    """Return a study whose best value lies where the limit is broken."""
    asked = {"space": SPACE, "objective": {"python": "a:b", "value": "loss"}, "limits": {"latency": "<= 0.6"}}
    return a_study(**{**asked, "iterations": 6, "parallel_trials": 4, **changes})


def ran(study: Study) -> list[Record]:
    """Run a study whose value is best at (0.9, 0.3), and whose latency is x."""
    return search(study, lambda x, y: {"value": (x - 0.9) ** 2 + (y - 0.3) ** 2, "latency": x}).ledger


@pytest.mark.parametrize("engine", ["gp", pytest.param("skopt", marks=pytest.mark.long)])
def test_the_search_learns_where_limits_are_broken(engine: str) -> None:
    free, kept = (
        [r for r in ran(limited(optimizer={"engine": engine}, limits=limits))[12:] if r.values["latency"] <= 0.6]
        for limits in ({}, {"latency": "<= 0.6"})
    )
    assert len(kept) > len(free)


def test_trials_outside_the_limits_are_no_failures() -> None:
    study = limited(max_failed_trials=0)
    ledger = [a_record(study, n, values={"value": 1.0, "latency": 2.0}) for n in range(1, 5)]
    assert reason_to_stop(study, ledger) is None


def test_the_target_is_not_reached_by_a_trial_outside_the_limits() -> None:
    study = limited(stop={"target": 0.5})
    outside = a_record(study, 1, values={"value": 0.1, "latency": 2.0})
    assert reason_to_stop(study, [outside]) is None
    inside = a_record(study, 2, values={"value": 0.4, "latency": 0.5})
    stop = reason_to_stop(study, [outside, inside])
    assert stop is not None
    assert stop.reason == "the best value, 0.4, has reached 0.5 (stop.target)"


def test_no_trial_outside_the_limits_is_recommended() -> None:
    study = limited(noisy=True)
    found = recommend(study, ran(study))
    assert found is not None
    assert found.parameters["x"] <= 0.6  # type: ignore[operator]


def test_a_metric_that_a_trial_was_stopped_before_it_had_breaks_no_limit() -> None:
    """It says nothing of the limit: neither that it is broken there, nor that it is kept."""
    study = limited(optimizer={"engine": "gp"})
    ended = ran(study)
    early = [
        a_record(study, 25 + n, iteration=7, parameters={"x": 0.1, "y": n / 4}, state="stopped", values={"value": 0.7})
        for n in range(4)
    ]
    engine = replay(study, [*ended, *early])
    assert isinstance(engine, LedgerEngine)
    assert np.isfinite(engine.values[-4:]).all(), "they are no failures"
    view = engine._view([], set())
    (limit,) = proposal._acquisition(view).conditions
    (without,) = proposal._acquisition(replay(study, ended)._view([], set())).conditions  # type: ignore[attr-defined]
    assert len(limit.model.points) == len(ended)
    assert np.array_equal(limit.model.values, without.model.values)
    assert len(engine.suggest(2)) == 2
    only = replay(study, early)
    assert len(only.suggest(2)) == 2, "where nothing is known of a limit there is a search too"


def test_limits_that_no_trial_has_kept_are_approached() -> None:
    study = limited(limits={"latency": "<= 0.01"}, iterations=5, optimizer={"engine": "gp"})
    latencies = [record.values["latency"] for record in ran(study)]
    assert min(latencies[:4]) > 0.01, "the start does not keep them"
    assert min(latencies) <= 0.01
