"""The median rule (Golovin et al. 2017, Google Vizier, section 3.2.2)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from kfp_bayesopt.study.rules.base import Rule, Steps

MOST_RUNGS = 20
"""The most rungs: there are no powers of `eta` to keep them few."""
FEWEST_OTHERS = 4
"""The median of fewer says nothing."""


class Median(Rule):
    """A trial goes on if it is not worse than the median of the others."""

    word = "median"
    says = "those worse than the median of the others"

    def rungs(self, steps: Steps) -> list[int]:
        """Return evenly spaced steps."""
        width = max(steps.first, math.ceil(steps.last / MOST_RUNGS))
        return list(range(steps.first, steps.last, width))

    def stops(self, own: float, others: Sequence[float], steps: Steps) -> bool:
        """Tell whether it is worse than the median of enough others."""
        return len(others) >= FEWEST_OTHERS and own > statistics.median(others)
