"""Every schedule: its order of tasks, what bounds them, and what is said of them."""

from __future__ import annotations

import re
from itertools import chain

import pytest

from kfp_bayesopt.steps import STEPS, step_given
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study
from tests import ROOT, builders
from tests.test_repository import tracked

SHAPES = [(1, 1, None), (7, 3, None), (12, 4, 2), (2, 5, 3), (40, 8, 100)]
"""Trials, how many side by side, and how many may run."""


def a_study(schedule: str, trials: int = 7, parallel: int = 3, **more: object) -> Study:
    """Return a study with a schedule."""
    return builders.a_study(
        schedule=schedule, iterations=None, trials=trials, parallel_trials=parallel, optimizer={"engine": "gp"}, **more
    )


EACH = pytest.mark.parametrize("word", SCHEDULES)


@EACH
def test_a_schedule_is_found_by_its_word_and_described(word: str) -> None:
    schedule = SCHEDULES[a_study(word).schedule]
    described = Study.model_fields["schedule"].description or ""
    assert schedule.word == word
    assert f"`{word}`: {schedule.says}." in described
    assert f"`{word}`: {schedule.says}." in (ROOT / "docs" / "study-reference.md").read_text()


@EACH
def test_a_schedule_hands_numbers_to_steps_that_there_are(word: str) -> None:
    schedule = SCHEDULES[word]
    steps = [step_given(given) for given in schedule.gives]
    assert len({step.name for step in steps}) == len(schedule.gives)
    assert all(step in STEPS.values() for step in steps)


@pytest.mark.parametrize(("trials", "parallel", "most"), SHAPES)
@EACH
def test_a_schedule_evaluates_each_trial_in_one_order(word: str, trials: int, parallel: int, most: int | None) -> None:
    schedule, asked = SCHEDULES[word], a_study(word, trials, parallel, max_parallel=most)
    stages = list(schedule.stages(asked))
    assert stages[0].given == schedule.gives[0]
    assert {stage.given for stage in stages} == set(schedule.gives)
    for stage in stages:
        assert len(stage.numbers) == 1 if stage.at_once is None else stage.at_once >= 1
        assert stage.given == "after" or (stage.at_once or 0) <= (most or parallel)
    numbers = list(chain.from_iterable(stage.numbers for stage in stages if stage.given == schedule.gives[0]))
    wanted = trials if schedule.gives[0] == "trial" else min(parallel, most or parallel, trials)
    assert numbers == list(range(1, wanted + 1))
    before = 0
    for stage in stages:  # nothing is proposed before the trials that it follows from
        assert stage.given != "after" or stage.numbers[0] == before
        before = max(before, *stage.numbers) if stage.given == "trial" else before


@pytest.mark.parametrize(("trials", "parallel", "most"), SHAPES)
@EACH
def test_a_schedule_ends_by_trials_that_have_ended(word: str, trials: int, parallel: int, most: int | None) -> None:
    schedule, asked = SCHEDULES[word], a_study(word, trials, parallel, max_parallel=most)
    assert schedule.settled(asked, ()) == 0
    found = [schedule.settled(asked, range(1, ended + 1)) for ended in range(trials)]
    assert found == sorted(found)
    assert all(settled <= ended for ended, settled in enumerate(found))
    if trials > 1:  # those before the last one are still under way
        assert schedule.settled(asked, {trials}) == (trials if schedule.claims_first else 0)


@EACH
def test_a_schedule_bounds_a_task_by_what_the_study_says(word: str) -> None:
    schedule = SCHEDULES[word]
    assert schedule.task_seconds(a_study(word)) is None
    short, long = (schedule.task_seconds(a_study(word, max_trial_seconds=seconds)) for seconds in (100, 1000))
    assert short is not None
    assert long is not None
    assert 100 < short < long


@EACH
def test_a_schedule_refuses_with_a_way_out(word: str) -> None:
    schedule = SCHEDULES[word]
    assert list(schedule.mistakes(a_study(word))) == []
    too_many = a_study(word).model_copy(update={"trials": 9999, "parallel_trials": 1})
    assert all("; say " in mistake for mistake in schedule.mistakes(too_many))


@EACH
def test_a_schedule_says_its_budget_and_ways_out(word: str) -> None:
    schedule, asked = SCHEDULES[word], a_study(word, 12, 4)
    numbers = [int(number) for number in re.findall(r"\d+", schedule.shape(asked))]
    assert numbers in ([12], [3, 4])
    helped = [schedule.against_idling(kind, "gp") for kind in ("starting", "proposing", "waiting")]
    assert all(helped)
    assert schedule.grows_with in Study.model_fields
    assert schedule.smaller
    assert schedule.quicker is None or (schedule.quicker in SCHEDULES and schedule.quicker != word)


def test_nothing_else_asks_for_a_schedule_by_its_word() -> None:
    """What differs is asked of the schedule."""
    word = re.compile(rf"[\"'](?:{'|'.join(SCHEDULES)})[\"']")
    found = {
        each
        for each in tracked()
        if each.startswith(("images/", "pipeline/"))
        and each.endswith(".py")
        and "/study/schedules/" not in each
        and word.search((ROOT / each).read_text())
    }
    assert found == set()
