"""What a study may cost: a bound that is given, or a person who is asked."""

from __future__ import annotations

import math
import sys
from typing import Any

from kfp_bayesopt.api.views import in_notebook
from kfp_bayesopt.errors import UserError, shown
from kfp_bayesopt.strict import plain
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.elsewhere.running import Estimate, estimate_of

YES = ("y", "yes")


def agreed(study: Study, on: str, max_cost: float | None, source: str) -> float | None:
    """Return the most that a study may cost in a place; None without a bound.

    Where trials have a price, and no bound is given, the estimate is shown and a person is asked.

    Args:
        study: The study.
        on: The name of the place.
        max_cost: The bound, if one is given.
        source: The function that a person has called, for messages.

    Raises:
        UserError: It is no bound, nobody can be asked, or the answer is no.
    """
    if max_cost is not None:
        return _bound(max_cost, source)
    if study.stop.max_cost is not None or (estimate := estimate_of(study, on)) is None:
        return None
    about = f"{study.budget} trials on {on}: {_said(estimate)}"
    if estimate.cost == 0:
        return None
    way_out = f"say what it may cost at most, such as max_cost=20 ({estimate.currency})"
    answer = _ask(f"{about}\nStart it? Type yes, or what it may cost at most in {estimate.currency}: ")
    if answer is None:
        raise UserError(f"{source}: {about}; nobody can be asked here, so {way_out}")
    if answer.lower() in YES:
        return None
    try:
        return _bound(float(answer), source)
    except ValueError:
        raise UserError(f"{source}: {about}; it was not started; {way_out}, or answer yes") from None


def _bound(given: Any, source: str) -> float:
    """Return a bound.

    Raises:
        UserError: It is none.
    """
    number = plain(given)
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < math.inf:
        raise UserError(f"{source}: max_cost: must be a number greater than 0, but got {shown(given)}")
    return float(number)


def _said(estimate: Estimate) -> str:
    if estimate.cost is None:
        return f"what they cost is not known ({estimate.source})"
    return f"about {estimate.cost:,.2f} {estimate.currency} ({estimate.source})"


def _ask(question: str) -> str | None:
    """Ask a person, in a terminal or a notebook, and return the answer; None if nobody is there."""
    if not (in_notebook() or (sys.stdin is not None and sys.stdin.isatty())):
        return None
    try:
        return input(question).strip()
    except (EOFError, NotImplementedError):  # a notebook that runs without a front end
        return None
