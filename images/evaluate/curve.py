"""The intermediate values of one trial, from the lines that it prints and from the file that it writes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field

from bayesopt.sources.base import Metrics
from bayesopt.sources.intermediate import Intermediate
from bayesopt.sources.printed import Printed
from bayesopt.trials import Steps

MOST_POINTS = 10_000
"""How many are kept of a trial: of more, every second one, then every fourth, and so on."""
MOST_STEP = 10**9
_PRINTED = Printed(source="printed")


@dataclass
class Curve:
    """The intermediate values of a trial.

    A step that is no later than the last one, or no whole number, is left out, and so is a value that is not finite.

    Attributes:
        steps: Of the values that are kept.
        values: As many.
        count: How many there were.
        left_out: How many could not be used.
    """

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    count: int = 0
    left_out: int = 0
    _last: tuple[int, float] | None = None
    _first: int = 0
    _stride: int = 1

    @property
    def last(self) -> tuple[int, float] | None:
        """The last step and its value."""
        return self._last

    def add(self, step: float | None, value: float) -> bool:
        """Take in the next value, and tell whether it could be used; without a step it is one more than the last."""
        if step is None:
            step = 1 if self._last is None else self._last[0] + 1
        is_step = math.isfinite(step) and step == int(step) and 0 <= step <= MOST_STEP
        if not is_step or not math.isfinite(value) or (self._last is not None and step <= self._last[0]):
            self.left_out += 1
            return False
        if self._last is None:
            self._first = int(step)
        self._last = int(step), value
        if self.count % self._stride == 0:
            self.steps.append(int(step))
            self.values.append(value)
        self.count += 1
        if len(self.steps) > MOST_POINTS:
            del self.steps[1::2], self.values[1::2]
            self._stride *= 2
        return True

    def look(self, line: str, asked: Intermediate) -> None:
        """Take in what a printed line says."""
        metrics = Metrics()
        _PRINTED.look(line, metrics)
        if asked.name in metrics and (asked.step is None or asked.step in metrics):
            self.add(metrics[asked.step].last if asked.step is not None else None, metrics[asked.name].last)

    def read(self, line: bytes) -> None:
        """Take in a line of JSON: `{"step": 3, "value": 0.25}`; anything else counts as left out."""
        try:
            found = json.loads(line)
            step, value = found.get("step"), float(found["value"])
            ok = not isinstance(step, bool) and isinstance(step, int | float | None)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            ok = False
            step = value = 0.0
        if ok:
            self.add(step, value)
        else:
            self.left_out += 1

    @property
    def summary(self) -> Steps | None:
        """The curve in short, as a record has it."""
        if self._last is None:
            return None
        return Steps(first=self._first, last=self._last[0], count=self.count, value=self._last[1])
