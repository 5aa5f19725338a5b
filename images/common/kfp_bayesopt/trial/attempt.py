"""Takes a trial from its suggestion to its record: claims an attempt, evaluates it, and writes log and record."""

from __future__ import annotations

import contextlib
import itertools
import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from kfp_bayesopt.errors import DamagedError, ExistsError, NoRoomError, NotFoundError, UserError
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.jobs import Job, end_of, now
from kfp_bayesopt.folder.study_folder import Files, StudyFolder
from kfp_bayesopt.folder.trials import Claim, Reason, Record, Suggestion, record_that_counts
from kfp_bayesopt.steps import REPORT, UPDATE
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.local import share
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.checkpoint import VARIABLE, checkpoint, forget, goes_on_from
from kfp_bayesopt.trial.evaluation import run_objective, this_worker
from kfp_bayesopt.trial.observer import Observer
from kfp_bayesopt.trial.output_files import output_folder
from kfp_bayesopt.trial.process.output import KEPT_FIRST, KEPT_LAST, Output, in_short
from kfp_bayesopt.trial.process.sessions import Sessions
from kfp_bayesopt.trial.process.threads import for_at_most
from kfp_bayesopt.trial.rereading import read_again
from kfp_bayesopt.trial.room import reserved, with_room
from kfp_bayesopt.trial.said import CLOSE_SECONDS, complete, copy_of_log

MOST_LOG_BYTES = 2 * (KEPT_FIRST + KEPT_LAST)
"""The most bytes kept of the log of a killed attempt; of a longer one the beginning and end are kept."""

MOST_LOST = 3
"""The number of lost workers after which a trial has failed; in batches, of jobs that ended without its record."""
ABANDONED = f"its worker was lost {MOST_LOST} times, often because the machine had no memory left"

LOG_PATIENCE = 30.0
"""The seconds to wait for space for a log: the record comes after it."""

NOT_COMPLETE = frozenset({UPDATE.name, REPORT.name})
"""The steps that find that a record is missing."""

logger = logging.getLogger(__name__)


def run_trial(
    study_folder: StudyFolder,
    trial: int,
    code_folder: Path,
    sessions: Sessions,
    job: Job | None = None,
    environment: Mapping[str, str] | None = None,
    echo: IO[bytes] | None = None,
) -> Record | None:
    """Return the record of a trial, evaluating it if it has no final one.

    Args:
        study_folder: The study folder, with its suggestion.
        trial: Number of the trial.
        code_folder: The folder that the objective runs in, searched first for its modules.
        sessions: The sessions that start and end the objective.
        job: The job of the attempt; None without a job.
        environment: Variables for the objective, besides those that describe the trial. By default ours.
        echo: A copy of the output while the objective runs. By default, for a study folder on this machine, a hidden
            file beside the record, removed once the record is written.

    Returns:
        None if there is no suggestion, because the study ended before it.

    Raises:
        UserError: A file of the trial is damaged, or storage refuses to read or to write.
        StoppedError: The sessions were stopped. The claim stays, and there is no record.
    """
    files = study_folder.files_of(trial)
    if files.suggested is None:
        logger.info("trial %d: nothing to do, it was not proposed: the study ended before it", trial)
        return None
    before = study_folder.read_attempts([(trial, attempt) for attempt in files.records], {trial: files})
    record = record_that_counts(before)
    if record is not None and not is_tried_again(study_folder, record, job):
        logger.info("trial %d: attempt %d has its record already", trial, record.attempt)
        return record
    suggestion = study_folder.read_suggestion(trial)
    attempt = with_room(lambda: _claim(study_folder, trial, files.next_attempt, job), sessions)
    if job is not None and _jobs_lost(study_folder, trial, files) >= MOST_LOST:
        reason = Reason(kind="abandoned", message=ABANDONED)
        record = without_value(study_folder.study, suggestion, attempt, reason, job)
        try:
            with_room(lambda: study_folder.write_record(record), sessions)
        except ExistsError:
            return _taken(study_folder.read_record(trial, attempt))
        return record
    return run_attempt(
        study_folder,
        suggestion,
        attempt,
        files.suggested,
        before,
        code_folder,
        sessions,
        job,
        environment,
        echo,
    )


