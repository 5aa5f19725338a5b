"""The source `pattern`: a regular expression that finds the value in what an objective prints."""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from kfp_bayesopt.errors import shown
from kfp_bayesopt.space.numerals import read_number, whole_number
from kfp_bayesopt.study.sources import matching
from kfp_bayesopt.study.sources.base import VALUE, Direction, Evidence, Metrics, NoValueError, Source, Take, UnreadError

PROCESSOR_SECONDS = 5.0
"""Processor time that a pattern may take over the output of a trial; some patterns take years over a line."""
PATIENT_SECONDS = 60.0
"""The same when the output is read again and nothing waits for it."""
BUSY_SECONDS = 600.0
"""Time that it may take on a busy machine."""


class Pattern(Source):
    """A regular expression of Python, with one group or one called `value`; other named groups are metrics."""

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

    def find(self, evidence: Evidence) -> Metrics:
        """Return the matches of the groups; each line of the output is searched by itself."""
        metrics = Metrics()
        seconds = PATIENT_SECONDS if evidence.is_read_again else PROCESSOR_SECONDS
        for groups in matches(self.pattern, evidence.printed, seconds):
            for name, text in groups.items():
                number = read_number(text)
                if number is not None:
                    metrics.add(name, number)
                elif name == "value":
                    got = evidence.shown(text)
                    raise NoValueError(f"the pattern {shown(self.pattern)} matched {got}, which is no number")
        return metrics

    def read(self, evidence: Evidence, goals: Mapping[str, Direction]) -> dict[str, float]:
        """Return the value, and the other metrics."""
        metrics = evidence.metrics.followed_by(self.find(evidence))
        if "value" not in metrics:
            raise NoValueError(f"nothing that it printed matches the pattern {shown(self.pattern)}")
        value = metrics["value"].take(self.take, goals[VALUE])
        if not math.isfinite(value):
            raise NoValueError(f"what matches the pattern {shown(self.pattern)} is {evidence.why_not(value)}")
        others = {name: numbers.last for name, numbers in metrics.items() if math.isfinite(numbers.last)}
        return {**others, "value": value}


def check_pattern(pattern: str) -> str:
    """Return a pattern if it is usable.

    Raises:
        ValueError: It is not.
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


def matches(pattern: str, printed: bytes, seconds: float = PROCESSOR_SECONDS) -> list[dict[str, str]]:
    """Return the named groups of each match in an output; a group without a name is called `value`.

    If a group matches part of a number, the whole number is returned: 0,75 for a match of 0.

    Args:
        pattern: The regular expression.
        printed: The output.
        seconds: The processor time that the search may take.

    Raises:
        UnreadError: The pattern took longer, or this machine had no time for it.
        NoValueError: It cannot be used, or took longer than the most time that is ever given.
    """
    # In a process of its own, because nothing else stops Python's regular expressions in the middle of a line.
    command = [sys.executable, "-I", "-S", str(Path(matching.__file__)), str(seconds), pattern]
    why = f"the output could not be searched with the pattern {shown(pattern)}"
    try:
        ended = subprocess.run(command, input=printed, capture_output=True, timeout=BUSY_SECONDS)
    except subprocess.TimeoutExpired:
        raise UnreadError(f"{why} in {BUSY_SECONDS:g} s, as this machine was too busy") from None
    except OSError as error:
        raise UnreadError(f"{why}: {error.strerror}") from None
    if ended.returncode == -signal.SIGPROF:
        raise (UnreadError if seconds < PATIENT_SECONDS else NoValueError)(
            f"the pattern {shown(pattern)} took longer than {seconds:g} s of processor time over the output; "
            "make it simpler: without nested repetitions"
        )
    if ended.returncode < 0:
        raise UnreadError(f"{why}: the process was killed by signal {-ended.returncode}")
    if ended.returncode:
        raise NoValueError(f"the pattern {shown(pattern)} cannot be used: {ended.stderr[-300:].decode()}")
    found: list[dict[str, matching.Group]] = json.loads(ended.stdout)
    return [{name: whole_number(*group) for name, group in groups.items()} for groups in found]
