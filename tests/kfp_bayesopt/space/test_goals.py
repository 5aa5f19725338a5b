"""Limits on metrics: what keeps them, what is best then, and what is said of those that break them."""

from __future__ import annotations

from typing import Any

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.space.goals import broken, excess, loss
from kfp_bayesopt.space.limits import Limit
from kfp_bayesopt.study.study import Study
from tests.builders import a_record, a_study, study_text

MAPPED = {"python": "mine:f", "value": "loss"}


def limited(**limits: str) -> Study:
    """Return a study with limits."""
    return a_study(objective=MAPPED, limits=limits)


def trial(study: Study, number: int, value: float, **metrics: float) -> Record:
    """Return a completed trial with metrics."""
    return a_record(study, number, values={"value": value, **metrics})


@pytest.mark.parametrize(
    ("text", "kept", "not_kept"),
    [("<= 100", [-5.0, 100.0], [100.1]), (">= 0.5", [0.5, 9.0], [0.4]), (" <=-1e-3 ", [-1.0, -1e-3], [0.0])],
)
def test_a_limit_is_the_lowest_or_the_highest_value_of_a_metric(
    text: str, kept: list[float], not_kept: list[float]
) -> None:
    limit = Limit.parse("m", text)
    assert all(limit.excess(value) <= 0 for value in kept)
    assert all(limit.excess(value) > 0 for value in (*not_kept, None))


@pytest.mark.parametrize(
    "text", [100, None, [1], "100", "< 100", "== 3", "<= a", "<= nan", "<= inf", "<= 1e999", "<= 1 2", "<=", ""]
)
def test_what_is_no_limit_is_told_what_one_is(text: Any) -> None:
    with pytest.raises(UserError, match=r"limits.latency: must be <= or >= and a number, such as '<= 100', but got"):
        limited(latency=text)


@pytest.mark.parametrize("number", ["9" * 300, "1e-4", "true", "{a: 1}"])
def test_a_limit_that_is_no_text_is_one_message(number: str) -> None:
    content = study_text(objective=MAPPED).decode()[:-1] + f', "limits": {{"latency": {number}}}}}'
    with pytest.raises(UserError, match=r"^study: (limits.latency: must be <= or|line 1: a number has at most 250)"):
        Study.from_text(content.encode())


def test_limits_need_metrics_with_names() -> None:
    with pytest.raises(
        UserError, match=r"limits: the source 'returned' gives one number without a name.*objective.value"
    ):
        a_study(limits={"latency": "<= 1"})


def test_limits_do_not_identify_a_study() -> None:
    assert limited(latency="<= 1").fingerprint == a_study(objective=MAPPED).fingerprint


def test_the_best_trial_keeps_all_limits() -> None:
    study = limited(latency="<= 100", size=">= 2")
    ledger = [
        trial(study, 1, 1.0, latency=101, size=3),
        trial(study, 2, 2.0, latency=5, size=1),
        trial(study, 3, 4.0, latency=100, size=2),
        trial(study, 4, 3.0, latency=100),
        a_record(study, 5, None),
    ]
    best = Best.of(study, ledger)
    assert (best.trial, best.value, best.metrics) == (3, 4.0, {"latency": 100, "size": 2})
    assert (best.completed, best.failed, best.outside, best.nearest, best.missing) == (4, 1, 3, None, None)
    assert list(broken(study, ledger[0])) == ["latency 101, not <= 100"]
    assert list(broken(study, ledger[3])) == ["size is missing, not >= 2"]
    assert [loss(study, record) for record in ledger] == [None, None, 4.0, None, None]


def test_where_no_trial_keeps_all_limits_the_nearest_is_named() -> None:
    study = limited(latency="<= 100", size="<= 2")
    ledger = [
        trial(study, 1, 1.0, latency=150, size=1),
        trial(study, 2, 1.0, latency=110, size=1),
        trial(study, 3, 1.0, latency=101, size=2.001),
    ]
    best = Best.of(study, ledger)
    assert (best.value, best.metrics, best.outside, best.nearest) == (None, None, 3, "trial 2: latency 110, not <= 100")
    assert best.missing == (
        "none of the 3 completed trials keeps all limits; the nearest is trial 2: latency 110, not <= 100"
    )
    assert excess(study, ledger[0]) == (1, 0.5)


@pytest.mark.parametrize("changes", [{"direction": "maximize"}, {}])
def test_without_limits_every_completed_trial_counts(changes: dict[str, Any]) -> None:
    study = a_study(**changes)
    best = Best.of(study, [a_record(study, 1, 2.0), a_record(study, 2, 1.0)])
    assert (best.trial, best.outside, best.metrics) == (1 if changes else 2, None, None)
