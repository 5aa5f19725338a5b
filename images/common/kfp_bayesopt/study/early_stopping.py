"""Early stopping: the steps at which trials are compared, and the trials that are stopped.

A decision follows from values alone: a trial's value at a step, and those of other trials at the same step. So it can
be made anywhere, and checked by anyone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from pydantic import Field, ValidationInfo, model_validator

from kfp_bayesopt.strict import StrictModel, is_given
from kfp_bayesopt.study.rules import RULES, RuleWord
from kfp_bayesopt.study.rules.base import Steps

MOST_STEPS = 10**9


class EarlyStopping(StrictModel):
    """A rule that stops trials before their end, by their intermediate values."""

    rule: RuleWord = Field(description=" ".join(f"`{word}`: {each.says}." for word, each in RULES.items()))
    min_steps: int | None = Field(
        None, ge=1, le=MOST_STEPS, description="No trial is stopped before this step. Default: a ninth of `max_steps`."
    )
    max_steps: int = Field(ge=2, le=MOST_STEPS, description="How many steps a whole trial has.")
    eta: int = Field(
        2,
        ge=2,
        le=100,
        description=f"{', '.join(f'`{word}`' for word, each in RULES.items() if each.has_eta)}: one of so many goes on "
        "at each rung.",
    )

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        if self.min_steps is not None and self.min_steps >= self.max_steps:
            raise ValueError(
                f"min_steps < max_steps must hold, but got min_steps={self.min_steps}, max_steps={self.max_steps}"
            )
        if not RULES[self.rule].has_eta and is_given(self, "eta", info):
            raise ValueError(f"eta: the rule `{self.rule}` has none; remove the key")
        return self

    @property
    def first(self) -> int:
        """The first step at which trials are compared."""
        return self.min_steps or max(self.max_steps // 9, 1)

    @property
    def rungs(self) -> list[int]:
        """The steps at which trials are compared, in order; all before `max_steps`."""
        return RULES[self.rule].rungs(self._steps)

    @property
    def _steps(self) -> Steps:
        return Steps(self.first, self.max_steps, self.eta)

    def bracket(self, trial: int) -> int:
        """Return the number of first rungs at which a trial is not compared."""
        return RULES[self.rule].bracket(trial, len(self.rungs))

    def are_compared(self, trial: int, other: int, step: int) -> bool:
        """Tell whether a trial is compared with another one at a rung."""
        bracket = self.bracket(trial)
        return bracket == self.bracket(other) and step in self.rungs[bracket:]

    def stops(self, value: float, others: Collection[float], direction: str) -> bool:
        """Tell whether a trial is stopped.

        Args:
            value: Its value at the rung.
            others: The values of the trials that it is compared with there.
            direction: `minimize` or `maximize`.
        """
        sign = 1.0 if direction == "minimize" else -1.0
        return RULES[self.rule].stops(sign * value, sorted(sign * each for each in others), self._steps)