def run_attempt(
    study_folder: StudyFolder,
    suggestion: Suggestion,
    attempt: int,
    suggested: datetime,
    before: Sequence[Record],
    code_folder: Path,
    sessions: Sessions,
    job: Job | None = None,
    environment: Mapping[str, str] | None = None,
    echo: IO[bytes] | None = None,
) -> Record:
    """Evaluate a trial with a claimed attempt, write log and record, and return the record that counts.

    If only the value of the last ended attempt could not be read, it is read again instead.

    Args:
        study_folder: The study folder.
        suggestion: The trial.
        attempt: The number of our attempt.
        suggested: The time of the suggestion.
        before: The records of other attempts at the time of the claim.
        code_folder: As in `run_trial`, like all that follow.
        sessions: See there.
        job: See there.
        environment: See there.
        echo: See there.

    Raises:
        UserError: Storage refuses to read or to write.
        StoppedError: The sessions were stopped. The claim stays, and there is no record.
    """
    trial = suggestion.trial
    if (unread := _unread(before)) is not None:
        record = read_again(study_folder, unread, attempt)
        try:
            with_room(lambda: study_folder.write_record(record), sessions)
        except ExistsError:
            return _taken(study_folder.read_record(trial, attempt))
        forget(study_folder, record)
        return record
    _keep_logs_before(study_folder, trial, attempt)
    complete(study_folder, trial, attempt - 1)
    observers: list[Observer] = []

    def save() -> None:
        for each in observers:
            each.so_far.save()

    with (
        reserved(study_folder, trial, attempt, sessions) as room,
        _copied(study_folder, trial, attempt, echo) as copy,
        output_folder(study_folder, trial, attempt, sessions) as kept,
        checkpoint(study_folder, trial, sessions, save) as saved,
        _kept_log(study_folder, trial, attempt, Output(copy)) as output,
    ):
        goes_on = goes_on_from(saved)

        def observe(path: Path, metric_file: Path) -> Observer:
            observers.append(Observer(study_folder, trial, attempt, path, metric_file, goes_on))
            return observers[0]

        study = study_folder.study
        more = {VARIABLE: str(saved)} if saved is not None else {}
        path = kept.path
        record = run_objective(
            study,
            suggestion,
            attempt,
            code_folder,
            sessions,
            output,
            environment,
            path,
            observe,
            more,
            job.data if job else None,
            study_folder.function,
        )
        record = record.model_copy(
            update={
                "log": _write_log(study_folder, trial, attempt, output.content(), sessions),
                "code": job.code if job else None,
                "place": job.place if job else None,
                "cost": job.rate.of(record.seconds) if job and job.rate else None,
                "output_missing": kept.keep(),  # whatever a record promises is there before it is
                **_times(suggested, record),
            }
        )
        # The last check before the record is written: a record that `update` has learnt must stay the one that counts.
        files, known = study_folder.files_of(trial), [each.attempt for each in before]
        other = _record_of(study_folder, trial, files, set(files.records).difference(known))
        if other is not None and (other.is_final or other.attempt == attempt):
            return _taken(other)
        try:
            with_room(lambda: study_folder.write_record(record, room), sessions)
        except ExistsError:
            return _taken(study_folder.read_record(trial, attempt))
        except NoRoomError as error:
            why = f"trial {trial}: {record.state}: {record.outcome}; this is not recorded: {error.message}"
            logger.error("%s", why)  # noqa: TRY400 - whoever is told to stop shows no error
            raise NoRoomError(why) from None
    if record.is_final:
        forget(study_folder, record)
    return record


def _taken(other: Record) -> Record:
    """Log that another attempt's record wins."""
    ended = (
        "has finished before this one and counts" if other.is_final else "was taken for lost; its value does not count"
    )
    logger.warning("trial %d: attempt %d %s", other.trial, other.attempt, ended)
    return other


def _unread(records: Iterable[Record]) -> Record | None:
    """Return the record of the last ended attempt, if its value is to be read again.

    The worker that was to read it may have been lost since.
    """
    last = max((each for each in records if each.is_final), key=lambda each: each.attempt, default=None)
    return last if last is not None and last.is_unread else None


def _record_of(study_folder: StudyFolder, trial: int, files: Files, attempts: Iterable[int]) -> Record | None:
    """Return the record that counts among some attempts at a trial."""
    return record_that_counts(study_folder.read_attempts([(trial, attempt) for attempt in attempts], {trial: files}))


def is_tried_again(study_folder: StudyFolder, record: Record, job: Job | None) -> bool:
    """Tell whether a recorded trial gets a new attempt; each job gives at most one."""
    if job is None:
        return record.may_be_tried_again(retry_failed=False)
    return job.tries_again(record) and _job_of(study_folder, record) != job.job


def _job_of(study_folder: StudyFolder, record: Record) -> str | None:
    """Return the job of an attempt."""
    try:
        return read_document(Claim, study_folder.claim_uri(record.trial, record.attempt), study_folder.study).job
    except (NotFoundError, DamagedError):  # other programs, and people, need not keep claims
        return None


def _claim(study_folder: StudyFolder, trial: int, first: int, job: Job | None) -> int:
    """Claim the first free attempt at a trial."""
    claim = new_claim(study_folder, trial, first, job)
    attempts = itertools.count(first)
    return next(attempt for attempt in attempts if study_folder.claim(claim.model_copy(update={"attempt": attempt})))


