"""The limits that metrics of the best trial keep."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kfp_bayesopt.errors import shown
from kfp_bayesopt.space.numerals import NUMBER, read_number

_LIMIT = re.compile(rf"(<=|>=)\s*({NUMBER})")


@dataclass(frozen=True)
class Limit:
    """The lowest or highest value that a metric of a trial may have.

    Attributes:
        metric: Its name.
        text: As in the study file, such as `<= 100`.
        sign: 1 if the bound is the highest value, -1 if it is the lowest.
        bound: The last allowed value.
    """

    metric: str
    text: str
    sign: float
    bound: float

    @classmethod
    def parse(cls, metric: str, text: Any) -> Limit:
        """Read a limit.

        Raises:
            ValueError: It is not a limit, or its number is not finite.
        """
        found = _LIMIT.fullmatch(text.strip()) if isinstance(text, str) else None
        bound = read_number(found[2]) if found else None
        if found is None or bound is None or abs(bound) == float("inf"):
            raise ValueError(f"must be <= or >= and a number, such as '<= 100', but got {shown(text)}")
        return cls(metric, f"{found[1]} {found[2]}", 1.0 if found[1] == "<=" else -1.0, bound)

    def excess(self, value: float | None) -> float:
        """Return the excess of a value over the bound; above 0 it breaks the limit, and so does a missing one."""
        return float("inf") if value is None else self.sign * (value - self.bound)

    def broken_by(self, values: Mapping[str, float]) -> str | None:
        """Return the violation by the values of a completed trial, in words, or None if they keep it."""
        value = values.get(self.metric)
        if self.excess(value) <= 0:
            return None
        return f"{self.metric} {'is missing' if value is None else f'{value:g}'}, not {self.text}"
