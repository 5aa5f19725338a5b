"""The base of every source of a value: how it examines each printed line, and how it finds the value at the end."""

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
from kfp_bayesopt.space.numerals import WAY_OUT, NoNumber, are_several, read_number
from kfp_bayesopt.study.sources.lines import Memory, kind_of, pattern_for

MOST_NAMES = 1000
"""The most metrics kept of a trial; more are not metrics."""
LONGEST_LINE = 65_536
"""Longer lines are cut here before they are searched, in characters."""
LONGEST_NAME = 200

VALUE = "value"
"""The name of the optimised value in a record, unless the study names several objectives."""
Direction = Literal["minimize", "maximize"]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, description="Name of the metric.")]
Take = Literal["last", "first", "best"]


class NoValueError(Exception):
    """An objective gave no value; the message gives the reason."""


class UnreadError(NoValueError):
    """A limit of ours, not the objective, kept its value from being read; it will be read again.

    The message names the limit.
    """


@dataclass
class Numbers:
    """A summary of the numbers of one metric in order, of constant size.

    A text that is no number counts in its position: if the last number is wanted and the text came last, there is no
    value; if the best is wanted, the text might have been it.
    """

    first: float
    last: float
    lowest: float
    highest: float
    count: int = field(default=1, compare=False)
    nans: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        """Count the first."""
        self.nans = self.nans or int(self.count == 1 and is_nan(self.first))

    @property
    def are_nan(self) -> bool:
        """Tell whether there were several, and all were NaN."""
        return self.count > 1 and self.nans == self.count and is_nan(self.lowest)

    def add(self, number: float) -> None:
        """Add the next number."""
        self.last = number
        self.count += 1
        self.nans += is_nan(number)
        if isinstance(number, NoNumber):
            self.lowest = self.highest = number
        if isinstance(self.lowest, NoNumber) or not math.isfinite(number):
            return
        self.lowest = number if not math.isfinite(self.lowest) else min(self.lowest, number)
        self.highest = number if not math.isfinite(self.highest) else max(self.highest, number)

    def followed_by(self, later: Numbers) -> Numbers:
        """Return the summary of these and later ones."""
        found = replace(self)
        for number in (later.lowest, later.highest, later.last):
            found.add(number)
        found.count, found.nans = self.count + later.count, self.nans + later.nans
        return found

    def take(self, which: Take, direction: str) -> float:
        """Return the first, the last or the best one."""
        best = self.lowest if direction == "minimize" else self.highest
        return {"first": self.first, "last": self.last, "best": best}[which]


class Metrics(dict[str, Numbers]):
    """Metrics by name.

    Attributes:
        memory: What is remembered of the lines in which they were found.
    """

    def __init__(self, found: Mapping[str, Numbers] | None = None, memory: Memory | None = None) -> None:
        """Begin with some."""
        super().__init__(found or {})
        self.memory = memory or Memory()

    def add(self, name: str, number: float) -> None:
        """Add the next number of a metric."""
        if name in self:
            self[name].add(number)
        else:
            self.keep(name, Numbers(number, number, number, number))

    def keep(self, name: str, numbers: Numbers) -> None:
        """Add a new metric, unless there are too many."""
        if len(self) < MOST_NAMES and len(name) <= LONGEST_NAME:
            self[name] = numbers

    def followed_by(self, later: Metrics) -> Metrics:
        """Return the summary of these and later ones."""
        if not self:
            return later
        found = Metrics({name: replace(numbers) for name, numbers in self.items()})
        for name, numbers in later.items():
            if name in found:
                found[name] = found[name].followed_by(numbers)
            else:
                found.keep(name, numbers)
        return found

    def add_all(self, found: Mapping[str, Any], prefix: str = "", depth: int = 5, has_texts: bool = False) -> None:
        """Add the numbers of a mapping; those of nested mappings with a dot between the names.

        Args:
            found: The mapping.
            prefix: What begins their names.
            depth: How deep mappings in it may be nested.
            has_texts: Whether its numbers may be texts.
        """
        for key, value in found.items():
            name = f"{prefix}{key}"
            if isinstance(value, dict) and depth:
                self.add_all(value, f"{name}.", depth - 1, has_texts)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                self.add(name, _as_float(value))
            elif isinstance(value, str):
                number = read_number(value)
                if isinstance(number, NoNumber) or (has_texts and number is not None):
                    self.add(name, number)


def is_nan(number: float) -> bool:
    """Tell whether a number is NaN, and no text that stands for none."""
    return math.isnan(number) and not isinstance(number, NoNumber)


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


