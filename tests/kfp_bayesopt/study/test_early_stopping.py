"""The rules of early stopping: where trials are compared, and which go on."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.trials import Compared, Rung
from kfp_bayesopt.study.early_stopping import EarlyStopping
from tests.builders import a_study, several


def rule(name: str = "asha", **changes: Any) -> EarlyStopping:
    asked = {"min_steps": 1} | ({} if name == "median" else {"eta": 3})
    return EarlyStopping(**{"rule": name, "max_steps": 27, **asked, **changes})


@pytest.mark.parametrize(
    ("asked", "rungs"),
    [
        (rule(), [1, 3, 9]),
        (rule(min_steps=3, eta=2), [3, 6, 12, 24]),
        (rule(max_steps=28), [1, 3, 9, 27]),
        (rule(min_steps=26), [26]),
        (rule("hyperband"), [1, 3, 9]),
        (EarlyStopping(rule="asha", max_steps=27), [3, 6, 12, 24]),
        (EarlyStopping(rule="asha", max_steps=5), [1, 2, 4]),
        (EarlyStopping(rule="median", max_steps=27), [3, 6, 9, 12, 15, 18, 21, 24]),
        (rule("median", max_steps=5), [1, 2, 3, 4]),
        (rule("median", max_steps=100), list(range(1, 100, 5))),
        (rule("median", min_steps=30, max_steps=100), [30, 60, 90]),
        (rule(min_steps=10**6, max_steps=10**7), [10**6, 3 * 10**6, 9 * 10**6]),
    ],
)
def test_trials_are_compared_before_the_last_step(asked: EarlyStopping, rungs: list[int]) -> None:
    assert asked.rungs == rungs


def test_one_of_eta_goes_on_and_the_first_ones_do_not_wait() -> None:
    asked = rule()
    assert not asked.stops(9.0, [], "minimize")
    assert not asked.stops(9.0, [1.0], "minimize"), "one alone tells nothing"
    assert asked.stops(9.0, [1.0, 2.0], "minimize")
    assert not asked.stops(0.5, [1.0, 2.0], "minimize")
    assert not asked.stops(1.0, [1.0, 2.0], "minimize"), "as good as the best"
    assert asked.stops(0.5, [1.0, 2.0], "maximize")
    others = [float(each) for each in range(8)]
    assert [asked.stops(value, others, "minimize") for value in (1.5, 2.5, 3.5)] == [False, True, True]


def test_the_median_counts_from_four_others_on() -> None:
    asked = rule("median")
    assert not asked.stops(9.0, [1.0, 2.0, 3.0], "minimize")
    assert asked.stops(9.0, [1.0, 2.0, 3.0, 4.0], "minimize")
    assert not asked.stops(2.5, [1.0, 2.0, 3.0, 4.0], "minimize")
    assert asked.stops(2.4, [1.0, 2.0, 3.0, 4.0], "maximize")


def test_brackets_take_turns_and_one_compares_nobody() -> None:
    asked = rule("hyperband")
    assert [asked.bracket(trial) for trial in range(1, 6)] == [0, 1, 2, 3, 0]
    assert asked.are_compared(1, 5, 1)
    assert not asked.are_compared(1, 2, 3), "of another bracket"
    assert not asked.are_compared(2, 6, 1), "theirs begin later"
    assert asked.are_compared(2, 6, 3)
    assert not any(asked.are_compared(4, 8, step) for step in asked.rungs)
    assert all(rule().are_compared(1, 2, step) for step in (1, 3, 9))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"rule": "asha"}, "early_stopping.max_steps: required key is missing"),
        ({"rule": "asha", "max_steps": 5, "min_steps": 5}, "min_steps < max_steps must hold, but got min_steps=5"),
        ({"rule": "median", "max_steps": 5, "eta": 2}, "eta: the rule `median` has none; remove the key"),
        ({"rule": "medianstop", "max_steps": 5}, "early_stopping.rule"),
        ({"rule": "asha", "max_steps": 2.5}, "early_stopping.max_steps"),
        ({"rule": "asha", "max_step": 5}, "early_stopping.max_step: unknown key; did you mean 'max_steps'?"),
    ],
)
def test_what_is_no_rule_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as raised:
        a_study(early_stopping=asked)
    assert said in raised.value.message


def test_several_objectives_have_no_order() -> None:
    with pytest.raises(UserError, match="early_stopping: several objectives have no value to compare trials by"):
        several(early_stopping={"rule": "asha", "max_steps": 9})


def test_neither_the_rule_nor_the_curve_identify_a_study() -> None:
    objective = {"command": ["train", "{x1}", "{x2}"], "value": "loss"}
    plain = a_study(objective=objective)
    curve = {**objective, "intermediate": {"name": "loss", "step": "epoch"}}
    asked = a_study(objective=curve, early_stopping={"rule": "median", "max_steps": 9})
    assert asked.fingerprint == plain.fingerprint
    assert a_study(objective={**objective, "intermediate": "loss"}).objective.intermediate is not None


def test_a_decision_can_be_checked_by_what_it_saw() -> None:
    study = a_study()
    rung = Rung(
        study=study.name, fingerprint=study.fingerprint, trial=3, attempt=1, step=1, value=9.0, rule=rule(),
        seen=[Compared(trial=1, value=1.0), Compared(trial=2, value=2.0)], stopped=True,
        at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    assert rung.mistake(study, {1: 1.0, 3: 9.0}) is None
    assert rung.mistake(study, {1: 1.5}) == "trial 1 had 1.5 there, not 1.0"
    wrong = rung.model_copy(update={"value": 0.5})
    assert wrong.mistake(study, {}) == "the decision does not follow from its values"


def test_the_curve_identifies_a_study_whose_value_it_is() -> None:
    def fingerprint(**more: Any) -> str:
        return a_study(objective={"command": ["train"], "args": "flags", **more}).fingerprint

    of_curve = {"value": {"source": "intermediate"}}
    assert fingerprint(**of_curve) != fingerprint()
    assert fingerprint(**of_curve, intermediate="loss") != fingerprint(**of_curve, intermediate="error")
    assert fingerprint(**of_curve) != fingerprint(value={"source": "intermediate", "take": "best"})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "give either name or pattern, and not both"),
        ({"name": "loss", "pattern": "(.)"}, "give either name or pattern, and not both"),
        ({"pattern": "(?P<value>.)", "step": "epoch"}, "the pattern finds the step, in a group called `step`"),
        ({"pattern": "loss"}, "must have one group, or one called `value`"),
        ({"pattern": "("}, "not a regular expression of Python"),
        ({"pattern": "(?P<value>.)(?P<other>.)"}, "its groups are called `value` and `step`"),
    ],
)
def test_what_says_no_intermediate_value_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        a_study(objective={"command": ["train"], "args": "flags", "intermediate": asked})


def test_a_step_has_one_value() -> None:
    with pytest.raises(UserError, match="with a step there is one value"):
        a_study(objective={"python": "a:b", "value": {"source": "intermediate", "take": "best", "step": 3}})
