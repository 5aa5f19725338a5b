"""Intermediate values: which of them count, however an objective says them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kfp_bayesopt.study.sources.base import Evidence, NoValueError
from kfp_bayesopt.study.sources.intermediate import Intermediate, OfCurve, value_so_far
from kfp_bayesopt.trial.curve import MOST_POINTS, Curve

ASKED = Intermediate(name="loss", step="epoch")


def of_lines(*lines: str, asked: Intermediate = ASKED) -> Curve:
    curve = Curve()
    for line in lines:
        curve.look(line, asked)
    return curve


@pytest.mark.parametrize(
    "line", ["epoch=3 loss=0.25", "epoch: 3, loss: 0.25", '{"epoch": 3, "loss": 0.25}', "\x1b[32mepoch=3 loss=0.25"]
)
def test_a_line_is_read_as_a_metric_is(line: str) -> None:
    reached = of_lines(line).reached
    assert reached is not None
    assert (reached.step, reached.numbers.last) == (3, 0.25)


def test_without_a_step_values_are_counted() -> None:
    curve = of_lines("loss=3", "accuracy=1", "loss=2", "loss=1", asked=Intermediate(name="loss"))
    assert (curve.steps, curve.values) == ([1, 2, 3], [3.0, 2.0, 1.0])


def test_steps_that_go_back_repeat_or_are_none_and_values_that_are_not_finite_are_left_out() -> None:
    curve = of_lines(
        "epoch=2 loss=4", "epoch=2 loss=3", "epoch=1 loss=3", "epoch=2.5 loss=3", "epoch=3 loss=nan",
        "epoch=nan loss=1",
        "epoch=-1 loss=1", "loss=1", "epoch=4", "epoch=5 loss=1", "epoch=1e300 loss=1",
    )  # fmt: skip
    assert (curve.steps, curve.values) == ([2, 5], [4.0, 1.0])
    summary = curve.summary
    assert summary is not None
    assert (summary.first, summary.last, summary.count, summary.value) == (2, 5, 2, 1.0)


def test_nothing_said_is_no_curve() -> None:
    assert of_lines("hello").summary is None


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[1]", b'{"step": 1}', b'{"step": "1", "value": 2}', b'{"step": true, "value": 2}',
             b'{"step": 1, "value": NaN}', b"\xff\xfe", b'{"step": 1, "value": null}', b"[" * 100_000]
)  # fmt: skip
def test_a_line_of_the_file_that_is_none_is_left_out(line: bytes) -> None:
    curve = Curve()
    curve.read(line)
    assert (curve.count, curve.left_out) == (0, 1)


def test_a_line_of_the_file_is_json() -> None:
    curve = Curve()
    curve.read(b'{"step": 3, "value": 0.25, "more": [1]}')
    curve.read(json.dumps({"value": 1}).encode())
    assert (curve.steps, curve.values) == ([3, 4], [0.25, 1.0])


def test_of_very_many_values_some_are_kept() -> None:
    curve = Curve()
    for step in range(1_000_000, 1_100_000):
        curve.add(step, 1.0 / step)
    assert MOST_POINTS / 2 < len(curve.steps) <= MOST_POINTS
    assert curve.count == 100_000
    assert curve.reached is not None
    assert (curve.reached.step, curve.reached.numbers.last) == (1_099_999, 1 / 1_099_999)
    gaps = {second - first for first, second in zip(curve.steps, curve.steps[1:], strict=False)}
    assert len(gaps) == 1


def test_groups_of_a_pattern_are_a_value_and_its_step() -> None:
    curve = Curve()
    for groups in ({"value": "3"}, {"value": "2", "step": "7"}, {"value": "x"}, {"value": "1", "step": "late"}, {}):
        curve.match(groups)
    assert (curve.steps, curve.values, curve.left_out) == ([1, 7], [3.0, 2.0], 3)


def test_the_value_of_a_step_that_is_asked_for_is_kept_among_very_many() -> None:
    curve = Curve(wanted=77_777)
    for step in range(100_000):
        curve.add(step, float(step))
    assert curve.reached is not None
    assert (curve.reached.at_step, curve.reached.numbers.lowest) == (77_777.0, 0.0)


def test_a_step_of_so_many_is_a_step_and_a_value_that_is_no_number_is_none() -> None:
    curve = of_lines("epoch: 1/10 loss: 1,234", "epoch: 2/10 loss: 0.5")
    assert (curve.steps, curve.values, curve.left_out) == ([2], [0.5], 1)
    curve.match({"step": "3/10", "value": "0.25"})
    curve.read(b'{"step": 4, "value": "0,2"}')
    assert (curve.steps, curve.values, curve.left_out) == ([2, 3], [0.5, 0.25], 2)


@pytest.mark.parametrize(
    ("take", "lines", "value"),
    [
        ("last", ["loss=1,234", "loss=0.5"], 0.5),
        ("last", ["loss=0.5", "loss=0,4"], None),
        ("best", ["loss=0,4", "loss=0.5", "loss=1"], None),
        ("best", ["loss=0.5", "loss=1"], 0.5),
    ],
)
def test_a_value_of_the_curve_that_is_no_number_counts_where_it_may_be_the_one(
    take: str, lines: list[str], value: float | None
) -> None:
    source = OfCurve.model_validate({"source": "intermediate", "take": take})
    reached = of_lines(*lines, asked=Intermediate(name="loss")).reached
    evidence = Evidence(who="t", started=0.0, folders=(), metric_file=Path("none"), reached=reached)
    if value is not None:
        assert source.read(evidence, {"value": "minimize"}) == {"value": value}
        return
    with pytest.raises(NoValueError) as caught:
        source.read(evidence, {"value": "minimize"})
    way_out = "which is no number; write it with digits and a point alone, such as 1234.5"
    assert str(caught.value) == f"the {take} intermediate value is '0,4', {way_out}"
    assert reached is not None
    assert value_so_far(source, reached, "minimize") == 0.5, "what is compared of it on the way is a number"
