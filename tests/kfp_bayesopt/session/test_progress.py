"""What a run shows of its trials."""

from __future__ import annotations

from typing import Any

import pytest

from kfp_bayesopt.cli.views import view_for
from kfp_bayesopt.folder.trials import Reason
from kfp_bayesopt.session.progress import Progress
from tests.builders import a_record, a_study, several


def shown(capsys: pytest.CaptureFixture[str], records: list[tuple[Any, bool]], **changes: Any) -> list[str]:
    """Return the lines about these records, and what comes after them."""
    with Progress(a_study(**changes), "out", 2, view_for()) as progress:
        for record, kept in records:
            progress.show(record, kept)
    return capsys.readouterr().out.splitlines()[1:]


STUDY = a_study()


def test_a_trial_is_one_line_with_the_best_value_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    records = [(a_record(STUDY, 1, 17.118423), False), (a_record(STUDY, 2, 25.0, iteration=2), False)]
    assert shown(capsys, records, iterations=10) == [
        "iteration  1/10  trial  1/20  x1=1.0 x2=2.0  value 17.1184  best 17.1184",
        "iteration  2/10  trial  2/20  x1=1.0 x2=2.0  value 25  best 17.1184",
    ]


def test_the_best_value_follows_the_direction(capsys: pytest.CaptureFixture[str]) -> None:
    study = a_study(direction="maximize")
    lines = shown(capsys, [(a_record(study, 1, 1.0), False), (a_record(study, 2, 2.0), False)], direction="maximize")
    assert [line.rpartition("best ")[2] for line in lines] == ["1", "2"]


def test_a_failed_trial_shows_the_first_line_of_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    record = a_record(STUDY, value=None, reason=Reason(kind="raised", message="ValueError: no\nand why"))
    assert shown(capsys, [(record, False)]) == [
        "iteration 1/2  trial 1/4  x1=1.0 x2=2.0  failed: ValueError: no  best none",
        "1 trial failed:",
        "  trial 1: ValueError: no",
    ]


def test_the_error_of_a_failed_trial_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    line, *_ = shown(capsys, [(a_record(STUDY, value=None, reason=Reason(kind="raised", message="x" * 4000)), False)])
    assert line.endswith(f"  failed: {'x' * 200}  best none")


def test_a_trial_beyond_the_budget_is_not_counted_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, [(a_record(STUDY, 5, 0.5, iteration=3), True)])[0] == (
        "iteration 3  trial 5  x1=1.0 x2=2.0  value 0.5  best 0.5"
    )


def test_trials_that_were_there_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, [(a_record(STUDY, 1), True), (a_record(STUDY, 2), False)])
    assert lines[-1] == "1 of these trials were in out already; --fresh (make: FRESH=1) starts over"


def test_an_interruption_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(STUDY, "out", 2, view_for())
    progress.show(a_record(STUDY), kept=False)
    progress.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == "stopped after 1 trials; the same command goes on from here\n"


def test_a_trial_outside_the_limits_says_so_and_is_not_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    asked: dict[str, Any] = {"objective": {"python": "a:b", "value": "loss"}, "limits": {"latency": "<= 100"}}
    study = a_study(**asked)
    records = [(a_record(study, 1, values={"value": 2.0, "latency": 50.0}), False)]
    records += [(a_record(study, 2, values={"value": 1.0, "latency": 150.0}), False)]
    assert shown(capsys, records, **asked) == [
        "iteration 1/2  trial 1/4  x1=1.0 x2=2.0  value 2  best 2",
        "iteration 1/2  trial 2/4  x1=1.0 x2=2.0  value 1  (latency 150, not <= 100)  best 2",
    ]


def test_several_objectives_are_named_and_what_is_on_the_front_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    study = several()
    values = [(0.5, 10.0), (0.4, 20.0), (0.9, 30.0)]
    with Progress(study, "out", 2, view_for()) as progress:
        for number, (accuracy, latency) in enumerate(values, 1):
            progress.show(a_record(study, number, values={"accuracy": accuracy, "latency": latency}), False)
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.startswith(f"{study.name}: maximize accuracy, minimize latency of mine:objective, ")
    assert [line.partition("x2=2.0  ")[2] for line in lines] == [
        "accuracy 0.5  latency 10  front 1",
        "accuracy 0.4  latency 20  front 1",
        "accuracy 0.9  latency 30  front 2",
    ]
