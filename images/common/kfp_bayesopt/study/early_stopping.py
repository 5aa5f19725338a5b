"""Early stopping: the steps at which trials are compared, and the trials that are stopped.

A decision follows from values alone: a trial's value at a step, and those of other trials at the same step. So it can
be made anywhere, and checked by anyone.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection
from typing import Literal, Self

from pydantic import Field, ValidationInfo, model_validator

from kfp_bayesopt.strict import StrictModel, is_given

MOST_STEPS = 10**9
MOST_RUNGS = 20
"""The most rungs of the rule `median`, which has no powers of `eta` to keep them few."""
FEWEST_OTHERS = 4
"""The median of fewer says nothing."""


class EarlyStopping(StrictModel):
    """A rule that stops trials before their end, by their intermediate values."""

    rule: Literal["median", "asha", "hyperband"] = Field(
        description="`median`: those worse than the median of the others. `asha`: all but the best of `eta`. "
        "`hyperband`: as `asha`, with some trials that are compared later, and some never."
    )
    min_steps: int | None = Field(
        None, ge=1, le=MOST_STEPS, description="No trial is stopped before this step. Default: a ninth of `max_steps`."
    )
    max_steps: int = Field(ge=2, le=MOST_STEPS, description="How many steps a whole trial has.")
    eta: int = Field(2, ge=2, le=100, description="`asha`, `hyperband`: one of so many goes on at each rung.")

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        if self.min_steps is not None and self.min_steps >= self.max_steps:
            raise ValueError(
                f"min_steps < max_steps must hold, but got min_steps={self.min_steps}, max_steps={self.max_steps}"
            )
        if self.rule == "median" and is_given(self, "eta", info):
            raise ValueError("eta: the rule `median` has none; remove the key")
        return self

    @property
    def first(self) -> int:
        """The first step at which trials are compared."""
        return self.min_steps or max(self.max_steps // 9, 1)

    @property
    def rungs(self) -> list[int]:
        """The steps at which trials are compared, in order; all before `max_steps`.

        Those of `asha` are `min_steps` times powers of `eta` (Li et al. 2020, A System for Massively Parallel
        Hyperparameter Tuning, section 3).
        """
        if self.rule == "median":
            width = max(self.first, math.ceil(self.max_steps / MOST_RUNGS))
            return list(range(self.first, self.max_steps, width))
        found = [self.first]
        while found[-1] * self.eta < self.max_steps:
            found.append(found[-1] * self.eta)
        return found

    def bracket(self, trial: int) -> int:
        """Return the number of first rungs at which a trial is not compared.

        Trials get the brackets in turn (Li et al. 2018, Hyperband, section 3); one bracket of `hyperband` compares no
        trial.
        """
        return (trial - 1) % (len(self.rungs) + 1) if self.rule == "hyperband" else 0

    def are_compared(self, trial: int, other: int, step: int) -> bool:
        """Tell whether a trial is compared with another one at a rung."""
        bracket = self.bracket(trial)
        return bracket == self.bracket(other) and step in self.rungs[bracket:]

    def stops(self, value: float, others: Collection[float], direction: str) -> bool:
        """Tell whether a trial is stopped.

        With `asha` it goes on if it is among the best 1 / `eta`, itself included: so the first trials do, and none
        waits. With `median` it goes on if it is not worse than the median of the others (Golovin et al. 2017, Google
        Vizier, section 3.2.2).

        Args:
            value: Its value at the rung.
            others: The values of the trials that it is compared with there.
            direction: `minimize` or `maximize`.
        """
        sign = 1.0 if direction == "minimize" else -1.0
        own, theirs = sign * value, sorted(sign * each for each in others)
        if self.rule == "median":
            return len(theirs) >= FEWEST_OTHERS and own > statistics.median(theirs)
        count = len(theirs) + 1
        better = sum(each < own for each in theirs)
        return count >= self.eta and better >= max(count // self.eta, 1)
