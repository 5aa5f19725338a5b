"""The search space: parameters, what values each can take, and whether a point belongs to it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from bayesopt.strict import StrictModel

Scalar = bool | int | float | str | None
"""The value of a parameter, as JSON has it; its type survives the way to the objective."""

Parameters = dict[str, Scalar]
"""The value of each parameter of a trial, by name."""


class Real(StrictModel):
    """A number between two bounds."""

    type: Literal["real"]
    low: float = Field(description="Lowest value.")
    high: float = Field(description="Highest value.")
    log: bool = Field(False, description="Search the logarithm: for learning rates, penalties and the like.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self.low, self.high, self.log)
        return self


class Integer(StrictModel):
    """A whole number between two bounds, both of them allowed."""

    type: Literal["integer"]
    low: int = Field(description="Lowest value.")
    high: int = Field(description="Highest value.")
    log: bool = Field(False, description="Search the logarithm: for layer widths, numbers of trees and the like.")
    step: int = Field(1, ge=1, description="Distance between two allowed values, counted from `low`.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_range(self.low, self.high, self.log)
        if self.log and self.step != 1:
            raise ValueError(f"log and step cannot be combined, but got log=true, step={self.step}")
        if self.step > self.high - self.low:
            raise ValueError(
                f"step <= high - low must hold, but got low={self.low}, high={self.high}, step={self.step}"
            )
        if (self.high - self.low) % self.step:
            reached = self.high - (self.high - self.low) % self.step
            raise ValueError(
                f"high must be low plus a multiple of step, but got low={self.low}, high={self.high}, "
                f"step={self.step}; use high: {reached}"
            )
        return self


class Categorical(StrictModel):
    """One of a list of strings, numbers, booleans or null, without an order."""

    type: Literal["categorical"]
    choices: tuple[Scalar, ...] = Field(min_length=1, strict=False, description="The values to choose from.")

    @field_validator("choices")
    @classmethod
    def _check(cls, choices: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        # By JSON, because Python takes 1, 1.0 and True for equal.
        seen: set[str] = set()
        for choice in choices:
            text = json.dumps(choice)
            if text in seen:
                raise ValueError(f"every choice must be there once, but got {text} again")
            seen.add(text)
        return choices


Parameter = Annotated[Real | Integer | Categorical, Field(discriminator="type")]


def difference_of(space: Mapping[str, Parameter], parameters: Parameters) -> str | None:
    """Return why parameters are not a point of a space, the first difference by name, or None where they are one."""
    for name in sorted(space.keys() | parameters.keys()):
        if name not in parameters:
            return f"it has no {name}"
        if name not in space:
            return f"its {name} is no parameter of the study"
        value = parameters[name]
        match parameter := space[name]:
            case Categorical():
                # By JSON, because Python takes 1, 1.0 and True for equal.
                if json.dumps(value) not in map(json.dumps, parameter.choices):
                    return f"its {name}={json.dumps(value)} is none of the choices"
            case Real() | Integer():
                kind = int if isinstance(parameter, Integer) else int | float
                if not isinstance(value, kind) or isinstance(value, bool):
                    return f"its {name}={json.dumps(value)} is not of type {parameter.type}"
                if not parameter.low <= value <= parameter.high:
                    return f"its {name}={value} does not lie between {parameter.low} and {parameter.high}"
                if isinstance(parameter, Integer) and (value - parameter.low) % parameter.step:
                    return f"its {name}={value} is not {parameter.low} plus a multiple of {parameter.step}"
    return None


def _check_range(low: float, high: float, log: bool) -> None:
    if not low < high:
        raise ValueError(f"low < high must hold, but got low={low}, high={high}")
    if math.isinf(high - low):
        raise ValueError(f"high - low must be a finite number, but got low={low}, high={high}")
    if log and low <= 0:
        raise ValueError(f"low > 0 must hold for a log scale, but got low={low}, high={high}")
