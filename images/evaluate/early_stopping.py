"""Watches the intermediate values of a running trial, and says when it goes no further."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from bayesopt import storage
from bayesopt.documents import read_document
from bayesopt.errors import ExistsError, UserError
from bayesopt.folder import StudyFolder
from bayesopt.jobs import now
from bayesopt.trials import Compared, Rung
from bayesopt.trials import Curve as CurveFile

from .curve import Curve
from .repeating import repeating

POLL_SECONDS = 0.2
MOST_COMPARED = 200
"""With how many others a trial is compared at most: those with the highest numbers, so that looking takes no longer in
a long study than in a short one."""
READ_AT_ONCE = 1 << 20
LONGEST_LINE = 65_536
CLOSE_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Watch:
    """The intermediate values of an attempt at a trial, and what is decided by them.

    A thread of its own reads and decides, so that no storage that is slow holds up whoever waits for the objective.

    Attributes:
        curve: The values so far.
        stopped: The rung at which it was decided that the trial goes no further; None while it goes on.
    """

    def __init__(self, study_folder: StudyFolder, trial: int, attempt: int, path: Path) -> None:
        """Watch a trial.

        Args:
            study_folder: Where the rungs are.
            trial: Its number.
            attempt: Which try it is.
            path: The file that the objective may append its values to.
        """
        self.curve = Curve()
        self.stopped: Rung | None = None
        self._folder = study_folder
        self._study = study_folder.study
        self._trial, self._attempt = trial, attempt
        self._path = path
        self._at = 0
        self._line = b""
        self._lock = threading.Lock()
        rule = self._study.early_stopping
        # A trial has passed a rung when it has said a value at its step or a later one.
        self._rungs = rule.rungs[rule.bracket(trial) :] if rule else []

    def look(self, line: str) -> None:
        """Look at a line that the objective printed."""
        if (asked := self._study.objective.intermediate) is not None:
            with self._lock:
                self.curve.look(line, asked)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Read and decide while the block runs."""
        with repeating(self._look_again, POLL_SECONDS, CLOSE_SECONDS):
            yield
        self._read()

    def keep(self) -> None:
        """Write the curve beside the record; where that cannot be done the record is worth more."""
        with self._lock:
            curve = CurveFile(
                study=self._study.name, fingerprint=self._study.fingerprint, trial=self._trial, attempt=self._attempt,
                steps=self.curve.steps, values=self.curve.values,
            )  # fmt: skip
        if not curve.steps:
            return
        try:
            storage.create(self._folder.curve_uri(self._trial, self._attempt), curve.to_bytes())
        except Exception as error:
            logger.warning("trial %d: its intermediate values cannot be kept: %s", self._trial, error)

    def _look_again(self) -> None:
        self._read()
        if self._rungs and self.stopped is None:
            self._decide()

    def _read(self) -> None:
        """Take in what the objective has appended to its file since the last time, whole lines alone."""
        with self._lock:
            try:
                if not self._path.is_file() or self._path.is_symlink():
                    return
                with self._path.open("rb") as file:
                    if os.fstat(file.fileno()).st_size < self._at:  # it was begun anew
                        self._at, self._line = 0, b""
                    file.seek(self._at)
                    chunk = file.read(READ_AT_ONCE)
            except OSError:
                return
            self._at += len(chunk)
            *lines, rest = (self._line + chunk).split(b"\n")
            self._line = rest[:LONGEST_LINE]
            for line in lines:
                if line.strip():
                    self.curve.read(line)

    def _decide(self) -> None:
        """Compare the trial at the last rung that it has passed."""
        with self._lock:
            last = self.curve.last
        if last is None:
            return
        passed = [rung for rung in self._rungs if rung <= last[0]]
        if not passed:
            return
        self._rungs = [rung for rung in self._rungs if rung > last[0]]
        try:
            rung = self._at_rung(passed[-1], last[1])
        except UserError as error:
            logger.warning(
                "trial %d: goes on at step %d, as the others cannot be seen: %s",
                self._trial, passed[-1], error.message,
            )  # fmt: skip
            return
        if rung.stopped:
            logger.info("trial %d: stopped at step %d with %r", self._trial, last[0], last[1])
            self.stopped = rung

    def _at_rung(self, step: int, value: float) -> Rung:
        """Return what is decided at a rung, which is written there once; an earlier attempt may have done it."""
        rule = self._study.early_stopping
        assert rule is not None
        others = self._others(step)
        rung = Rung(
            study=self._study.name, fingerprint=self._study.fingerprint, trial=self._trial, attempt=self._attempt,
            step=step, value=value, seen=others, rule=rule, at=now(),
            stopped=rule.stops(value, [each.value for each in others], self._study.direction),
        )  # fmt: skip
        uri = self._folder.rung_uri(step, self._trial)
        try:
            storage.create(uri, rung.to_bytes())
        except ExistsError:
            return read_document(Rung, uri, self._study)
        return rung

    def _others(self, step: int) -> list[Compared]:
        """Return the trials that this one is compared with at a rung."""
        rule = self._study.early_stopping
        assert rule is not None
        trial = self._trial

        def is_wanted(other: int) -> bool:
            return other != trial and rule.are_compared(trial, other, step)

        found = self._folder.read_rungs_at(step, is_wanted, MOST_COMPARED)
        return [Compared(trial=rung.trial, value=rung.value) for rung in found]
