"""The search space: parameters, what values each can take, and whether a point belongs to it.

The rest of the code asks a parameter only what `BaseParameter` says: whether it is continuous or a list of levels,
which value has which index, and on which scale its values lie. A new type of parameter is a class here and its name
in the union `Parameter`.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from bayesopt.identity import IdentityModel

Scalar = bool | int | float | str | None
"""The value of a parameter, as JSON has it; its type survives the way to the objective."""

Parameters = dict[str, Scalar]
"""The value of each parameter of a trial, by name."""

PARAMETER_NAME = re.compile(r"[^\W\d][\w.-]{0,199}")

LARGEST_INTEGER = 2**53
"""Up to here a float, and so JSON, tells every integer from the next one."""
FEWEST_FLOATS = 10**8
"""The least number of values of a continuous parameter; with fewer, trials would repeat each other."""


@dataclass(frozen=True)
class Scale:
    """Where the values of a parameter lie between 0 and 1.

    Attributes:
        low: What lies at 0.
        high: What lies at 1.
        log: Whether it is the logarithm that is even between them.
        first: Of a list of levels: where the first one stands; each of the others stands 1 after the one before.
    """

    low: float
    high: float
    log: bool = False
    first: int = 0

    @property
    def floats(self) -> float:
        """About how many floats lie between low and high, each as far from the next as the coarsest two are."""
        if self.log:
            logarithms = math.log(self.low), math.log(self.high)
            coarsest = max(sys.float_info.epsilon, *map(math.ulp, logarithms))
            return (logarithms[1] - logarithms[0]) / coarsest
        return (self.high - self.low) / math.ulp(max(abs(self.low), abs(self.high)))


class BaseParameter(IdentityModel):
    """What every type of parameter knows of its own values."""

    @property
    def levels(self) -> int | None:
        """How many values there are; None where the parameter is continuous."""
        raise NotImplementedError

    @property
    def scale(self) -> Scale | None:
        """Where the values lie; None where they have no order, and only equal or not counts."""
        raise NotImplementedError

    def value_at(self, index: int) -> Scalar:
        """Return the value of an index, from 0 to levels - 1."""
        raise NotImplementedError

    def index_of(self, value: Scalar) -> int:
        """Return the index of a value."""
        raise NotImplementedError

    def problem_with(self, value: Scalar) -> str | None:
        """Return why a value does not belong to the parameter, to be said after `name=value`, or None if it does."""
        raise NotImplementedError


class Real(BaseParameter):
    """A number between two bounds."""

    first_keys = ("type", "low", "high", "log")

    type: Literal["real"]
    low: float = Field(description="Lowest value.")
    high: float = Field(description="Highest value.")
    log: bool = Field(False, description="Search the logarithm: for learning rates, penalties and the like.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self.low, self.high, self.log)
        got = f"but got low={self.low}, high={self.high}"
        if math.isinf(self.high - self.low):
            raise ValueError(f"high - low must be a finite number, {got}")
        if self.log and self.low < sys.float_info.min:
            raise ValueError(f"low >= {sys.float_info.min} must hold for a log scale, {got}")
        if self.scale.floats < FEWEST_FLOATS:
            raise ValueError(
                f"low and high must have {FEWEST_FLOATS:,} floats between them, {got}; "
                "widen the range, or search another unit and convert it in the objective"
            )
        return self

    @property
    def levels(self) -> None:
        """Nothing: a real number is continuous."""
        return

    @property
    def scale(self) -> Scale:
        """From low to high."""
        return Scale(self.low, self.high, self.log)

    def problem_with(self, value: Scalar) -> str | None:
        """Return whether a value is no number or out of bounds."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "is not of type real"
        return _out_of_bounds(value, self.low, self.high)


