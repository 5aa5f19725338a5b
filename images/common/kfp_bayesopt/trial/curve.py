"""The intermediate values of one trial, from the lines that it prints and from the file that it writes."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from kfp_bayesopt.folder.trials import Said, Steps
from kfp_bayesopt.space.numerals import NoNumber, read_number, read_step
from kfp_bayesopt.study.sources.base import Metrics, Numbers, Reached, is_nan
from kfp_bayesopt.study.sources.hypertune import metrics_of
from kfp_bayesopt.study.sources.intermediate import MOST_STEP, Intermediate
from kfp_bayesopt.study.sources.lines import Memory
from kfp_bayesopt.study.sources.printed import Printed

MOST_POINTS = 10_000
"""The most values kept of a trial: of more, every second one, then every fourth, and so on."""
_PRINTED = Printed(source="printed")


@dataclass
class Curve:
    """The intermediate values of a trial.

    A step that is not later than the last one, or not a whole number, is left out, and so is a value that is not
    finite.

    Attributes:
        wanted: A step whose value is always kept; None for none.
        steps: The steps of the kept values.
        values: The kept values.
        count: The number of all values.
        left_out: The number of unusable values.
        nans: The number of those that were NaN.
    """

    wanted: int | None = None
    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    count: int = 0
    left_out: int = 0
    nans: int = 0
    _reached: Reached | None = None
    _said: Numbers | None = None
    _stride: int = 1
    _memory: Memory = field(default_factory=Memory)

    @classmethod
    def of(cls, said: Said, wanted: int | None) -> Self:
        """Return the curve of a trial that continues from its earlier metrics."""
        found = cls(wanted, list(said.steps), list(said.values), said.count, _stride=said.stride)
        if (four := said.said or said.numbers) is not None:
            found._said = numbers_of(four)
        if said.last is not None and said.numbers is not None and found._said is not None:
            found._reached = Reached(said.last, numbers_of(said.numbers), found._said, said.at_step)
        return found

    def said(self, mask: Callable[[str], str]) -> dict[str, Any]:
        """Return the data for `of`, with texts masked."""
        texts = self._said is not None and any(isinstance(each, NoNumber) for each in numbers_in(self._said))
        found: dict[str, Any] = {"said": four_of(self._said, mask)} if self._said is not None and texts else {}
        if self._reached is None:
            return found
        return found | {
            "steps": self.steps, "values": self.values, "stride": self._stride, "count": self.count,
            "last": self._reached.step, "numbers": four_of(self._reached.numbers, mask),
            "at_step": self._reached.at_step,
        }  # fmt: skip

    @property
    def reached(self) -> Reached | None:
        """Its progress; None without a value."""
        return self._reached

    @property
    def done(self) -> int:
        """The number of steps done, reported or not; one more if the trial counts from 0."""
        return self._reached.step + (self.steps[0] == 0) if self._reached is not None else 0

    def at(self, step: int) -> Reached | None:
        """Return the progress when the trial reached a step, from the kept values if there are very many."""
        if not self.steps or self.steps[-1] < step:
            return self._reached
        found = Curve(self.wanted)
        end = bisect_left(self.steps, step) + 1
        for each, value in zip(self.steps[:end], self.values[:end], strict=True):
            found.add(each, value)
        return found.reached

    @property
    def warnings(self) -> list[str]:
        """What a person should look at in the lines with its values."""
        return self._memory.warnings

    def add(self, step: float | None, value: float) -> bool:
        """Add the next value, and tell whether it was usable; without a step it is one more than the last."""
        before = self._reached
        self.nans += is_nan(value)
        if isinstance(value, NoNumber) and self._said is None:
            self._said = Numbers(value, value, value, value)
        elif isinstance(value, NoNumber) and self._said is not None:
            self._said.add(value)
        if step is None:
            step = 1 if before is None else before.step + 1
        is_step = math.isfinite(step) and step == int(step) and 0 <= step <= MOST_STEP
        if not is_step or not math.isfinite(value) or (before is not None and step <= before.step):
            self.left_out += 1
            return False
        if before is None:
            self._said = self._said or Numbers(value, value, value, value)
            self._reached = before = Reached(int(step), Numbers(value, value, value, value), self._said)
        before.step = int(step)
        before.numbers.add(value)
        before.said.add(value)
        if before.step == self.wanted:
            before.at_step = value
        if self.count % self._stride == 0:
            self.steps.append(int(step))
            self.values.append(value)
        self.count += 1
        if len(self.steps) > MOST_POINTS:
            del self.steps[1::2], self.values[1::2]
            self._stride *= 2
        return True

    def look(self, line: str, asked: Intermediate) -> None:
        """Add the metric in a printed line."""
        assert asked.name is not None
        metrics = Metrics(memory=self._memory)
        _PRINTED.asking(filter(None, (asked.name, asked.step))).look(line, metrics)
        if asked.name in metrics and (asked.step is None or asked.step in metrics):
            self.add(read_step(metrics[asked.step].last) if asked.step is not None else None, metrics[asked.name].last)

    def match(self, groups: Mapping[str, str]) -> None:
        """Add the match of a pattern: the groups `value`, and `step` if it has one."""
        value, step = read_number(groups.get("value", "")), read_number(groups.get("step", ""))
        if value is None or ("step" in groups and step is None):
            self.left_out += 1
        else:
            self.add(None if step is None else read_step(step), value)

    def read(self, line: bytes) -> None:
        """Add a line of JSON: `{"step": 3, "value": 0.25}`; anything else counts as left out."""
        try:
            found = json.loads(line)
            step, value = found.get("step"), found["value"]
            value = read_number(value) if isinstance(value, str) else float(value)
            ok = value is not None and not isinstance(step, bool) and isinstance(step, int | float | None)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            ok = False
            step = value = 0.0
        if ok:
            self.add(step, value)
        else:
            self.left_out += 1

    def report(self, name: str, line: bytes) -> None:
        """Add a line of the metrics file of hypertune, if it has the metric: its step is `global_step`."""
        found = metrics_of(line)
        if found and name in found:
            self.add(found.get("global_step"), found[name])

    @property
    def summary(self) -> Steps | None:
        """A summary of the curve for the record."""
        if self._reached is None:
            return None
        last = self._reached
        return Steps(first=self.steps[0], last=last.step, count=self.count, value=last.numbers.last)


def numbers_in(numbers: Numbers) -> tuple[float, ...]:
    """Return the numbers of a metric in the order of the file."""
    return numbers.first, numbers.last, numbers.lowest, numbers.highest


def four_of(numbers: Numbers, mask: Callable[[str], str]) -> list[float | str | None]:
    """Return the numbers of a metric for the file, with texts masked."""

    def told(number: float) -> float | str | None:
        if isinstance(number, NoNumber):
            return mask(number.text)
        return number if math.isfinite(number) else None

    return [told(each) for each in numbers_in(numbers)]


def numbers_of(four: Sequence[float | str | None]) -> Numbers:
    """Return the numbers of a metric from the file."""

    def number(told: float | str | None) -> float:
        if isinstance(told, str):
            return NoNumber(told)
        return math.nan if told is None else told

    first, last, lowest, highest = map(number, four)
    return Numbers(first, last, lowest, highest, count=0)  # how many there were is not kept
