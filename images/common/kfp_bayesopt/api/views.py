"""The views of a run from Python: a display in a notebook's cell, lines elsewhere."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TextIO

from kfp_bayesopt.api.markup import LONGEST, NO_FORMULAS, escaped
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.session.lines import Lines, given
from kfp_bayesopt.session.view import Ended, Pace, Running, View, clock
from kfp_bayesopt.trial.process.threads import repeating

SECONDS_BETWEEN_DRAWINGS = 0.5
SECONDS_OF_REST = 10.0
"""Where nothing has happened, the display is drawn again for its clocks alone."""
MOST_LINES = 12
"""The most lines about failures, and about the run."""
MOST_RUNNING = 4
BAR = 40
"""The letters of the bar where there is no HTML."""
# Neither too dark for a dark ground nor too bright for a bright one: the theme of a notebook is not known here. The
# display has no style sheet, which notebooks that are not trusted lose.
TRIAL, FAILED, BEST, TRACK = "#2f86c1", "#c9457f", "#c05f10", "rgba(128,128,128,.28)"
QUIET = "opacity:.75"
BLOCK = (
    "margin:6px 0 0;padding:0;white-space:pre-wrap;overflow-wrap:anywhere;word-break:normal;background:none;border:0;"
    "color:inherit;font:12px/1.45 ui-monospace,monospace"
)


def view_of(progress: bool) -> View:
    """Return the view of a run: none, a display where a notebook's kernel runs the code, else lines.

    Args:
        progress: Show the run.
    """
    if not progress:
        return View()
    return Cell(Output().show) if in_notebook() else Lines(partial(_say, sys.stderr))


def in_notebook() -> bool:
    """Tell whether this process is a kernel, whose front end draws what is displayed."""
    # IPython is nobody's dependency: a notebook has imported it.
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def _say(stream: TextIO, line: str) -> None:
    """Write a line where the run began: KFP's engine has its own output caught while it runs."""
    stream.write(f"{line}\n")
    stream.flush()


class Output:
    """An output of a cell that can be changed."""

    def __init__(self) -> None:
        self._handle: Any = None

    @property
    def is_shown(self) -> bool:
        """Whether anything has been shown."""
        return self._handle is not None

    def show(self, markup: str, text: str) -> None:
        """Show HTML, and the text where a front end has none; at first below the cell that runs, then in place."""
        bundle = {"text/html": markup, "text/plain": text}
        if self._handle is None:
            display: Any = importlib.import_module("IPython.display").display  # whoever is in a notebook has it
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


