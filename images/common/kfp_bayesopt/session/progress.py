"""Counts the trials of a run, and shows each of them once."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from kfp_bayesopt import hints
from kfp_bayesopt.folder.failures import details, grouped
from kfp_bayesopt.folder.publish import Verdict
from kfp_bayesopt.folder.results import Failure, failures_of
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.session.activity import Activity
from kfp_bayesopt.session.summary import summary
from kfp_bayesopt.session.view import Ended, Running, View
from kfp_bayesopt.space.goals import Standing, broken
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.budget import batches
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study


class Progress:
    """Counts the records of a study and shows each of them once.

    Attributes:
        if_stopped: What happens to the run when this process is stopped.
    """

    def __init__(self, study: Study, root: str, workers: int, view: View | None = None) -> None:
        """Begin the display of a run.

        Args:
            study: The study.
            root: Its folder.
            workers: How many trials run at a time.
            view: How it is shown; by default not at all.
        """
        self._study = study
        self._root = root
        self._view = view or View()
        self._shown: set[int] = set()
        self._done = 0
        self._kept = 0
        self._standing = Standing[Record](study)
        self._reasons: dict[str, int] = {}
        self._failures: list[Failure] = []
        self._running: dict[int, Running] = {}
        self._lock = threading.Lock()
        self._iterations = len(batches(study))
        self.if_stopped = "the same command goes on from here"
        self._view.begin(
            f"{study.name}: {study.aim} {study.objective}, {SCHEDULES[study.schedule].shape(study)}, "
            f"{workers} at a time; results in {root}",
            study.budget,
        )

    def begin(self, trial: int, parameters: Parameters) -> None:
        """Show that a trial starts."""
        with self._lock:  # trials begin in threads
            self._running[trial] = Running(trial, parameters, time.time())
            self._view.running(self._in_order())

    def show(self, record: Record, kept: bool) -> None:
        """Show an ended trial, of this run or, if kept, of an earlier one."""
        study = self._study
        self._done += record.trial <= study.budget and record.trial not in self._shown
        self._shown.add(record.trial)
        self._kept += kept
        is_best = self._standing.add(record)
        with self._lock:
            self._running.pop(record.trial, None)
            self._view.running(self._in_order())
        iteration = None if record.iteration is None else _of(record.iteration, self._iterations)
        beyond = ", ".join(broken(study, record))
        number, best = _of(record.trial, study.budget), best_of(study, self._standing)
        self._view.trial(
            Ended(record, number, iteration, self._done, given_values(study, record), best, is_best, beyond)
        )
        if record.reason is not None and not kept:
            self._show_failure(record, record.reason.message)

    def follow(self, activity: Activity, kept: bool = False) -> None:
        """Show the trials that have ended since the last look at the study folder, and those running.

        Args:
            activity: The current activity in the folder.
            kept: The ended trials are those of an earlier run.
        """
        for record in activity.trials.ledger if kept else activity.new:
            if record.trial not in self._shown and (record.reason is None or record.reason.kind != "lost"):
                self.show(record, kept)
        self._running = {
            each.trial: Running(each.trial, each.parameters, each.since.timestamp()) for each in activity.busy
        }
        self._view.running(self._in_order())

    def state(self, text: str) -> None:
        """Show the state of the job that runs the trials."""
        self._view.state(text)

    def note(self, text: str) -> None:
        """Show a line about the run."""
        self._view.lines([text])

    def finish(self, verdict: Verdict, report: str | None) -> None:
        """Show the results, the advice, and the path of the report; for a failed study only the last."""
        self._end()
        if verdict.failure is not None:
            if report:
                self.note(f"report {report}")
            return
        lines = summary(verdict.best).splitlines()
        if verdict.advice:
            lines += ["", *(f"- {each}" for each in verdict.advice)]
        if report:
            lines += ["", f"report {report}"]
        self._view.finish(lines, verdict.best, verdict.advice, report)

    def _in_order(self) -> Sequence[Running]:
        return [self._running[trial] for trial in sorted(self._running)]

    def _show_failure(self, record: Record, message: str) -> None:
        """Show the last lines of a failed trial; those of a repeated reason are in the log only."""
        self._failures += failures_of([record])
        before = self._reasons.setdefault(message, record.trial)
        same = [f"    as trial {before}"]
        self._view.failed(record, list(details(self._root, record)) if before == record.trial else same)

    def _end(self) -> None:
        """Show the failed trials together, and the number of earlier trials; once."""
        self._view.close()
        failures, self._failures = self._failures, []
        self._view.lines(grouped(self._root, failures))
        if self._kept:
            kept, self._kept = self._kept, 0
            self.note(f"{kept} of these trials were in {self._root} already; {hints.STARTS_OVER} starts over")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        if isinstance(error, KeyboardInterrupt | SystemExit):
            self._view.stopped(f"stopped after {len(self._shown)} trials; {self.if_stopped}")


def _of(number: int, budget: int) -> str:
    """Return a number out of the total; one beyond the current budget is shown alone."""
    width = len(str(budget))
    return f"{number:>{width}}/{budget}" if number <= budget else f"{number:>{width}}"


def given_values(study: Study, record: Record) -> str:
    """Return the optimised values of a completed trial, in a few characters."""
    values = "  ".join(f"{name} {number(record.values[name])}" for name in study.goals if name in record.values)
    return f"{values}  stopped at step {record.steps.last}" if record.state == "stopped" and record.steps else values


def best_of(study: Study, standing: Standing[Record]) -> str:
    """Return the best value so far, or the number of trials on the front, in a few characters."""
    if study.objectives:
        return f"front {len(standing.best)}"
    return f"best {number(standing.best[0][1].value if standing.best else None)}"


def number(value: float | None) -> str:
    """Return a value in a few characters; all digits are in the files."""
    return "none" if value is None else f"{value:.6g}"
