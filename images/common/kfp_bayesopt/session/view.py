"""The events of a run, as told to a view: a command draws them, a program may use them directly."""

from __future__ import annotations

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
