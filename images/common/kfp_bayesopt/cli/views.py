"""The views of a run: a live screen on a terminal, lines for a pipe, JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import IO, Any

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kfp_bayesopt.folder.documents import Document
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.session.lines import Lines, given
from kfp_bayesopt.session.view import Ended, Pace, Running, View, clock

REFRESHES_A_SECOND = 4
MOST_RUNNING = 8
WIDEST_BAR = 40


def note(text: str) -> None:
    """Show a line that is no result, such as a warning, on standard error."""
    click.echo(text, err=True)


def view_for(as_json: bool = False) -> View:
    """Return the view that suits standard output."""
    if as_json:
        return Events(sys.stdout)
    console = Console(highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return Screen(console)
    return Lines(partial(click.echo, file=sys.stdout))  # KFP's engine has what is printed meanwhile caught


class Screen(View):
    """Shows ended trials as lines, and below them the running ones and the progress of the study."""

    def __init__(self, console: Console, moves: bool = True) -> None:
        """Show a run on a terminal.

        Args:
            console: The terminal.
            moves: Show the changing part too, and not only the lasting lines.
        """
        self._console = console
        self._moves = moves
        self._live: Live | None = None
        self._running: Sequence[Running] = ()
        self._state = ""
        self._pace = Pace(1)

    def begin(self, title: str, budget: int) -> None:
        """Show the title."""
        self._pace = Pace(budget)
        self._console.print(Text(title, style="bold"))
        if self._moves:
            # The standard streams are left alone: a program that prints there does so on purpose.
            self._live = Live(
                get_renderable=self.below, console=self._console, refresh_per_second=REFRESHES_A_SECOND,
                transient=True, redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._live.start()

    def trial(self, ended: Ended) -> None:
        """Show a line that fits: number, value and parameters; the best so far is marked."""
        self._pace.done = ended.done
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append("★ " if ended.is_best else "  ", style="bold yellow")
        line.append(f"{ended.number}  ", style="dim")
        if ended.failure:
            line.append(f"{ended.failure}  ", style="red")
        else:
            style = "bold green" if ended.is_best else "dim" if ended.broken else ""
            line.append(f"{ended.value.removeprefix('value '):>11}  ", style=style)
            line.append(f"{ended.broken}  " if ended.broken else "", style="yellow")
        line.append(given(ended.record.parameters), style="dim")
        self._console.print(line)

    def running(self, trials: Sequence[Running]) -> None:
        """Show the running trials."""
        self._running = list(trials)
        if self._running:
            self._pace.runs()

    def state(self, text: str) -> None:
        """Show a state below the lines."""
        self._state = text

    def lines(self, lines: Iterable[str]) -> None:
        """Show lines."""
        for line in lines:
            self._console.print(Text(line), soft_wrap=True)

    def finish(self, lines: Sequence[str], best: Best, advice: Sequence[str], report: str | None) -> None:
        """Show the lines, the first one marked."""
        self.close()
        self._console.print()
        for index, line in enumerate(lines):
            # Text copied from the screen must not contain line breaks of the screen.
            self._console.print(Text(line, style="bold" if index == 0 else ""), soft_wrap=True)

    def stopped(self, text: str) -> None:
        """Print the text on standard error."""
        click.echo(text, err=True)

    def close(self) -> None:
        """Remove the changing part."""
        if self._live is not None:
            self._live.stop()

    def below(self) -> RenderableType:
        """Return the changing part: the running trials, the state, and the progress of the study."""
        parts: list[RenderableType] = []
        if self._running:
            parts.append(self._table())
        if self._state:
            parts.append(Text(self._state, style="dim", no_wrap=True, overflow="ellipsis"))
        parts.append(self._bar())
        return Group(*parts)

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 1), expand=True, show_header=False)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(justify="right", no_wrap=True, style="cyan")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1, style="dim")
        now = time.time()
        for each in self._running[:MOST_RUNNING]:
            table.add_row(f"trial {each.trial}", clock(now - each.since), Text(given(each.parameters)))
        if len(self._running) > MOST_RUNNING:
            table.add_row("", "", f"and {len(self._running) - MOST_RUNNING} more")
        return table

    def _bar(self) -> RenderableType:
        done, budget = self._pace.done, self._pace.budget
        text = f"{done}/{budget}  {self._pace}"
        grid = Table.grid(padding=(0, 1))
        width = max(8, min(WIDEST_BAR, self._console.width - len(text) - 3))
        # Running trials count partly, so that the bar moves while they run.
        moving = sum(1 - 0.5 ** ((time.time() - each.since) / 30) for each in self._running) * 0.5
        bar = ProgressBar(total=budget, completed=min(done + moving, budget), width=width)
        grid.add_row(bar, Text(text, no_wrap=True))
        return grid


class Events(View):
    """Prints a line of JSON for each event."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def begin(self, title: str, budget: int) -> None:
        """Print the begin of a run."""
        self._print("begin", {"title": title, "trials": budget})

    def trial(self, ended: Ended) -> None:
        """Print the record of a trial."""
        self._print("trial", {"is_best": ended.is_best, "broken": ended.broken, "record": _data(ended.record)})

    def state(self, text: str) -> None:
        """Print a state."""
        self._print("state", {"text": text})

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines for people."""
        for line in lines:
            self._print("note", {"text": line})

    def finish(self, lines: Sequence[str], best: Best, advice: Sequence[str], report: str | None) -> None:
        """Print the best trial, the advice, and the path of the report."""
        self._print("end", {"best": _data(best), "advice": list(advice), "page": report})

    def stopped(self, text: str) -> None:
        """Print the text on standard error."""
        click.echo(text, err=True)

    def _print(self, event: str, data: dict[str, Any]) -> None:
        click.echo(json.dumps({"event": event, **data}), self._file)


def _data(document: Document) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document.to_line())
    return found
