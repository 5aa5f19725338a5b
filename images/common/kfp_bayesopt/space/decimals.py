"""Decimal numbers as people write and read them, which binary floats only approximate: 0.1 + 0.2 is 0.3.

A parameter with a `step` has decimal values: low, and low plus a whole number of steps. Other programs compute them by
adding floats, with an error in the last digits; such a value means the nearest step. Stored values stay as they are;
comparisons use the meant ones.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from kfp_bayesopt.space.parameters import Parameter, Parameters, Span, Value, difference_of

NOISE = 1e-9
"""The largest distance of a value from the step that it means, as a share of the step."""
FEW_FLOATS = 4
"""The same in floats, if these are coarse compared with the step."""


def exactly(value: Any) -> Any:
    """Return a float as the decimal number that is written for it; anything else as it is."""
    return Fraction(Decimal(repr(value))) if isinstance(value, float) and math.isfinite(value) else value


def exact(parameter: Parameter, value: Value) -> Any:
    """Return the number that a value of a parameter means; anything but a number as it is."""
    meant = _step_of(parameter, value)
    return exactly(value) if meant is None else meant


def canonical(parameter: Parameter, value: Value) -> Value:
    """Return the meant value, as the parameter itself has it: 0.3 for 0.30000000000000004."""
    meant = _step_of(parameter, value)
    return value if meant is None or value == float(meant) else float(meant)


def canonical_point(space: Mapping[str, Parameter], parameters: Parameters) -> Parameters:
    """Return the point that parameters mean; unknown names stay."""
    return {name: canonical(space[name], value) if name in space else value for name, value in parameters.items()}


def difference(space: Mapping[str, Parameter], parameters: Parameters) -> str | None:
    """Return the reason the meant point is not in a space, its first difference by name, or None if it is."""
    return difference_of(space, canonical_point(space, parameters))


def noise_of(span: Span) -> float:
    """Return the largest distance of a value of a parameter with a step from the value that it means."""
    return max(NOISE * (span.step or 0.0), FEW_FLOATS * math.ulp(max(abs(span.low), abs(span.high))))


def _step_of(parameter: Parameter, value: Value) -> Fraction | None:
    """Return the step that a value means; None without steps, or if it is too far from any."""
    span = parameter.span
    if span is None or span.is_whole or span.step is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _nearest(span.low, span.high, span.step, noise_of(span), value)


@functools.lru_cache(maxsize=2**14)  # a search asks for the same steps again and again
def _nearest(low: float, high: float, step: float, noise: float, value: float) -> Fraction | None:
    if not low - noise <= value <= high + noise:
        return None
    begin, width = exactly(low), exactly(step)
    found: Fraction = begin + round((Fraction(value) - begin) / width) * width
    return found if value == float(found) or abs(Fraction(value) - found) <= noise else None
