"""The source `pattern`: a regular expression that finds the value in what an objective prints."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from bayesopt.errors import shown
from bayesopt.sources import matching
from bayesopt.sources.base import VALUE, Direction, Evidence, Metrics, NoValueError, Source, Take, to_number

SECONDS = 1.0
"""How long the pattern may take over the whole output of a trial; some patterns take years over a line."""


class Pattern(Source):
    """A regular expression of Python, with one group or one that is called `value`; other named groups are metrics."""

    first_keys = ("source", "pattern", "take")

    source: Literal["pattern"]
    pattern: str = Field(
        min_length=1, max_length=1000, description="With a group for the number.", examples=[r"accuracy is (\S+)"]
    )
    take: Take = Field("last", description="Which match, where there are several: last, first or best.")

    @field_validator("pattern")
    @classmethod
    def _check(cls, pattern: str) -> str:
        return check_pattern(pattern)

    @property
    def has_names(self) -> bool:
        """Tell whether it has groups for other metrics."""
        return bool(set(re.compile(self.pattern).groupindex) - {VALUE})

    def read(self, evidence: Evidence, goals: Mapping[str, Direction]) -> dict[str, float]:
        """Return what the groups have matched; each line of the output is searched for itself."""
        metrics = Metrics()
        for groups in matches(self.pattern, evidence.printed):
            for name, text in groups.items():
                number = to_number(text)
                if number is not None:
                    metrics.add(name, number)
                elif name == "value":
                    raise NoValueError(f"the pattern {shown(self.pattern)} matched {shown(text)}, which is no number")
        if "value" not in metrics:
            raise NoValueError(f"nothing that it printed matches the pattern {shown(self.pattern)}")
        value = metrics["value"].take(self.take, goals[VALUE])
        if not math.isfinite(value):
            raise NoValueError(f"what matches the pattern {shown(self.pattern)} is {value}; it must be finite")
        others = {name: numbers.last for name, numbers in metrics.items() if math.isfinite(numbers.last)}
        return {**others, "value": value}


def check_pattern(pattern: str) -> str:
    """Return a pattern, if it can be used.

    Raises:
        ValueError: It cannot.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression of Python: {error}, but got {shown(pattern)}") from None
    if "value" not in compiled.groupindex and compiled.groups != 1:
        raise ValueError(
            f"must have one group, or one called `value`, such as 'accuracy is (?P<value>\\S+)', "
            f"but got {shown(pattern)}"
        )
    return pattern


def matches(pattern: str, printed: bytes) -> list[dict[str, str]]:
    """Return the named groups of each match in what was printed; one without a name is called `value`.

    Raises:
        NoValueError: The pattern takes too long, or cannot be used.
    """
    # In a process of its own, because nothing else stops the engine of Python in the middle of a line.
    program = str(Path(matching.__file__))
    try:
        ended = subprocess.run(
            [sys.executable, "-I", "-S", program, pattern], input=printed, capture_output=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise NoValueError(
            f"the pattern {shown(pattern)} took longer than {SECONDS:g} s over the output; "
            "make it simpler: without nested repetitions"
        ) from None
    if ended.returncode:
        raise NoValueError(f"the pattern {shown(pattern)} cannot be used: {ended.stderr[-300:].decode()}")
    found: list[dict[str, str]] = json.loads(ended.stdout)
    return found
