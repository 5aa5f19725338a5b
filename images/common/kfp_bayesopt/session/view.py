"""The events of a run, as told to a view: a command draws them, a program may use them directly."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.space.parameters import Parameters

# The whole reason is in the ledger.
LONGEST_FAILURE = 200


@dataclass(frozen=True)
class Ended:
    """An ended trial, as a view shows it.

    Attributes:
        record: Its record.
        number: Its number out of the budget: ` 3/16`.
        iteration: The same for its iteration; None without one.
        done: The number of ended trials of the budget.
        value: Its optimised values as text; empty if it failed.
        best: The best value so far as text, or the number of trials on the front of several objectives.
        is_best: Whether the best value is its own, or it is on the front.
        broken: The limits that it breaks, in words; empty if none.
    """

    record: Record
    number: str
    iteration: str | None
    done: int
    value: str
    best: str
    is_best: bool
    broken: str

    @property
    def failure(self) -> str:
        """The reason it failed, in a line; empty if it did not."""
        reason = self.record.reason
        return f"failed: {reason.message.partition(chr(10))[0][:LONGEST_FAILURE]}" if reason else ""


@dataclass(frozen=True)
class Running:
    """A running trial.

    Attributes:
        trial: Its number.
        parameters: Its parameters.
        since: Its start, by `time.time`.
    """

    trial: int
    parameters: Parameters
    since: float


class View:
    """Shows the events of a run: this base class none, and each view those that it overrides."""

    def begin(self, title: str, budget: int) -> None:
        """Show the title."""

    def trial(self, ended: Ended) -> None:
        """Show an ended trial."""

    def running(self, trials: Sequence[Running]) -> None:
        """Show the running trials."""

    def failed(self, record: Record, lines: Sequence[str]) -> None:
        """Show the lines that say more about a failed trial."""
        self.lines(lines)

    def state(self, text: str) -> None:
        """Show the state of the job, until another one comes."""

    def lines(self, lines: Iterable[str]) -> None:
        """Show lines about the run."""

    def finish(self, lines: Sequence[str], best: Best, advice: Sequence[str], report: str | None) -> None:
        """Show the results: as lines, or as data."""

    def stopped(self, text: str) -> None:
        """Show that the run was stopped, and the way to continue."""

    def close(self) -> None:
        """Remove everything that changes from the display."""


def clock(seconds: float) -> str:
    """Return a time as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Pace:
    """How many trials have ended, and how long the rest takes at the rate of this run.

    Attributes:
        done: The number of ended trials of the budget.
        budget: That of all trials.
    """

    def __init__(self, budget: int) -> None:
        """Begin to count."""
        self.done = 0
        self.budget = budget
        self._kept: int | None = None
        self._began = time.monotonic()
        self._ended: float | None = None

    def runs(self) -> None:
        """Count from here on: a trial runs, and what has ended until then is of earlier runs."""
        if self._kept is None:
            self._kept = self.done

    def ends(self) -> None:
        """Stop the clock."""
        self._ended = time.monotonic()

    def __str__(self) -> str:
        """Return the time that has passed, and what is left where that is known."""
        passed, new = (self._ended or time.monotonic()) - self._began, self.done - (self._kept or 0)
        left = passed / new * (self.budget - self.done) if new > 0 and self._ended is None else 0.0
        return clock(passed) + (f", {clock(left)} left" if left > 0 else "")
