"""Asynchronous successive halving (Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning)."""

from __future__ import annotations

from collections.abc import Sequence

from kfp_bayesopt.study.rules.base import Rule, Steps


class Asha(Rule):
    """A trial goes on if it is among the best of `eta`, itself counted: so the first ones do, and nobody waits."""

    word = "asha"
    says = "all but the best of `eta`"
    has_eta = True

    def rungs(self, steps: Steps) -> list[int]:
        """Return the first step times powers of `eta` (section 3)."""
        found = [steps.first]
        while found[-1] * steps.eta < steps.last:
            found.append(found[-1] * steps.eta)
        return found

    def stops(self, own: float, others: Sequence[float], steps: Steps) -> bool:
        """Tell whether enough others are better."""
        count = len(others) + 1
        better = sum(each < own for each in others)
        return count >= steps.eta and better >= max(count // steps.eta, 1)
