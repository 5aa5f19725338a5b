"""The loop of a worker: claim a trial, look, propose, evaluate, record, until the budget is claimed or the study ends.

No worker waits for another. The creator of a claim has the trial; a worker that takes a trial over creates the record
of the attempt before, so that the earlier one cannot count any more, however late its worker wakes up.
"""

from __future__ import annotations

import contextlib
import logging
import random
import secrets
import signal
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from threading import Event
from typing import IO

from kfp_bayesopt.errors import DamagedError, ExistsError, NotFoundError, UnavailableError, UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.failures import alike, named
from kfp_bayesopt.folder.jobs import Job, WorkerStart, now, worker_uri
from kfp_bayesopt.folder.lookout import Lookout
from kfp_bayesopt.folder.study_folder import FOLD, Files, StudyFolder
from kfp_bayesopt.folder.trials import Claim, Reason, Record, Suggestion
from kfp_bayesopt.growing import Growing
from kfp_bayesopt.proposing.asynchronous import propose_beside
from kfp_bayesopt.proposing.early_end import reason_to_stop
from kfp_bayesopt.space.goals import Standing, growing_standing
from kfp_bayesopt.steps import WORKER
from kfp_bayesopt.store import storage
from kfp_bayesopt.trial.attempt import ABANDONED, MOST_LOST, is_tried_again, new_claim, run_attempt, without_value
from kfp_bayesopt.trial.evaluation import this_worker
from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError
from kfp_bayesopt.trial.process.threads import for_at_most
from kfp_bayesopt.trial.room import with_room
from kfp_bayesopt.trial.working.heartbeat import LOOKS_A_LEASE, Turn, heartbeat, lease_of

# Workers that start at the same moment would claim the same numbers.
JITTER_SECONDS = 0.2
LAST_WORD_SECONDS = 8.0

logger = logging.getLogger(__name__)


class _OvertakenError(Exception):
    """Another worker has the claim that this one was told it had created."""


