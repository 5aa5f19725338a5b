"""Hyperband (Li et al. 2018), with the brackets of trials in turn."""

from __future__ import annotations

from kfp_bayesopt.study.rules.asha import Asha


class Hyperband(Asha):
    """Brackets of trials that begin to be compared at different rungs; in one of them nobody is."""

    word = "hyperband"
    says = "as `asha`, with some trials that are compared later, and some never"

    def bracket(self, trial: int, rungs: int) -> int:
        """Return the bracket of a trial; they come in turn (section 3)."""
        return (trial - 1) % (rungs + 1)
