"""The types of parameters: which values they know, and which ranges are refused."""

from __future__ import annotations

from typing import Any

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.space.parameters import Parameter, Scalar
from kfp_bayesopt.study.study import Study
from tests.builders import a_study, study_text


def a_parameter(**parameter: Any) -> Parameter:
    """Return the only parameter of a space."""
    return a_study(space={"p": parameter}).space["p"]


def mistake_of(**parameter: Any) -> str:
    """Return what is said about the only parameter of a space."""
    with pytest.raises(UserError) as caught:
        Study.from_text(study_text(space={"p": parameter}), "study.yaml")
    return caught.value.message.removeprefix("study.yaml: space.p: ")


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ({"type": "integer", "low": -2, "high": 7, "step": 3}, [-2, 1, 4, 7]),
        ({"type": "integer", "low": 3, "high": 5, "log": True}, [3, 4, 5]),
        (
            {"type": "categorical", "choices": [1, 1.0, True, "1", None, 0.0, -0.0]},
            [1, 1.0, True, "1", None, 0.0, -0.0],
        ),
    ],
    ids=["steps", "log", "categorical"],
)
def test_levels_are_counted_and_found_by_their_index(parameter: dict[str, Any], values: list[Scalar]) -> None:
    known = a_parameter(**parameter)
    assert known.levels == len(values)
    found = [known.value_at(index) for index in range(len(values))]
    assert [(type(value), str(value)) for value in found] == [(type(value), str(value)) for value in values]
    assert [known.index_of(value) for value in values] == list(range(len(values)))
    assert [known.problem_with(value) for value in values] == [None] * len(values)


def test_a_real_parameter_is_continuous_and_knows_its_scale() -> None:
    known = a_parameter(type="real", low=0.1, high=10, log=True)
    assert known.levels is None
    assert known.axis is not None
    assert (known.axis.low, known.axis.high, known.axis.log) == (0.1, 10.0, True)
    assert known.problem_with(1) is None
    assert known.problem_with(11.0) == "does not lie between 0.1 and 10.0"


LARGEST = "low, high and high - low must be at most 2^53 (9007199254740992), beyond which floats skip integers"


@pytest.mark.parametrize(
    ("low", "high", "got"),
    [
        (0, 2**53 + 1, "low=0, high=9007199254740993"),
        (-(2**53), 2**53, "low=-9007199254740992, high=9007199254740992"),
        (0, 2**63, "low=0, high=9223372036854775808"),
        (0, 10**200, "low=0, high=about 10^200"),
        (-(10**200), 10**200, "low=about -10^200, high=about 10^200"),
    ],
    ids=["2^53 + 1", "range", "2^63", "10^200", "-10^200"],
)
def test_integers_that_a_float_cannot_tell_apart_are_refused(low: int, high: int, got: str) -> None:
    assert mistake_of(type="integer", low=low, high=high) == f"{LARGEST}, but got {got}"
    if low >= 0:
        assert mistake_of(type="integer", low=low + 1, high=high + 1, log=True).startswith(LARGEST)


def test_a_giant_step_is_refused_in_few_words() -> None:
    said = "step <= high - low must hold, but got low=0, high=3, step=about 10^200"
    assert mistake_of(type="integer", low=0, high=3, step=10**200) == said


@pytest.mark.parametrize(
    ("low", "high", "log"),
    [
        (1.0, 1.0000000000000002, False),
        (1e15, 1e15 + 1, False),
        (0.0, 5e-324, False),
        (1e300, 1.0000000000000002e300, True),
        (1e300, 1.0000001e300, True),
        (0.9999999999, 1.0, True),
    ],
)
def test_a_range_with_few_floats_is_refused(low: float, high: float, log: bool) -> None:
    assert mistake_of(type="real", low=low, high=high, log=log) == (
        f"low and high must have 100,000,000 floats between them, but got low={low}, high={high}; "
        "widen the range, or search another unit and convert it in the objective"
    )


def test_a_log_range_of_subnormal_numbers_is_refused() -> None:
    said = "low >= 2.2250738585072014e-308 must hold for a log scale, but got low=5e-324, high=1.0"
    assert mistake_of(type="real", low=5e-324, high=1.0, log=True) == said


@pytest.mark.parametrize(
    "parameter",
    [
        {"type": "integer", "low": 0, "high": 2**53},
        {"type": "integer", "low": -(2**52), "high": 2**52},
        {"type": "real", "low": -8e307, "high": 8e307},
        {"type": "real", "low": 2.3e-308, "high": 1.7976931348623157e308, "log": True},
        {"type": "real", "low": 1e9, "high": 1e9 + 100},
        {"type": "real", "low": 0.0, "high": 1e-310},
    ],
    ids=str,
)
def test_the_largest_and_narrowest_ranges_are_searched(parameter: dict[str, Any]) -> None:
    assert a_parameter(**parameter).type == parameter["type"]