@dataclass
class Reached:
    """The progress of the intermediate values of a trial.

    Attributes:
        step: The last step.
        numbers: A summary of the values.
        said: A summary that also counts texts in the place of values that are no numbers.
        at_step: The value at the step that the source names; None without such a step or value.
    """

    step: int
    numbers: Numbers
    said: Numbers
    at_step: float | None = None


@dataclass
class Evidence:
    """The traces of an objective that has ended.

    Attributes:
        who: Its function or program, as messages call it.
        returned: The return value of its function: a number, or a mapping of names to numbers; None for a command.
        last_line: The last line that its command printed to standard output.
        printed: Its output, as far as it is kept.
        metrics: The metrics of the earlier attempts that it continued, and those that `Source.look` found in its lines.
        reached: Its intermediate values; None if it gave none.
        folders: The possible folders of its files: that of the trial, then that of the study.
        metric_file: The file for the metrics of a program that Vertex AI tunes.
        started: Its start, in seconds since 1970 by the clock of this machine.
        nans: How many of its intermediate values were NaN.
        unread: The reason that intermediate values in its output could not be read; None if they could.
        is_read_again: Whether it ended long ago, and its kept output is read once more.
        mask: Removes secrets from a text. Values are read before that.
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
    nans: int = 0
    unread: str | None = None
    is_read_again: bool = False
    mask: Callable[[str], str] = str

    def shown(self, text: str) -> str:
        """Return a text of the objective in the form for messages."""
        return shown(self.mask(text))

    def why_not(self, value: float) -> str:
        """Return the description of a value that is not a finite number, as it follows the word "is"."""
        if isinstance(value, NoNumber) and are_several(value.text):
            return (
                f"{self.shown(value.text)}, which is several numbers; print the one that is meant with its name, name "
                "its column too (ROW.COLUMN), or give a pattern"
            )
        if isinstance(value, NoNumber):
            return f"{self.shown(value.text)}, which is no number; {WAY_OUT}"
        return f"{value}; it must be finite"


class Source(IdentityModel):
    """A source of the value of an objective.

    A source implements `read`, and `look` if it needs each line.

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
        """Tell whether it finds metrics by name, and not just one number."""
        return False

    def check_name(self, name: str) -> None:
        """Check that it can find a metric of this name.

        Raises:
            ValueError: It never can.
        """

    def look(self, line: str, metrics: Metrics) -> None:
        """Search a printed line, without its line end, and add the metrics found."""

    def find(self, evidence: Evidence) -> Metrics:
        """Return the metrics that are in no line, or are found in all lines at once.

        Raises:
            NoValueError: Their file cannot be read.
        """
        return Metrics()

    def read(self, evidence: Evidence, goals: Mapping[str, Direction]) -> dict[str, float]:
        """Return the values of the goals by name, and the other metrics by theirs.

        Args:
            evidence: The traces of the objective.
            goals: The directions of the objectives by name; a single objective without a name is `value`.

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
    def origin(self) -> str:
        """The origin of the metrics, as messages name it."""
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
                why = f"no metric {shown_name(name)} in {self.origin}; {seen(name, list(metrics))}"
                if line := evidence.metrics.memory.without.get(name):
                    why += (
                        f"; no number follows it in {evidence.shown(line)}: give a pattern, such as {pattern_for(name)}"
                    )
                raise NoValueError(why)
            value = metrics[name].take(self.take, direction)
            if metrics[name].are_nan:
                all_nan = f"{metrics[name].count} values, all NaN"
                raise NoValueError(f"the metric {shown_name(name)} in {self.origin} has {all_nan}")
            if not math.isfinite(value):
                raise NoValueError(f"the metric {shown_name(name)} in {self.origin} is {evidence.why_not(value)}")
            # The optimised value has its own name in every record; a metric of the person's with that name gives way.
            found |= {name: value, goal: value}
        return found


def seen(name: str, names: Sequence[str]) -> str:
    """Return a list of the metrics that were seen, and the one that was probably meant, or is near and another one."""
    if not names:
        return "no metric was seen there"
    same = [each for each in names if kind_of(each) == kind_of(name)]
    near = difflib.get_close_matches(name, same, n=1, cutoff=0.5)
    other = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {shown(near[0])}?" if near else ""
    if other and not near:
        hint = f"; {shown(other[0])} is near, but another metric"
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"seen: {', '.join(map(shown_name, names[:10]))}{more}{hint}"