class Worker:
    """Works on a study until its budget is claimed or it ends.

    Attributes:
        lookout: Its knowledge of the trials.
        done: The records of the trials that it has evaluated.
    """

    def __init__(
        self,
        folder: StudyFolder,
        job: Job,
        number: int | None,
        code_folder: Path,
        sessions: Sessions,
        environment: Mapping[str, str] | None = None,
        echo: IO[bytes] | None = None,
    ) -> None:
        """Begin with the current content of the folder.

        Args:
            folder: The study folder.
            job: Its job.
            number: Its number among the workers of the job: a worker restarted with the same number finishes its trial.
            code_folder: The folder that the objective runs in.
            sessions: The sessions that start and end the objective.
            environment: Variables for the objective. By default ours.
            echo: A copy of the output of the objective while it runs.

        Raises:
            UserError: The folder is damaged, or of another study.
        """
        self._folder = folder
        self._study = folder.study
        self._job = job
        self._number = number
        self._run = (code_folder, sessions, job, environment, echo)
        self.lookout = Lookout(folder)
        self.done: list[Record] = []
        self._started = worker_uri(folder.root, job.job, secrets.token_hex(4))
        # Attempts of workers known to be gone; and trials that this job evaluates again, by their last attempt.
        self._gone: set[tuple[int, int]] = set()
        self._again: dict[int, int] = {}
        # Its current trial, from the proposal to the record; and whether it is told to stop.
        self._mine: tuple[Suggestion, int] | None = None
        self._claimed: Claim | None = None
        self._told = Event()
        self._lease = lease_of(self._study, job)
        self._turn = Turn(folder.root, job) if job.lease_minutes is not None else None
        self._waited_for: list[int] = []
        self._files: set[str] = set()  # of the job
        self._standings: Growing[Record, Standing[Record]] = growing_standing(self._study)

    def run(self) -> None:
        """Evaluate one trial after another.

        Raises:
            UserError: A file is damaged, or storage refuses to read or to write.
            StoppedError: The sessions were stopped: because the job has failed, or the worker was told to stop.
        """
        self._begin()
        while self._goes_on():
            if self._told.is_set():
                raise StoppedError
            self.lookout.look()
            if stop := reason_to_stop(self._study, self._ended(), self._standings):
                self._stop(stop.reason, failed=stop.failed)
                return
            claimed = with_room(self._claim, self._run[1])
            if claimed is None:
                if not self._waits():
                    return
            elif not self._evaluate(*claimed):
                return

    def stop(self) -> None:
        """Tell it from another thread to stop, and to leave its trial to others."""
        self._told.set()
        self._run[1].stop()

    def _begin(self) -> None:
        """Find the time of the storage, the trials to retry, and the workers that are gone."""
        start = WorkerStart(worker=this_worker(), place=self._number, at=now())
        storage.create(self._started, start.to_bytes())
        self.lookout.now = max(self.lookout.now, storage.stat(self._started).updated)
        time.sleep(random.random() * JITTER_SECONDS)  # noqa: S311 - no secret
        self._reopen()
        self.lookout.look()
        self._find_gone()

    def _reopen(self) -> None:
        """Look again for attempts at the trials that this job evaluates again."""
        for record in self.lookout.trials.ledger:
            if is_tried_again(self._folder, record, self._job):
                self.lookout.reopen(record.trial)
                self._again[record.trial] = record.attempt

    def _find_gone(self) -> None:
        """Find attempts of workers that are gone: those of ended jobs, and of an earlier worker with this number."""
        ended: dict[str | None, bool] = {None: False}
        for number, files in self.lookout.files.items():
            if (attempt := files.running) is None:
                continue
            try:
                claim = read_document(Claim, self._folder.claim_uri(number, attempt), self._study)
            except (NotFoundError, DamagedError):  # a record without one; or nobody's, and its age counts
                continue
            if claim.job not in ended:
                ended[claim.job] = jobs.end_of(self._folder.root, str(claim.job)) is not None
            is_own = (claim.job, claim.place) == (self._job.job, self._number) and self._number is not None
            if is_own or (claim.job != self._job.job and ended[claim.job]):
                self._gone.add((number, attempt))

    def _goes_on(self) -> bool:
        """Tell whether the job goes on, in the folder that this worker has begun in."""
        self._files = {entry.uri for entry in storage.entries(self._started.rpartition("/")[0] + "/")}
        if self._started not in self._files:
            logger.warning("%s: was moved away or deleted while this worker ran; its job is over", self._folder.root)
            return False
        if jobs.ended_uri(self._folder.root, self._job.job) in self._files:
            return not jobs.has_ended(self._folder.root, self._job.job, WORKER.name)
        return True

    def _ended(self) -> list[Record]:
        """Return final records, excluding trials to be retried."""
        return [record for record in self.lookout.trials.ended if not self._is_again(record)]

    def _has_ended(self, number: int) -> bool:
        record = self.lookout.trials.records.get(number)
        return record is not None and record.is_final and not self._is_again(record)

    def _is_again(self, record: Record) -> bool:
        return self._again.get(record.trial) == record.attempt

    # --- claims ------------------------------------------------------------------------------------

    def _claim(self) -> tuple[int, int] | None:
        """Claim a trial, and return its number and attempt: one to take over, else a new one.

        A new one is the lowest free number. After each claim lost to another worker, the next one is drawn from twice
        as many numbers: otherwise, of many workers with short trials that look at the same moment, most would lose one
        number after another to the fastest.
        """
        for number, files in sorted(self.lookout.files.items()):
            if number > self._study.budget:
                break
            attempt = self._free_attempt(number, files)
            if attempt is not None and self._create_claim(number, attempt):
                return number, attempt
        begun = self.lookout.files.keys() | self.lookout.trials.records.keys()
        free = (number for number in range(1, self._study.budget + 1) if number not in begun)
        near: list[int] = []
        window = 1
        while True:
            near += islice(free, window - len(near))
            if not near:
                return None
            number = near.pop(random.randrange(len(near)))  # noqa: S311 - no secret
            if self._create_claim(number, 1):
                return number, 1
            window = min(2 * window, self._study.budget)

    def _create_claim(self, number: int, attempt: int) -> bool:
        self._claimed = new_claim(self._folder, number, attempt, self._job, self._number)
        return self._folder.claim(self._claimed)

    def _free_attempt(self, number: int, files: Files) -> int | None:
        """Return the attempt number that is free to claim; None if there is none."""
        attempt = files.running
        if attempt is not None:
            return attempt + 1 if self._is_gone(number, attempt, files) and self._take(number, attempt) else None
        if files.next_attempt == 1:
            return 1  # proposed in a batch, and never claimed
        last = self.lookout.attempts.get(number, {}).get(files.next_attempt - 1)
        # An unusable record does not count as an attempt.
        is_lost = last is None or (last.reason is not None and last.reason.kind == "lost")
        return files.next_attempt if is_lost or self._again.get(number) == files.next_attempt - 1 else None

    def _is_gone(self, number: int, attempt: int, files: Files) -> bool:
        """Tell whether the worker of an attempt is lost, by the times of the storage alone."""
        if (number, attempt) in self._gone:
            return True
        if attempt not in files.alive or (silent := self.lookout.now - files.alive[attempt]) <= self._lease:
            return False
        return silent > timedelta(minutes=self._study.lease_minutes) or self._is_of_job(number, attempt)

    def _is_of_job(self, number: int, attempt: int) -> bool:
        """Tell whether an attempt is of this job, whose workers give signs of life as often as its lease asks for."""
        try:
            claim = read_document(Claim, self._folder.claim_uri(number, attempt), self._study)
        except (NotFoundError, DamagedError):
            return False
        return claim.job == self._job.job

    def _take(self, number: int, attempt: int) -> bool:
        """End an attempt whose worker is lost; tell whether the trial is to be tried again."""
        suggestion = self._suggestion(number)
        if suggestion is None:  # it has ended after all, or no point is left
            return False
        lost = [each for each in self.lookout.attempts.get(number, {}).values() if _was_lost(each)]
        if len(lost) + 1 >= MOST_LOST:
            reason = Reason(kind="abandoned", message=ABANDONED)
        else:
            reason = Reason(kind="lost", message="its worker gave no more sign of life")
        record = without_value(self._study, suggestion, attempt, reason, self._job)
        try:
            self._folder.write_record(record)
        except ExistsError:  # it has come to an end after all, or somebody else was faster
            return False
        logger.warning("trial %d: attempt %d: %s", number, attempt, reason.message)
        self.lookout.add(record)
        return not record.is_final

    # --- a trial -----------------------------------------------------------------------------------

    def _evaluate(self, number: int, attempt: int) -> bool:
        """Propose a trial if it has no suggestion, and evaluate it; return False if no point of the space is left."""
        try:
            with heartbeat(self._folder, number, attempt, self._lease):
                suggestion = with_room(lambda: self._suggestion(number, self._claimed), self._run[1])
                if suggestion is None and self._has_ended(number):
                    return True
                if suggestion is None:
                    self._stop(f"every point of the space has been tried, {self.lookout.trials.proposed} trials")
                    return False
                self._mine = suggestion, attempt
                self.lookout.keep(number)
                before = [each for each in self.lookout.attempts.get(number, {}).values() if each.attempt != attempt]
                record = run_attempt(self._folder, suggestion, attempt, datetime.now(UTC), before, *self._run)
        except _OvertakenError:
            logger.warning(
                "trial %d: attempt %d: its store let another worker claim it too, who has it", number, attempt
            )
            return True
        except (StoppedError, SystemExit, KeyboardInterrupt) as error:
            # A job that has failed leaves its trials itself.
            if self._told.is_set() or not isinstance(error, StoppedError):
                self.leave()
            raise
        except Exception as error:
            self.leave(f"its worker could not go on: {error.message if isinstance(error, UserError) else error!r}")
            raise
        finally:
            self._mine = None
        self.lookout.add(record)
        if record.attempt == attempt:  # else somebody was faster
            self.done.append(record)
        self._machine_has_started()
        logger.info("trial %d: %s: %s", number, record.state, record.outcome)
        self._check_not_alike(record)
        if number % FOLD == FOLD // 2:  # one worker of all; the thousand before has mostly ended by now
            with contextlib.suppress(UnavailableError):  # it is derived, and `report` does it too
                self._folder.fold(self.lookout.trials.ended)
        return True

    def _machine_has_started(self) -> None:
        """Charge machine start-up to the first trial only."""
        folder, sessions, job, environment, echo = self._run
        if job.rate is not None and job.rate.start_seconds:
            started = job.model_copy(update={"rate": job.rate.model_copy(update={"start_seconds": 0.0})})
            self._run = (folder, sessions, started, environment, echo)

    def _suggestion(self, number: int, claim: Claim | None = None) -> Suggestion | None:
        """Return the suggestion of a claimed trial, proposing it if nobody has.

        None if no point is left, or if the trial has ended since it was claimed.

        Two workers that do not know of each other may propose the same point, such as a corner of the space. The first
        to take it has it; the other one writes that suggestion on its behalf, in case its worker is gone, and proposes
        again.

        Args:
            number: The trial.
            claim: The claim of this worker, if it has one.

        Raises:
            _OvertakenError: Another claim is there.
        """
        while True:
            self.lookout.look()
            if claim is not None and not self._folder.is_claimed_by(claim, self.lookout.files.get(number)):
                raise _OvertakenError
            pending, records = self.lookout.trials.pending, self.lookout.trials.records
            if self._has_ended(number):
                return None
            if number in pending:
                return pending[number]
            if (files := self.lookout.files.get(number)) and files.suggested is not None:
                return self._folder.read_suggestion(number)
            proposed = self._propose(number)
            if proposed is None:
                return None
            has_it = self._folder.take_point(proposed)
            if has_it.trial in pending or has_it.trial in records:
                has_it = proposed  # that trial tries another point: its worker was lost, and it was proposed anew
            (written,) = self._folder.write_suggestions([has_it])
            if written.trial == number:
                pending[number] = written
                return written

    def _propose(self, number: int) -> Suggestion | None:
        try:
            return propose_beside(self._folder.searched, self.lookout.trials, self.lookout.unknown, number)
        except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError) as error:
            # The same inputs would fail again, here and everywhere.
            raise UserError(
                f"optimizer: the engine {self._study.optimizer.engine!r} cannot propose trial {number}: "
                f"{type(error).__name__}: {error}; all records are kept: go on with another engine, such as random"
            ) from error

    def leave(self, why: str | None = None) -> None:
        """Record that this worker leaves its trial, if any, so that another one takes it at once.

        Args:
            why: The reason; None if it was told to stop.
        """
        mine = self._mine  # its thread may be about to end it
        if mine is None:
            return
        suggestion, attempt = mine
        if why is None:
            reason = Reason(kind="lost", exit=-signal.SIGTERM, message="its worker was told to stop")
        else:
            reason = Reason(kind="lost", message=why)
        record = without_value(self._study, suggestion, attempt, reason, self._job)

        def write() -> None:
            with contextlib.suppress(UserError):  # the claim grows old by itself
                self._folder.write_record(record)

        for_at_most(LAST_WORD_SECONDS, write)

    # --- the end -----------------------------------------------------------------------------------

    def _waits(self) -> bool:
        """Wait a while for the trials of other workers, if it is this worker's turn; return False if it may leave.

        Where nobody starts a dead worker again one that is alive has to finish its trial.
        """
        if self._turn is not None:
            self.lookout.look()
        others = [
            number for number, files in self.lookout.files.items() if number <= self._study.budget and files.running
        ]
        name = self._study.name
        if self._turn is None or not others:
            logger.info("%s: nothing is left to claim", name)
            return False
        if self._turn.is_left_to_others(self._files):
            logger.info("%s: nothing is left to claim, and another worker waits for %s", name, named(others))
            return False
        if others != self._waited_for:
            self._waited_for = others
            logger.info("%s: nothing is left to claim; waits for %s", name, named(others))
        self.lookout.now = max(self.lookout.now, self._turn.time or self.lookout.now)
        self._rest()
        return True

    def _rest(self) -> None:
        self._told.wait((self._lease / LOOKS_A_LEASE).total_seconds())

    def _stop(self, reason: str, *, failed: bool = False) -> None:
        jobs.stop(self._folder.root, self._job.job, reason, failed=failed, step=WORKER.name)

    def _check_not_alike(self, record: Record) -> None:
        """End a job whose first two trials to end failed with the same mistake."""
        if record.reason is None or any(each.reason is None for each in self.lookout.trials.records.values()):
            return
        ended = sorted((each for each in self.lookout.trials.ledger if not self._is_again(each)), key=_end_of)
        if reason := alike(self._study, self._folder.root, ended):
            self._stop(reason, failed=True)


def _was_lost(record: Record) -> bool:
    """Tell whether a worker was lost without being told to stop: a machine that is taken away says nothing."""
    return record.reason is not None and record.reason.kind == "lost" and record.reason.exit is None


def _end_of(record: Record) -> datetime:
    return datetime.fromisoformat(record.started) + timedelta(seconds=record.seconds)