def _jobs_lost(study_folder: StudyFolder, trial: int, files: Files) -> int:
    """Return how many jobs have failed without a record of their attempt at a trial.

    Jobs that somebody stopped do not count, nor do attempts that their job made again.
    """
    silent = [attempt for attempt in files.claims if attempt not in files.records]
    if len(silent) < MOST_LOST:
        return 0
    tried: set[str] = set()
    for attempt in silent:
        with contextlib.suppress(NotFoundError, DamagedError):
            tried.add(read_document(Claim, study_folder.claim_uri(trial, attempt), study_folder.study).job or "")
    ends = [end_of(study_folder.root, job) for job in tried - {""}]
    return sum(end is not None and end.state == "failed" and end.step in NOT_COMPLETE for end in ends)


def without_value(study: Study, suggestion: Suggestion, attempt: int, reason: Reason, job: Job) -> Record:
    """Return the record of an attempt that nobody ended."""
    return Record(
        study=study.name,
        fingerprint=study.fingerprint,
        trial=suggestion.trial,
        iteration=suggestion.iteration,
        attempt=attempt,
        parameters=suggestion.parameters,
        state="failed",
        reason=reason,
        worker=this_worker(),
        place=job.place,
        started=now(),
        seconds=0,
    )


def new_claim(study_folder: StudyFolder, trial: int, attempt: int, job: Job | None, number: int | None = None) -> Claim:
    """Return a claim of this process, with a token of its own."""
    return Claim(
        study=study_folder.study.name,
        fingerprint=study_folder.study.fingerprint,
        trial=trial,
        attempt=attempt,
        worker=this_worker(),
        place=number,
        token=secrets.token_hex(16),
        job=job.job if job else None,
        claimed=now(),
    )


@contextlib.contextmanager
def _copied(study_folder: StudyFolder, trial: int, attempt: int, echo: IO[bytes] | None) -> Iterator[IO[bytes] | None]:
    """Yield a copy of the output; a file of ours is removed at the end, if all went well."""
    if echo is not None or not storage.is_local(study_folder.root):
        yield echo
        return
    path = copy_of_log(study_folder, trial, attempt)
    try:
        file = path.open("wb", buffering=0)  # nothing is left to write when it is closed, and to fail
    except OSError as error:
        logger.warning("%s: cannot write there what the objective prints: %s", path, error.strerror)
        yield None
        return
    with file:
        # Another attempt that has ended the trial may have removed it already, and some disks know no rights.
        with contextlib.suppress(OSError):
            share(path)
        yield file
    path.unlink(missing_ok=True)


@contextlib.contextmanager
def _kept_log(study_folder: StudyFolder, trial: int, attempt: int, output: Output) -> Iterator[Output]:
    """Keep the output of an interrupted attempt too, as far as time allows."""
    try:
        yield output
    except BaseException:
        if copy_of_log(study_folder, trial, attempt).exists() or not output.content():  # which the next attempt keeps
            raise
        uri, content = study_folder.log_uri(trial, attempt), output.content()

        def write() -> None:
            with contextlib.suppress(UserError):
                storage.create(uri, content)

        for_at_most(CLOSE_SECONDS, write)
        raise


def _keep_logs_before(study_folder: StudyFolder, trial: int, attempt: int) -> None:
    """Keep the output of earlier killed attempts as their logs."""
    for before in range(1, attempt):
        left = []
        if storage.is_local(study_folder.root) and (copy := copy_of_log(study_folder, trial, before)).exists():
            left.append(str(copy))
        if study_folder.study.checkpoint:
            left.append(study_folder.said_log_uri(trial, before))
        for uri in left:
            with contextlib.suppress(UserError):  # it is not there, or the attempt has kept its log itself
                if content := _left_in(uri):
                    storage.create(study_folder.log_uri(trial, before), content)
                storage.delete(uri)


def _left_in(uri: str) -> bytes:
    size = storage.stat(uri).size
    if size <= MOST_LOG_BYTES:
        return storage.read(uri, MOST_LOG_BYTES)
    last = storage.read_range(uri, size - KEPT_LAST, KEPT_LAST)
    return in_short(storage.read_range(uri, 0, KEPT_FIRST), last, size)


def _write_log(study_folder: StudyFolder, trial: int, attempt: int, content: bytes, sessions: Sessions) -> str | None:
    """Write the output of an attempt, and return the name of the file; None without output."""
    if not content:
        return None
    uri = study_folder.log_uri(trial, attempt)
    try:
        with_room(lambda: storage.create(uri, content), sessions, LOG_PATIENCE)
    except Exception as error:  # whatever it is, the record is worth more
        logger.warning("trial %d: what it printed cannot be kept: %s", trial, error)
        return None
    return uri.rpartition("/")[2]


def _times(suggested: datetime, record: Record) -> dict[str, str | float | None]:
    """Return the time of the suggestion and the delay until the start, if the clocks make sense."""
    if not 1970 <= suggested.year <= 9000:
        return {}
    seconds = (datetime.fromisoformat(record.started) - suggested).total_seconds()
    return {
        "suggested": suggested.astimezone(UTC).isoformat(timespec="milliseconds"),
        "startup_seconds": round(seconds, 3) if 0 <= seconds <= 1e9 else None,
    }