class Integer(BaseParameter):
    """A whole number between two bounds, both of them allowed."""

    first_keys = ("type", "low", "high", "log", "step")

    type: Literal["integer"]
    low: int = Field(description="Lowest value.")
    high: int = Field(description="Highest value.")
    log: bool = Field(False, description="Search the logarithm: for layer widths, numbers of trees and the like.")
    step: int = Field(1, ge=1, description="Distance between two allowed values, counted from `low`.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self.low, self.high, self.log)
        low, high, step = (_short(number) for number in (self.low, self.high, self.step))
        if max(abs(self.low), abs(self.high), self.high - self.low) > LARGEST_INTEGER:
            raise ValueError(
                f"low, high and high - low must be at most 2^53 ({LARGEST_INTEGER}), beyond which floats skip "
                f"integers, but got low={low}, high={high}"
            )
        if self.log and self.step != 1:
            raise ValueError(f"log and step cannot be combined, but got log=true, step={step}")
        if self.step > self.high - self.low:
            raise ValueError(f"step <= high - low must hold, but got low={low}, high={high}, step={step}")
        if (self.high - self.low) % self.step:
            reached = self.high - (self.high - self.low) % self.step
            raise ValueError(
                f"high must be low plus a multiple of step, but got low={low}, high={high}, step={step}; "
                f"use high: {reached}"
            )
        return self

    @property
    def levels(self) -> int:
        """The steps from low to high, and one more."""
        return (self.high - self.low) // self.step + 1

    @property
    def scale(self) -> Scale:
        """Each value in the middle of a bin as wide as its share of the range, so that rounding favours none."""
        if self.log:
            return Scale(self.low - 0.5, self.high + 0.5, log=True, first=self.low)
        return Scale(-0.5, self.levels - 0.5)

    def value_at(self, index: int) -> int:
        """Return the value that is `index` steps from low."""
        return self.low + index * self.step

    def index_of(self, value: Scalar) -> int:
        """Return how many steps a value is from low."""
        assert isinstance(value, int)
        return (value - self.low) // self.step

    def problem_with(self, value: Scalar) -> str | None:
        """Return whether a value is no integer, out of bounds or between two steps."""
        if isinstance(value, bool) or not isinstance(value, int):
            return "is not of type integer"
        if problem := _out_of_bounds(value, self.low, self.high):
            return problem
        return f"is not {self.low} plus a multiple of {self.step}" if (value - self.low) % self.step else None


class Categorical(BaseParameter):
    """One of a list of strings, numbers, booleans or null, without an order."""

    first_keys = ("type", "choices")

    type: Literal["categorical"]
    choices: tuple[Scalar, ...] = Field(min_length=1, strict=False, description="The values to choose from.")

    @field_validator("choices")
    @classmethod
    def _check(cls, choices: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        seen: set[str] = set()
        for choice in choices:
            text = json.dumps(choice)
            if text in seen:
                raise ValueError(f"duplicate choice {text}")
            seen.add(text)
        return choices

    @property
    def levels(self) -> int:
        """The number of choices."""
        return len(self.choices)

    @property
    def scale(self) -> None:
        """Nothing: choices have no order."""
        return

    def value_at(self, index: int) -> Scalar:
        """Return a choice."""
        return self.choices[index]

    def index_of(self, value: Scalar) -> int:
        """Return which of the choices a value is."""
        return self._indices[json.dumps(value)]

    def problem_with(self, value: Scalar) -> str | None:
        """Return whether a value is none of the choices."""
        return None if json.dumps(value) in self._indices else "is none of the choices"

    @cached_property
    def _indices(self) -> dict[str, int]:
        # By JSON, because Python takes 1, 1.0 and True for equal.
        return {json.dumps(choice): index for index, choice in enumerate(self.choices)}


Parameter = Annotated[Real | Integer | Categorical, Field(discriminator="type")]


def difference_of(space: Mapping[str, Parameter], parameters: Parameters) -> str | None:
    """Return why parameters are not a point of a space, the first difference by name, or None where they are one."""
    for name in sorted(space.keys() | parameters.keys()):
        if name not in parameters:
            return f"it has no {name}"
        if name not in space:
            return f"its {name} is no parameter of the study"
        if problem := space[name].problem_with(parameters[name]):
            return f"its {name}={json.dumps(parameters[name])} {problem}"
    return None


def _check_range(low: float, high: float, log: bool) -> None:
    got = f"but got low={_short(low)}, high={_short(high)}"
    if not low < high:
        raise ValueError(f"low < high must hold, {got}")
    if log and low <= 0:
        raise ValueError(f"low > 0 must hold for a log scale, {got}")


def _out_of_bounds(value: float, low: float, high: float) -> str | None:
    return None if low <= value <= high else f"does not lie between {low} and {high}"


def _short(number: float) -> str:
    """Return a number as text; of an integer too long to be read only about how large it is."""
    if isinstance(number, float) or abs(number) < 10**20:
        return str(number)
    # By its bits: Python refuses to write out an integer of thousands of digits.
    return f"about {'-' if number < 0 else ''}10^{abs(number).bit_length() * math.log10(2):.0f}"