class Cell(View):
    """Draws the run below the cell, and changes that drawing: it stays small, however many trials there are."""

    def __init__(self, show: Callable[[str, str], object]) -> None:
        """Show a run.

        Args:
            show: Shows HTML, or the text that says the same, in the place of what it has shown before.
        """
        self._show = show
        self._ticking = contextlib.ExitStack()
        self._lock = threading.RLock()  # trials begin in threads
        self._is_live = False
        self._has_news = False
        self._drawn = 0.0
        self._title = ""
        self._pace: Pace | None = None
        self._failed: set[int] = set()
        self._best: tuple[Record, str] | None = None
        self._running: Sequence[Running] = ()
        self._state = ""
        self._failures: deque[tuple[bool, str]] = deque(maxlen=MOST_LINES)
        self._notes: deque[str] = deque(maxlen=MOST_LINES)
        self._results: Sequence[str] = ()

    def begin(self, title: str, budget: int) -> None:
        """Show the title, and draw what happens from time to time."""
        with self._lock:
            self._title, self._pace = title, Pace(budget)
            self._is_live = True
            self._draw()
        self._ticking.enter_context(repeating(self._tick, SECONDS_BETWEEN_DRAWINGS))

    def trial(self, ended: Ended) -> None:
        """Count a trial; show it if it is the best so far, or has failed."""
        with self._lock:
            if self._pace is not None:
                self._pace.done = ended.done
            number = ended.record.trial
            if ended.is_best:
                self._best = ended.record, ended.best
            if ended.failure:
                self._failed.add(number)
                self._failures.append((True, f"trial {number}  {given(ended.record.parameters)}  {ended.failure}"))
            else:
                self._failed.discard(number)
            self._has_news = True

    def running(self, trials: Sequence[Running]) -> None:
        """Show the running trials."""
        with self._lock:
            known = [each.trial for each in self._running]
            self._running = list(trials)
            if self._running and self._pace is not None:
                self._pace.runs()
            self._has_news |= known != [each.trial for each in self._running]

    def failed(self, record: Record, lines: Sequence[str]) -> None:
        """Show the last of them."""
        with self._lock:
            self._failures.extend((False, line) for line in lines)
            self._has_news = True

    def state(self, text: str) -> None:
        """Show a state below the bar."""
        with self._lock:
            self._state = text
            self._tell()

    def lines(self, lines: Iterable[str]) -> None:
        """Show the last of them."""
        if found := [line for line in lines if line]:
            with self._lock:
                self._notes.extend(found)
                self._tell()

    def finish(self, lines: Sequence[str], best: Best, advice: Sequence[str], report: str | None) -> None:
        """Show the lines instead of the best so far."""
        self._results = list(lines)
        self.close()

    def stopped(self, text: str) -> None:
        """Show the text."""
        self.lines([text])

    def close(self) -> None:
        """Draw the run as it has ended: its failures are then shown together."""
        self._ticking.close()
        with self._lock:
            if self._pace is not None:
                self._pace.ends()
            self._is_live, self._running, self._state = False, (), ""
            self._failures.clear()
            self._draw()

    def _tell(self) -> None:
        """Draw soon, or at once where nothing draws from time to time."""
        self._has_news = True
        if not self._is_live:
            self._draw()

    def _tick(self) -> None:
        with self._lock:
            if self._has_news or time.monotonic() - self._drawn > SECONDS_OF_REST:
                self._draw()

    def _draw(self) -> None:
        self._has_news, self._drawn = False, time.monotonic()
        self._show(self.html(), self.text())

    def _counts(self) -> str:
        """Return how many trials have ended, failed and run, and the time."""
        assert self._pace is not None, "a run has begun"
        counts = [f"{self._pace.done} of {self._pace.budget} trials"]
        counts += [f"{len(self._failed)} failed"] if self._failed else []
        counts += [f"{len(self._running)} running"] if self._running else []
        return ", ".join([*counts, str(self._pace)])

    def _best_line(self) -> str:
        """Return the best so far, and its parameters; empty where the results say it, or there is none."""
        if self._best is None or self._results:
            return ""
        record, said = self._best
        return f"{said} in trial {record.trial}: {given(record.parameters)}"

    def text(self) -> str:
        """Return the drawing as plain text."""
        lines = [self._title] if self._title else []
        if self._pace is not None:
            full = round(BAR * min(1.0, self._pace.done / self._pace.budget))
            lines.append(f"[{'#' * full}{'.' * (BAR - full)}] {self._counts()}")
        lines += [each for each in (self._best_line(), self._state) if each]
        lines += [*(line for _, line in self._failures), *self._notes, *self._results]
        return "\n".join(line[:LONGEST] for line in lines)

    def html(self) -> str:
        """Return the drawing as HTML."""
        parts = [f"<div><b>{escaped(self._title)}</b></div>"] if self._title else []
        if self._pace is not None:
            parts.append(self._bar(self._pace))
        if best := self._best_line():
            parts.append(f'<div style="margin-top:4px"><b style="color:{BEST}">★</b> {escaped(best)}</div>')
        now = time.time()
        for each in self._running[:MOST_RUNNING]:
            running = f"trial {each.trial}  {clock(now - each.since)}  {given(each.parameters)}"
            parts.append(f'<div style="{QUIET}">{escaped(running)}</div>')
        if self._state:
            parts.append(f'<div style="{QUIET}">{escaped(self._state)}</div>')
        failures = "\n".join(
            f'<span style="color:{FAILED}">{escaped(line)}</span>' if is_first else escaped(line)
            for is_first, line in self._failures
        )
        results = "\n".join(
            f"<b>{escaped(line)}</b>" if not at else escaped(line) for at, line in enumerate(self._results)
        )
        blocks = (failures, "\n".join(map(escaped, self._notes)), results)
        parts += [f'<pre style="{BLOCK}">{block}</pre>' for block in blocks if block]
        return (
            f'<div class="{NO_FORMULAS}" style="max-width:60em;padding:2px 0;overflow-wrap:anywhere;'
            f'font:13px/1.5 system-ui,sans-serif">{"".join(parts)}</div>'
        )

    def _bar(self, pace: Pace) -> str:
        """Return the bar: completed, failed and running trials, and what they are in words."""
        failed = min(len(self._failed), pace.done)
        running = min(len(self._running), pace.budget - pace.done)
        shares = [(pace.done - failed, TRIAL, 1), (failed, FAILED, 1), (max(0, running), TRIAL, 0.4)]
        pieces = "".join(
            f'<div style="width:{100 * count / pace.budget:.2f}%;background:{paint};opacity:{opacity}"></div>'
            for count, paint, opacity in shares if count
        )  # fmt: skip
        return (
            f'<div role="img" aria-label="{escaped(self._counts())}" style="display:flex;height:9px;border-radius:5px;'
            f'overflow:hidden;margin:5px 0 3px;background:{TRACK}">{pieces}</div><div>{escaped(self._counts())}</div>'
        )
