"""The source `last-line`: the last line that a command prints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from kfp_bayesopt.space.numerals import read_number
from kfp_bayesopt.study.sources.base import Direction, Evidence, NoValueError, Source


class LastLine(Source):
    """The last line that a command prints to standard output; the default of commands."""

    first_keys = ("source",)
    of_functions: ClassVar[bool] = False

    source: Literal["last-line"]

    def read(self, evidence: Evidence, goals: Mapping[str, Direction]) -> dict[str, float]:
        """Return the number in the last line."""
        line = evidence.last_line.strip()
        if not line:
            raise NoValueError(f"{evidence.who} printed nothing; the last line that it prints must be the value")
        value = read_number(line)
        if value is None or not math.isfinite(value):
            raise NoValueError(
                f"the last line that {evidence.who} prints must be a finite number, such as 0.5 or 1e-3, but got "
                f"{evidence.shown(line)}; where it prints metrics by name: objective.value: NAME"
            )
        return {"value": value}
