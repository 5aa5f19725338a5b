"""A study that is open, with its job: checked before anything is written, and ended whatever happens.

A place only evaluates its trials, here or by a service that it hands the job to.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kfp_bayesopt import hints
from kfp_bayesopt.errors import NoRoomError, UnavailableError, UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.data import Data
from kfp_bayesopt.folder.jobs import Job, Rate, Submitted
from kfp_bayesopt.folder.lock import locked
from kfp_bayesopt.folder.publish import Verdict, show_meanwhile
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Trials
from kfp_bayesopt.proposing.early_end import Stop
from kfp_bayesopt.report.report import write_results
from kfp_bayesopt.session.opening import GoingOn, IsRunning, open_job, runs_here
from kfp_bayesopt.session.progress import Progress
from kfp_bayesopt.session.view import View
from kfp_bayesopt.steps import REPORT
from kfp_bayesopt.store import clock, storage
from kfp_bayesopt.study.schedules import SCHEDULES

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_RESULTS = 5.0
"""The results are derived, and written for anyone who looks meanwhile."""

SECONDS_TO_LEAVE = 60.0
SECONDS_BETWEEN_TRIES = 0.2


class NoAnswerError(UserError):
    """The service cannot be reached, or has a fault of its own: the same call may succeed later."""


@dataclass
class Session:
    """A study that is open, with its job.

    Attributes:
        folder: The study folder.
        job: The job.
        trials: What the folder holds.
        note: A summary of the trials of other studies that it begins with.
    """

    folder: StudyFolder
    job: Job
    trials: Trials
    note: str | None = None
    _is_handed_over: bool = False
    _has_ended: bool = False

    @contextlib.contextmanager
    def shown(self, view: View | None, workers: int) -> Iterator[Progress]:
        """Show the run until the end of the block."""
        with Progress(self.folder.study, self.folder.root, workers, view) as progress:
            if said := clock.warning(self.folder.root):
                progress.note(said)
            yield progress

    @contextlib.contextmanager
    def mistakes_end_it(self) -> Iterator[None]:
        """End the job at a mistake within the block, so that its report says it."""
        try:
            yield
        except UserError as error:
            self.end(error.message)

    @contextlib.contextmanager
    def results_meanwhile(self) -> Iterator[Callable[[], None]]:
        """Yield a function that writes the results so far if it is time to; a block that is left early writes them."""
        written = time.monotonic()

        def write_in_time() -> None:
            nonlocal written
            if time.monotonic() - written > SECONDS_BETWEEN_RESULTS:
                show_meanwhile(self.folder, self.trials.ledger)
                written = time.monotonic()

        try:
            yield write_in_time
        except BaseException:
            show_meanwhile(self.folder, self.trials.ledger)
            raise

    def report(self) -> Verdict:
        """Write the results, the report and the end of the job, and return the verdict.

        Raises:
            UserError: The folder cannot be read.
        """
        root, job = self.folder.root, self.job.job
        verdict = write_results(self.folder, self.folder.read(), job, jobs.end_of(root, job))
        self.end(verdict.failure, REPORT.name)
        return verdict

    def stop(self, stop: Stop) -> None:
        """End the job because its study ends before its budget is spent."""
        jobs.stop(self.folder.root, self.job.job, stop.reason, failed=stop.failed, step=self.job.place)

    def was_stopped(self) -> bool:
        """Tell whether somebody has stopped the job, and not its study."""
        ended = jobs.end_of(self.folder.root, self.job.job)
        return ended is not None and not ended.is_of_study

    def end(self, failure: str | None = None, step: str | None = None) -> None:
        """Write the end of the job, and the reason of a failure; the first one written stays.

        Args:
            failure: The reason it has failed; None if it has not.
            step: The step that found the end; by default the place.
        """
        root, job = self.folder.root, self.job.job
        jobs.end(root, job, "succeeded" if failure is None else "failed", failure, step or self.job.place)
        self._has_ended = True

    def hand_over(self, submitted: Submitted) -> None:
        """Leave the job, and its end, to the service that has taken it."""
        self._is_handed_over = True
        jobs.record_submission(self.folder.root, self.job.job, submitted)

    @contextlib.contextmanager
    def ended(self) -> Iterator[None]:
        """End the job with the block, unless it has ended or was handed over.

        Raises:
            NoAnswerError: A service may have the job.
        """
        try:
            yield
        except NoAnswerError as error:
            job = self.job.job
            raise NoAnswerError(
                f"{error.message}; whether it has job {job} is not known: look there, and say "
                f"{hints.ENDED(job=job)} if it has not"
            ) from None
        except NoRoomError as error:  # there may be some for a line
            self._stopped(error.message)
            raise
        except UnavailableError:  # storage that gives no answer takes no end either; the next run asks for this one
            raise
        except BaseException as error:
            self._stopped(error.message if isinstance(error, UserError) else f"it was stopped ({type(error).__name__})")
            raise
        if not self._is_handed_over and not self._has_ended:
            self.end()

    def _stopped(self, reason: str) -> None:
        if self._is_handed_over:
            return
        try:
            self.end(reason, jobs.SUBMIT)
        except UserError as error:  # the next run asks whether this one runs
            logger.warning("that job %s has ended is not written: %s", self.job.job, error.message)


@contextlib.contextmanager
def open_session(
    folder: StudyFolder,
    content: bytes,
    place: str,
    *,
    code: str | None,
    going_on: GoingOn,
    beside: Path | None = None,
    kept: str | None = None,
    images: Mapping[str, str] | None = None,
    rate: Rate | None = None,
    lease_minutes: float | None = None,
    data: Data | None = None,
    other_data: str | None = None,
    is_running: IsRunning = runs_here,
    can_join: bool = True,
) -> Iterator[Session]:
    """Open a study: check everything, then write the study file and a job, and end the job with the block.

    Other runs are kept out of a folder of this machine meanwhile, unless this one joins them.

    Args:
        folder: The study folder.
        content: The study file.
        place: Where the job runs.
        code: What evaluates its trials, where that is known.
        going_on: How the study goes on.
        beside: Folder of the study file, from which it names the sources of earlier trials.
        kept: Another folder whose trials it begins with too: that of the study before it was changed.
        images: The image of each step.
        rate: What its trials cost, where that is known.
        lease_minutes: The lease of its workers, where a dead one is not started again.
        data: What its objective is given.
        other_data: The folder of the same study with other data, as for `open_job`.
        is_running: Tells whether another job runs; None if unknown.
        can_join: Whether jobs of the place can add workers to a running one.

    Raises:
        UserError: The folder is of another study, damaged or in use, another job has not ended, the code has changed,
            or a source of earlier trials cannot be read. Nothing was written then.
    """
    with contextlib.ExitStack() as stack:
        if not going_on.join:
            joins = can_join and SCHEDULES[folder.study.schedule].can_join
            instead = f"add workers to it with {hints.JOIN}" if joins else f"give {hints.ANOTHER_FOLDER}"
            stack.enter_context(locked(folder.root, instead))
            if storage.is_local(folder.root):  # whoever runs there holds the lock
                is_running = _nobody_runs
        opened = open_job(
            folder,
            content,
            place,
            job=jobs.new_job_id(folder.study),
            code=code,
            going_on=going_on,
            beside=beside,
            kept=kept,
            images=images,
            rate=rate,
            lease_minutes=lease_minutes,
            data=data,
            other_data=other_data,
            is_running=is_running,
        )
        session = Session(folder, opened.job, opened.trials, opened.note)
        with session.ended():
            yield session


def stop_here(root: str, job: str) -> None:
    """Stop a job that a process or a thread of a machine runs, and wait until it has left the folder.

    Its running trials are stopped, and evaluated again when the study goes on.

    Raises:
        UserError: It has not left after a while.
    """
    jobs.end(root, job, "failed", f"it was stopped by {jobs.whoami()}", jobs.SUBMIT)
    deadline = time.monotonic() + SECONDS_TO_LEAVE
    while storage.is_local(root):
        try:
            with locked(root):
                return
        except UserError:
            if time.monotonic() > deadline:
                raise
        time.sleep(SECONDS_BETWEEN_TRIES)


def _nobody_runs(_job: Job) -> bool:
    return False
