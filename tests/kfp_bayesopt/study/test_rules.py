"""Every rule of early stopping: what holds for all of the list."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from kfp_bayesopt.study.early_stopping import EarlyStopping
from kfp_bayesopt.study.rules import RULES
from tests import ROOT

STEPS = [{"max_steps": 2}, {"max_steps": 27}, {"max_steps": 100, "min_steps": 7}, {"max_steps": 1000, "min_steps": 999}]
EACH = pytest.mark.parametrize(
    "asked",
    [
        EarlyStopping.model_validate({"rule": word, **steps, **more})
        for word, rule in RULES.items()
        for steps, more in itertools.product(STEPS, [{}, {"eta": 3}] if rule.has_eta else [{}])
    ],
    ids=str,
)


def stopped(asked: EarlyStopping, values: list[float], direction: str = "minimize") -> list[bool]:
    """Return which of some trials are stopped at a rung, each compared with all others."""
    return [asked.stops(value, values[:place] + values[place + 1 :], direction) for place, value in enumerate(values)]


def drawn(seed: int, count: int) -> list[float]:
    """Return values of trials, some of them equal."""
    numbers = random.Random(seed)
    return [round(numbers.gauss(0, 1), 1) for _ in range(count)]


@EACH
def test_a_rule_is_read_back_as_it_was_written(asked: EarlyStopping) -> None:
    again = EarlyStopping.model_validate_json(asked.model_dump_json())
    assert again == asked
    assert again.rungs == asked.rungs
    assert stopped(again, drawn(1, 20)) == stopped(asked, drawn(1, 20))


@EACH
def test_a_rule_compares_from_the_first_step_to_before_the_last(asked: EarlyStopping) -> None:
    rungs = asked.rungs
    assert rungs == sorted(set(rungs))
    assert rungs[0] >= (asked.min_steps or 1)
    assert rungs[-1] < asked.max_steps
    for one, other in itertools.product(range(1, 12), repeat=2):
        compared = [step for step in range(asked.max_steps + 1) if asked.are_compared(one, other, step)]
        assert set(compared) <= set(rungs)
        assert compared == [step for step in rungs if asked.are_compared(other, one, step)]
    assert any(asked.are_compared(1, other, rungs[0]) for other in range(2, 40))


@EACH
@pytest.mark.parametrize("count", [2, 5, 30])
def test_a_rule_decides_by_values_alone(asked: EarlyStopping, count: int) -> None:
    values = drawn(count, count)
    found = stopped(asked, values)
    assert not asked.stops(values[0], [], "minimize"), "alone"
    assert not found[values.index(min(values))], "the best"
    assert found == stopped(asked, [-value for value in values], "maximize")
    for value, is_stopped in zip(values, found, strict=True):
        others = list(values)
        others.remove(value)
        assert asked.stops(value, others[::-1], "minimize") is is_stopped, "in any order"
    limit = min((value for value, is_stopped in zip(values, found, strict=True) if is_stopped), default=float("inf"))
    assert all(is_stopped for value, is_stopped in zip(values, found, strict=True) if value > limit), "a worse one too"


@EACH
def test_a_rule_stops_the_worst_of_many(asked: EarlyStopping) -> None:
    values = [float(number) for number in range(40)]
    assert stopped(asked, values)[-1]


@pytest.mark.parametrize("word", RULES)
def test_a_rule_is_described(word: str) -> None:
    rule = RULES[word]
    assert rule.word == word
    assert f"`{word}`: {rule.says}." in (ROOT / "docs" / "study-reference.md").read_text()
    assert f"`{word}`" in (ROOT / "docs" / "early-stopping.md").read_text()


@pytest.mark.parametrize("word", [word for word, rule in RULES.items() if not rule.has_eta])
def test_a_rule_without_eta_refuses_it(word: str) -> None:
    asked: dict[str, Any] = {"rule": word, "max_steps": 9, "eta": 3}
    with pytest.raises(ValueError, match=f"eta: the rule `{word}` has none; remove the key"):
        EarlyStopping.model_validate(asked, context={"by": "person"})
