"""The interface of all formats: writing trials, and reading those of a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import from_json

from kfp_bayesopt.exchange.foreign import decimal_of
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.space.decimals import canonical
from kfp_bayesopt.space.parameters import LARGEST_INTEGER, Parameter, Parameters, Value
from kfp_bayesopt.study.study import Study

METRIC = "metric."
"""What precedes the name of a metric where other names stand beside it."""
HALF = 2.0**-23
"""The distance of two numbers that float32 does not tell apart, as a share of them."""


@dataclass(frozen=True)
class Found:
    """A trial in a source, not yet compared with a study.

    Attributes:
        where: Its name in messages: `line 2`, `trial 7`.
        parameters: Its parameters, as text where a source has no types.
        values: Its values; empty if it failed.
        same: Whether it has the same objective.
        unusable: Why nothing is learnt from it, such as `is running`; None if something is.
    """

    where: str
    parameters: Parameters
    values: dict[str, float]
    same: bool = True
    unusable: str | None = None


@dataclass(frozen=True)
class Functions:
    """Writing and reading a format.

    Attributes:
        write: Writes the trials of a study into a file.
        read: Yields the trials in a file, given the study that they are for, the path, and what names it in messages.
    """

    write: Callable[[Study, Sequence[Record], Path], None]
    read: Callable[[Study, str, str], Iterator[Found]]


def meant_by(parameter: Parameter, given: Value, is_cell: bool = False) -> Value:
    """Return the value of a parameter that another tool's value means; the value itself if it means none.

    The space decides, never how a value is written: of listed values the one that is written like it, whole numbers
    with a point or without, booleans as spreadsheets have them, and numbers of half the digits, as float32 leaves them.

    Args:
        parameter: The parameter.
        given: The value.
        is_cell: Whether it is the text of a cell, where 1 is a number before it is a text.
    """
    meant: list[Value] = [given]
    if isinstance(given, str):
        text = given.strip()
        try:
            read: Value = from_json(text, allow_inf_nan=False)
        except ValueError:
            read = _decimal(text)
        # A boolean is no number here, though `1 == True`.
        meant = [
            *([] if is_cell else [given]),
            read,
            given,
            text,
            {"true": True, "false": False, "none": None}.get(text.lower(), given),
        ]
        given = read
    if isinstance(given, int | float) and not isinstance(given, bool) and abs(given) < LARGEST_INTEGER:
        meant += [float(given), int(given)] if given == int(given) else []
        meant += _near(parameter, given)
    return next((value for value in meant if parameter.problem_with(canonical(parameter, value)) is None), meant[0])


def _decimal(text: str) -> Value:
    """Return the number that a text is, such as 1E-03 or +.5; else the text."""
    number = decimal_of(text)
    return text if number is None or not math.isfinite(number) else number


def _near(parameter: Parameter, given: float) -> list[Value]:
    """Return the value of a parameter that is as near as float32 keeps a number."""
    span = parameter.span
    others: list[Value] = []
    if span is None:
        others = [*parameter.listed]
    elif span.step is None:
        others = [span.low, span.high]
    elif 0 <= (index := round((given - span.low) / span.step)) < (parameter.levels or 0):
        others = [parameter.value_at(index)]
    numbers = [each for each in others if isinstance(each, int | float) and not isinstance(each, bool)]
    return [each for each in numbers if math.isclose(given, each, rel_tol=HALF)]
