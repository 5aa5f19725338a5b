"""What every source of a value has: what it looks at while an objective prints, and what it finds at the end."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from kfp_bayesopt.errors import shown, shown_name
from kfp_bayesopt.identity import IdentityModel
from kfp_bayesopt.space.numerals import WAY_OUT, NoNumber, read_number

MOST_NAMES = 1000
"""How many metrics are kept of a trial; more are no metrics."""
LONGEST_LINE = 65_536
"""Lines are cut here before anything is looked for in them, in characters."""
LONGEST_NAME = 200

VALUE = "value"
"""The name of what is optimised among the values of a record, unless the study names several objectives."""
Direction = Literal["minimize", "maximize"]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, description="Name of the metric.")]
Take = Literal["last", "first", "best"]


class NoValueError(Exception):
    """An objective has given no value; the message says why."""


class UnreadError(NoValueError):
    """A limit of ours, and nothing that the objective has done, kept its value from being read: it is read again.

    The message says which.
    """


@dataclass
class Numbers:
    """The numbers of one metric, in the order in which they came, in short: however many there are.

    A text that is no number counts as what it stands for: where the last one is asked for and it came last, there is
    none, and where the best one is, it might have been that.
    """

    first: float
    last: float
    lowest: float
    highest: float

    def add(self, number: float) -> None:
        """Take in the next one."""
        self.last = number
        if isinstance(number, NoNumber):
            self.lowest = self.highest = number
        if isinstance(self.lowest, NoNumber) or not math.isfinite(number):
            return
        self.lowest = number if not math.isfinite(self.lowest) else min(self.lowest, number)
        self.highest = number if not math.isfinite(self.highest) else max(self.highest, number)

    def followed_by(self, later: Numbers) -> Numbers:
        """Return these and later ones."""
        found = replace(self)
        for number in (later.lowest, later.highest, later.last):
            found.add(number)
        return found

    def take(self, which: Take, direction: str) -> float:
        """Return the first, the last or the best one."""
        best = self.lowest if direction == "minimize" else self.highest
        return {"first": self.first, "last": self.last, "best": best}[which]


class Metrics(dict[str, Numbers]):
    """Metrics by name."""

    def add(self, name: str, number: float) -> None:
        """Take in the next number of a metric."""
        if name in self:
            self[name].add(number)
        else:
            self.keep(name, Numbers(number, number, number, number))

    def keep(self, name: str, numbers: Numbers) -> None:
        """Take in a metric that is new, as long as there are not too many."""
        if len(self) < MOST_NAMES and len(name) <= LONGEST_NAME:
            self[name] = numbers

    def followed_by(self, later: Metrics) -> Metrics:
        """Return these and later ones."""
        if not self:
            return later
        found = Metrics({name: replace(numbers) for name, numbers in self.items()})
        for name, numbers in later.items():
            if name in found:
                found[name] = found[name].followed_by(numbers)
            else:
                found.keep(name, numbers)
        return found

    def add_all(self, found: Mapping[str, Any], prefix: str = "", depth: int = 5) -> None:
        """Take in the numbers of a mapping; those of mappings in it with a dot between the names."""
        for key, value in found.items():
            name = f"{prefix}{key}"
            if isinstance(value, dict) and depth:
                self.add_all(value, f"{name}.", depth - 1)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                self.add(name, _as_float(value))
            elif isinstance(value, str) and isinstance(number := read_number(value), NoNumber):
                self.add(name, number)


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


@dataclass
class Reached:
    """How far the intermediate values of a trial came.

    Attributes:
        step: The last one.
        numbers: The values, in short.
        said: The same with texts among them that stood for values and are no numbers.
        at_step: The value of the step that the source asks for; None where there was none, or it asks for none.
    """

    step: int
    numbers: Numbers
    said: Numbers
    at_step: float | None = None


@dataclass
class Evidence:
    """What an objective has left when it has ended.

    Attributes:
        who: Its function or program, as messages call it.
        returned: What its function returned: a number, or a mapping of names to numbers; None of a command.
        last_line: The last line that its command printed to standard output.
        printed: What it printed, as far as it is kept.
        metrics: What earlier attempts have said, from which it went on, and what `Source.look` has found in its lines.
        reached: Its intermediate values; None where there were none.
        folders: Where its files may lie: the folder of the trial, then that of the study.
        metric_file: Where a program that is tuned by Vertex AI writes its metrics.
        started: When it started, in seconds since 1970 by the clock of this machine.
        unread: Why intermediate values among what it printed could not be read; None where they could.
        is_read_again: Whether it ended long ago, and what is kept of it is read once more.
        mask: Takes what nothing may show out of a text. Whatever is read is read before.
    """

    who: str
    started: float
    folders: Sequence[Path]
    metric_file: Path
    returned: Any = None
    last_line: str = ""
    printed: bytes = b""
    metrics: Metrics = field(default_factory=Metrics)
    reached: Reached | None = None
    unread: str | None = None
    is_read_again: bool = False
    mask: Callable[[str], str] = str

    def shown(self, text: str) -> str:
        """Return a text of the objective as a message shows it."""
        return shown(self.mask(text))

    def why_not(self, value: float) -> str:
        """Return what is said of a value that is no finite number, after the word "is"."""
        if isinstance(value, NoNumber):
            return f"{self.shown(value.text)}, which is no number; {WAY_OUT}"
        return f"{value}; it must be finite"


class Source(IdentityModel):
    """Where the value of an objective comes from.

    A source writes `read`, and `look` where it needs each line.

    Attributes:
        of_functions: Whether it is for functions.
        of_commands: Whether it is for commands.
        of_objectives: Whether it can find several objectives by their names.
    """

    of_functions: ClassVar[bool] = True
    of_commands: ClassVar[bool] = True
    of_objectives: ClassVar[bool] = False

    @property
    def has_names(self) -> bool:
        """Tell whether it finds metrics by name, and not one number alone."""
        return False

    def look(self, line: str, metrics: Metrics) -> None:
        """Look at a line that the objective prints, without its end, and add what is found to the metrics."""

    def find(self, evidence: Evidence) -> Metrics:
        """Return the metrics that are in no line, or are found in all of them at once.

        Raises:
            NoValueError: What should hold them cannot be read.
        """
        return Metrics()

    def read(self, evidence: Evidence, goals: Mapping[str, Direction]) -> dict[str, float]:
        """Return what is optimised by the names of the goals, and the other metrics by theirs.

        Args:
            evidence: What the objective has left.
            goals: The directions of the objectives by their names; of one without a name, `value`.

        Raises:
            NoValueError: There is no value.
        """
        raise NotImplementedError


class NamedSource(Source):
    """A source of metrics, one of which is the value."""

    first_keys: ClassVar[tuple[str, ...]] = ("source", "name", "take")
    of_objectives: ClassVar[bool] = True

    name: Name | None = Field(None, description="Name of the metric; required of a study with one objective.")
    take: Take = Field("last", description="Which number of it, where there are several: last, first or best.")

    @property
    def has_names(self) -> bool:
        """Tell that it finds metrics by name."""
        return True

    @property
    def place(self) -> str:
        """Where the metrics are looked for, as a message says it."""
        raise NotImplementedError

    def read(self, evidence: Evidence, goals: Mapping[str, Direction]) -> dict[str, float]:
        """Return the metrics of the goals, and the last number of each of the others."""
        try:
            metrics = evidence.metrics.followed_by(self.find(evidence))
        except UnreadError:
            raise
        except NoValueError:
            if not all((self.name or goal) in evidence.metrics for goal in goals):
                raise
            metrics = evidence.metrics  # an attempt that found that all was done need not write it again
        found = {name: numbers.last for name, numbers in metrics.items() if math.isfinite(numbers.last)}
        for goal, direction in goals.items():
            name = self.name or goal
            if name not in metrics:
                raise NoValueError(f"no metric {shown_name(name)} in {self.place}; {seen(name, list(metrics))}")
            value = metrics[name].take(self.take, direction)
            if not math.isfinite(value):
                raise NoValueError(f"the metric {shown_name(name)} in {self.place} is {evidence.why_not(value)}")
            # What is optimised has its name in every record; a metric of theirs that is called so gives way.
            found |= {name: value, goal: value}
        return found


def seen(name: str, names: Sequence[str]) -> str:
    """Return which metrics were seen, and the one that was probably meant."""
    if not names:
        return "no metric was seen there"
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {shown(near[0])}?" if near else ""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"seen: {', '.join(map(shown_name, names[:10]))}{more}{hint}"
