"""Observes the intermediate values of a running trial, and decides when to stop it early."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kfp_bayesopt.errors import ExistsError, UserError
from kfp_bayesopt.folder.jobs import now
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Compared, Rung
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.sources.base import LONGEST_LINE, NoValueError
from kfp_bayesopt.study.sources.hypertune import Hypertune
from kfp_bayesopt.study.sources.intermediate import value_so_far
from kfp_bayesopt.study.sources.pattern import matches
from kfp_bayesopt.trial.process.tail import Tail
from kfp_bayesopt.trial.process.threads import repeating
from kfp_bayesopt.trial.said import SoFar, keep_curve

POLL_SECONDS = 0.2
MOST_COMPARED = 200
"""
The most other trials that a trial is compared with: those with the highest numbers, so that a comparison takes no
longer in a long study than in a short one."""
MATCH_SECONDS = 1.0
"""The pause between two searches of the output with a pattern, by a process of its own."""
MOST_PRINTED = 10_000_000
"""The most bytes that wait for that; a program that prints more waits too."""
CLOSE_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Observer:
    """The intermediate values of an attempt at a trial, and the decisions from them.

    A thread of its own reads and decides, so that slow storage does not hold up the process that waits for the
    objective.

    Attributes:
        curve: The values so far.
        unread: The reason that some of them could not be read; None if all could.
        so_far: The values and metrics so far, which are kept as the trial goes on.
    """

    def __init__(
        self,
        study_folder: StudyFolder,
        trial: int,
        attempt: int,
        path: Path,
        metric_file: Path,
        goes_on: bool = False,
    ) -> None:
        """Observe a trial.

        Args:
            study_folder: The study folder, with the rungs.
            trial: Its number.
            attempt: The number of the attempt.
            path: The file that the objective may append its values to.
            metric_file: The metrics file of hypertune, if its value comes from there.
            goes_on: Whether it continues from the checkpoint of the attempt before.

        Raises:
            UnavailableError: Cloud Storage does not answer.
        """
        source = study_folder.study.source
        self.so_far = SoFar(study_folder, trial, attempt, goes_on)
        self.curve = self.so_far.curve
        self._stopped: Rung | None = None
        self._folder = study_folder
        self._study = study_folder.study
        self._trial, self._attempt = trial, attempt
        self._tails: list[tuple[Tail, Callable[[bytes], None]]] = [(Tail(path), self.curve.read)]
        if isinstance(source, Hypertune) and source.name is not None:
            self._tails.append((Tail(metric_file), functools.partial(self.curve.report, source.name)))
        self.unread: str | None = None
        self._matching = threading.Lock()
        self._printed = bytearray()
        self._next_match = 0.0
        self._lock = self.so_far.lock
        rule = self._study.early_stopping
        # A trial has passed a rung when it has reported a value at its step or a later one.
        self._rungs = rule.rungs[rule.bracket(trial) :] if rule else []

    @property
    def stopped(self) -> Rung | None:
        """The rung at which the trial was stopped; None while it goes on.

        A trial that has done all of its steps is not stopped, even if it reported the last ones after the decision.
        """
        if self._stopped is not None:
            self._read()
        return None if self._has_done_all() else self._stopped

    def look(self, line: str) -> None:
        """Examine a line that the objective printed."""
        asked = self._study.objective.intermediate
        with self._lock:
            self._study.source.look(line, self.so_far.metrics)
            if asked is None:
                return
            if asked.pattern is None:
                self.curve.look(line, asked)
            elif self.unread is None:
                self._printed += line[:LONGEST_LINE].encode(errors="replace") + b"\n"
            is_much = len(self._printed) > MOST_PRINTED
        if is_much:  # whoever prints waits as it would for a terminal, and nothing is left out
            self._match()

    @contextlib.contextmanager
    def observing(self) -> Iterator[None]:
        """Read and decide while the block runs."""
        try:
            with repeating(self._look_again, POLL_SECONDS, CLOSE_SECONDS):
                yield
        finally:  # also where it is interrupted: what it has said counts for the next attempt
            self._match()
            while self._read():  # what wrote it has ended, and its end is what counts
                pass
            self.so_far.save_at_the_end()

    def keep(self) -> None:
        """Write the curve beside the record."""
        with self._lock:
            steps, values = list(self.curve.steps), list(self.curve.values)
        keep_curve(self._folder, self._trial, self._attempt, steps, values)

    def _look_again(self) -> None:
        if time.monotonic() >= self._next_match:
            self._match()
            self._next_match = time.monotonic() + MATCH_SECONDS
        self._read()
        self.so_far.save_now_and_then()
        if self._rungs and self._stopped is None:
            self._decide()

    def _match(self) -> None:
        """Search the new output with the pattern; a pattern that takes too long is given up."""
        asked = self._study.objective.intermediate
        if asked is None or asked.pattern is None:
            return
        with self._matching:  # one after another, so that values come in the order of their lines
            with self._lock:
                printed, self._printed = bytes(self._printed), bytearray()
            if not printed or self.unread is not None:
                return
            try:
                found = matches(asked.pattern, printed)
            except NoValueError as error:
                self.unread = str(error)
                logger.warning("trial %d: no more intermediate values are looked for: %s", self._trial, error)
                return
            with self._lock:
                for groups in found:
                    self.curve.match(groups)

    def _read(self) -> bool:
        """Read new lines of the objective's files, and tell whether there were any."""
        found = False
        with self._lock:
            for tail, take_in in self._tails:
                lines = tail.read()
                found |= lines is not None
                for line in lines or []:
                    take_in(line)
        return found

    def _decide(self) -> None:
        """Compare the trial at the last rung that it has passed, with its values up to there."""
        with self._lock:
            last = self.curve.reached.step if self.curve.reached is not None else -1
            passed = [rung for rung in self._rungs if rung <= last]
            reached = self.curve.at(passed[-1]) if passed else None
        if reached is None:
            return
        value = value_so_far(self._study.source, reached, self._study.direction)
        self._rungs = [rung for rung in self._rungs if rung > last]
        try:
            rung = self._at_rung(passed[-1], value)
        except UserError as error:
            logger.warning(
                "trial %d: goes on at step %d, as the others cannot be seen: %s",
                self._trial, passed[-1], error.message,
            )  # fmt: skip
            return
        if rung.stopped:
            self._match()  # what it has said meanwhile
            self._stopped = rung
            if self.stopped is not None:
                logger.info("trial %d: stopped at step %d with %r", self._trial, last, value)

    def _has_done_all(self) -> bool:
        """Tell whether the trial has done all of its steps, and only needs to end."""
        rule = self._study.early_stopping
        with self._lock:
            return rule is not None and self.curve.done >= rule.max_steps

    def _at_rung(self, step: int, value: float) -> Rung:
        """Return the decision at a rung, written there once; an earlier attempt may have made it."""
        rule = self._study.early_stopping
        assert rule is not None
        # A trial that has done all of its steps is not compared with others, but others are compared with it.
        others = [] if self._has_done_all() else self._others(step)
        rung = Rung(
            study=self._study.name, fingerprint=self._study.fingerprint, trial=self._trial, attempt=self._attempt,
            step=step, value=value, seen=others, rule=rule, at=now(),
            stopped=rule.stops(value, [each.value for each in others], self._study.direction),
        )  # fmt: skip
        uri = self._folder.rung_uri(step, self._trial)
        try:
            storage.create(uri, rung.to_bytes())
        except ExistsError:
            return self._folder.read_rung(uri) or rung
        return rung

    def _others(self, step: int) -> list[Compared]:
        """Return the trials to compare this one with at a rung."""
        rule = self._study.early_stopping
        assert rule is not None
        trial = self._trial

        def is_wanted(other: int) -> bool:
            return other != trial and rule.are_compared(trial, other, step)

        found = self._folder.values_at(step, is_wanted, MOST_COMPARED)
        return [Compared(trial=other, value=value) for other, value in found.items()]
