"""Intermediate values: steps and numbers that an objective reports as it runs; one can be its value."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from kfp_bayesopt.identity import IdentityModel
from kfp_bayesopt.study.sources.base import VALUE, Direction, Evidence, Name, NoValueError, Reached, Source, UnreadError
from kfp_bayesopt.study.sources.lines import check_name
from kfp_bayesopt.study.sources.pattern import check_pattern

MOST_STEP = 10**9


class Intermediate(IdentityModel):
    """The form of intermediate values in the lines that an objective prints."""

    later_keys = ("name", "step", "pattern")

    name: Name | None = Field(None, description="Name of the metric; this or `pattern` is required.")
    step: Name | None = Field(
        None, description="Name of the step in the same line, such as `epoch`. Default: each value is one step more."
    )
    pattern: str | None = Field(
        None, min_length=1, max_length=1000,
        description="A regular expression of Python, with one group or one that is called `value`, and with another "
        "one that is called `step` where lines have it.",
        examples=[r"epoch (?P<step>\d+): loss is (?P<value>\S+)"],
    )  # fmt: skip

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.name is None) == (self.pattern is None):
            raise ValueError("give either name or pattern, and not both")
        for name in filter(None, (self.name, self.step)):
            check_name(name)
        if self.pattern is not None:
            if self.step is not None:
                raise ValueError("step: the pattern finds the step, in a group called `step`; remove the key")
            check_pattern(self.pattern)
            if set(re.compile(self.pattern).groupindex) - {"value", "step"}:
                raise ValueError("pattern: its groups are called `value` and `step`; the others take no name: (?:…)")
        return self


class OfCurve(Source):
    """An intermediate value as the value of a trial: the last one, the best one, or that at a step."""

    first_keys = ("source", "take", "step")

    source: Literal["intermediate"]
    take: Literal["last", "best"] = Field("last", description="Which of the intermediate values: last or best.")
    step: int | None = Field(None, ge=0, le=MOST_STEP, description="The value of this step, whatever comes after it.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.step is not None and self.take == "best":
            raise ValueError("take: with a step there is one value; remove the key")
        return self

    def read(self, evidence: Evidence, goals: Mapping[str, Direction]) -> dict[str, float]:
        """Return the chosen intermediate value, with the metrics."""
        reached = evidence.reached
        if evidence.unread is not None and (reached is None or reached.at_step is None):
            raise UnreadError(evidence.unread)
        if reached is None and evidence.nans:
            raise NoValueError(f"no intermediate value is a number: {evidence.nans} values, all NaN")
        if reached is None:
            raise NoValueError("there was no intermediate value; see objective.intermediate and BAYESOPT_INTERMEDIATE")
        if self.step is not None and reached.at_step is None:
            raise NoValueError(f"there was no intermediate value at step {self.step}; the last step was {reached.step}")
        value = reached.said.take(self.take, goals[VALUE]) if reached.at_step is None else reached.at_step
        if not math.isfinite(value):
            raise NoValueError(f"the {self.take} intermediate value is {evidence.why_not(value)}")
        return {VALUE: value}


def value_so_far(source: Source, reached: Reached, direction: str) -> float:
    """Return the value of an unfinished trial at a rung: its value if it ended now, or the last intermediate one."""
    if not isinstance(source, OfCurve):
        return reached.numbers.last
    return reached.numbers.take(source.take, direction) if reached.at_step is None else reached.at_step
