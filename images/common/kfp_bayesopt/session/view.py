"""What happens in a run, as whoever shows it is told: a command draws it, a program may take it as it is."""

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
    """A trial that has ended, as a view shows it.

    Attributes:
        record: Its record.
        number: It, and of how many: ` 3/16`.
        iteration: The same of its iteration; None where it has none.
        done: How many trials of the budget have ended.
        value: What is optimised of it, as text; empty where it failed.
        best: The best value so far, as text, or of several objectives how many trials are on the front.
        is_best: Whether that is its own, or it is on the front.
        broken: Which limits it breaks, in words; empty where none.
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
        """Why it failed, in a line; empty where it did not."""
        reason = self.record.reason
        return f"failed: {reason.message.partition(chr(10))[0][:LONGEST_FAILURE]}" if reason else ""


@dataclass(frozen=True)
class Running:
    """A trial that runs.

    Attributes:
        trial: Its number.
        parameters: What is evaluated.
        since: When it began, by `time.time`.
    """

    trial: int
    parameters: Parameters
    since: float


class View:
    """Shows what happens in a run: this one nothing, and each view what it overrides."""

    def begin(self, title: str, budget: int) -> None:
        """Show what runs."""

    def trial(self, ended: Ended) -> None:
        """Show a trial that has ended."""

    def running(self, trials: Sequence[Running]) -> None:
        """Show which trials run."""

    def state(self, text: str) -> None:
        """Show the state of what runs them, until another one comes."""

    def lines(self, lines: Iterable[str]) -> None:
        """Show lines about the run."""

    def finish(self, lines: Sequence[str], best: Best, advice: Sequence[str], report: str | None) -> None:
        """Show what came out: as lines, or what they say."""

    def stopped(self, text: str) -> None:
        """Show that it was stopped, and how it goes on."""

    def close(self) -> None:
        """Show nothing any more that changes."""
