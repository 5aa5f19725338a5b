"""The view of a run as plain lines, for a pipe or a log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.report.numbers import label
from kfp_bayesopt.session.view import Ended, View
from kfp_bayesopt.space.parameters import Parameters


class Lines(View):
    """Prints a lasting line for each trial."""

    def __init__(self, say: Callable[[str], object]) -> None:
        """Show a run as lines.

        Args:
            say: Prints a line.
        """
        self._say = say

    def begin(self, title: str, budget: int) -> None:
        """Print the title."""
        self.lines([title])

    def trial(self, ended: Ended) -> None:
        """Print a line."""
        iteration = f"iteration {ended.iteration}  " if ended.iteration else ""
        result = ended.failure or ended.value
        result += f"  ({ended.broken})" if ended.broken else ""
        self.lines([f"{iteration}trial {ended.number}  {given(ended.record.parameters)}  {result}  {ended.best}"])

    def state(self, text: str) -> None:
        """Print a line."""
        self.lines([text])

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines."""
        for line in lines:
            self._say(line)

    def finish(self, lines: Sequence[str], best: Best, advice: Sequence[str], report: str | None) -> None:
        """Print the lines."""
        self.lines(["", *lines])

    def stopped(self, text: str) -> None:
        """Print the text on standard error."""
        sys.stderr.write(f"{text}\n")


def given(parameters: Parameters) -> str:
    """Return parameters in a line, with 1, 1.0 and "1" distinct."""
    return " ".join(f"{name}={label(value)}" for name, value in parameters.items())
