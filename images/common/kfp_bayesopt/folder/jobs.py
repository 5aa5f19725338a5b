"""The jobs of a study: each submission leaves a file in the study folder, and another one with the reason of its end.

A target reruns every step with a status other than 0. So a step of a job exits 0 on anything that no retry can mend,
and writes the reason into the study folder; the steps after it see that and do nothing, and `report` makes the job red.
"""

from __future__ import annotations

import getpass
import logging
import os
import re
import secrets
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from kfp_bayesopt.errors import DamagedError, ExistsError, NotFoundError, UnavailableError, UserError, shown
from kfp_bayesopt.folder.data import Data
from kfp_bayesopt.folder.documents import Document, Number, OfStudy, Time, damaged, read_document
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.store import storage
from kfp_bayesopt.strict import StrictModel
from kfp_bayesopt.study.study import Study

logger = logging.getLogger(__name__)

_ID = r"[a-z0-9]([a-z0-9-]{0,126}[a-z0-9])?"
_FILE = re.compile(rf"{_ID}\.json")
JobId = Annotated[str, Field(pattern=f"^{_ID}$")]
SUBMIT = "submit"
"""The step of an end that is none of the study: whoever submitted the job was stopped, or could not go on."""
_NOT_NEEDED = "delete the file; the study does not need it"


def now() -> str:
    """Return the time in UTC, in the form for files."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Rate(StrictModel):
    """The price of a trial's machine, by the submitter's price list."""

    hour: float = Field(ge=0, le=1e6, description="What an hour costs.")
    start_seconds: float = Field(ge=0, le=86400, description="How long a machine is paid for before it evaluates.")
    currency: str
    prices: str = Field(description="Of which day the prices are.")

    def of(self, seconds: float) -> float:
        """Return the cost of a trial, machine start included."""
        return round((seconds + self.start_seconds) / 3600 * self.hour, 6)


class Job(OfStudy):
    """A submission of a study."""

    what = "job"
    way_out = _NOT_NEEDED

    job: JobId
    study_file: str = Field(description="Name of the study file in the study folder: study/SHA256.yaml.")
    place: str = Field(description="Where it runs: in-process, compose, kfp.local, kfp or vertex.")
    submitted: Time
    by: str = Field(description="Who submitted it: user@machine.")
    process: int | None = Field(None, ge=1, lt=2**31, description="Process of a run on that machine.")
    code: str | None = Field(
        None, description="`image:`, `files:` or `function:`, and the digest of what evaluates the trials."
    )
    same_code: bool = Field(False, description="Whoever submitted it says that the code gives what the records say.")
    retry_failed: bool = Field(False, description="Failed trials are evaluated again.")
    images: dict[str, str] = Field({}, description="The image of each step.")
    rate: Rate | None = Field(None, description="What its trials cost, where that is known.")
    data: Data | None = Field(
        None, description="What the objective is given; all jobs of a study folder have the same."
    )
    lease_minutes: float | None = Field(
        None,
        gt=0,
        le=10_000,
        description="Where a dead worker is not started again: the lease of its workers, unless the study gives one. "
        "And one of them waits for the trials of the others.",
    )

    def tries_again(self, record: Record) -> bool:
        """Tell whether the job gives the trial of a record that was there before it one more attempt."""
        return record.may_be_tried_again(self.retry_failed)


class Submitted(Document):
    """The target's id of a job; it is known only after the submission."""

    what = "submission"
    way_out = _NOT_NEEDED

    id: str
    page: str


class Ended(Document):
    """The end of a job and its reason."""

    what = "end of a job"
    way_out = _NOT_NEEDED

    state: Literal["succeeded", "failed"]
    reason: str | None = Field(None, description="None where the budget was spent.")
    step: str = Field(description="The step that found it.")
    at: Time

    @property
    def is_of_study(self) -> bool:
        """Tell whether it says something of the study, and not only that its run was stopped."""
        return self.step != SUBMIT


class WorkerStart(Document):
    """A worker that has begun to work for a job."""

    what = "start of a worker"
    way_out = _NOT_NEEDED

    worker: str = Field(description="Machine and process.")
    place: Number | None = Field(None, description="Which of the workers of the job it is.")
    at: Time


class Waiting(Document):
    """A worker that waits for the trials of the others of its job, and takes over those of dead ones."""

    what = "waiting worker"
    way_out = _NOT_NEEDED

    worker: str = Field(description="Machine and process.")
    token: str = Field(description="Chosen at random, so that a worker knows its own file.")
    at: Time


def new_job_id(study: Study) -> str:
    """Return an id that every service takes: lower case letters, digits and hyphens, at most 128."""
    return f"{study.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def whoami() -> str:
    """Return user@machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def job_uri(root: str, job: str) -> str:
    """Return the URI of a job.

    Raises:
        UserError: The id is invalid.
    """
    if not re.fullmatch(_ID, job):
        raise UserError(
            f"{shown(job)} is no id of a job; give 1 to 128 lower case letters, digits and hyphens, beginning and "
            "ending with a letter or a digit"
        )
    return f"{root.rstrip('/')}/jobs/{job}.json"


def submitted_uri(root: str, job: str) -> str:
    """Return the URI of the target's id of a job."""
    return f"{job_uri(root, job).removesuffix('.json')}/submitted.json"


def ended_uri(root: str, job: str) -> str:
    """Return the URI of the end of a job."""
    return f"{job_uri(root, job).removesuffix('.json')}/ended.json"


def worker_uri(root: str, job: str, token: str) -> str:
    """Return the URI of the start of a worker of a job."""
    return f"{job_uri(root, job).removesuffix('.json')}/worker-{token}.json"


def waits_uri(root: str, job: str, number: int) -> str:
    """Return the URI of the turn of a worker of a job to wait for the others."""
    return f"{job_uri(root, job).removesuffix('.json')}/waits-{number}.json"


def has_begun(root: str, job: str) -> bool:
    """Tell whether a worker of a job has begun."""
    prefix = worker_uri(root, job, "").removesuffix(".json")
    folder = f"{prefix.rpartition('/')[0]}/"
    return any(entry.uri.startswith(prefix) for entry in storage.entries(folder))


def read_job(root: str, job: str) -> Job:
    """Read a job.

    Raises:
        UserError: It is unknown, or damaged.
    """
    uri = job_uri(root, job)
    found = read_document(Job, uri)
    if found.job != job:
        raise damaged(Job, uri, f"job: must be {job}, but got {found.job}")
    return found


def job_ids(root: str) -> dict[str, bool]:
    """Return the jobs of a study folder in the order of submission, and whether each has ended."""
    prefix = f"{root.rstrip('/')}/jobs/"
    found = {entry.uri.removeprefix(prefix): entry.created for entry in storage.entries(prefix)}
    own = sorted((created, name) for name, created in found.items() if _FILE.fullmatch(name))
    ids = [name.removesuffix(".json") for _, name in own]
    return {job: f"{job}/ended.json" in found for job in ids}


def read_jobs(root: str, jobs: Iterable[str]) -> Iterator[Job]:
    """Yield some jobs; a damaged one is left out with a warning, because no study needs it."""
    for job in jobs:
        try:
            yield read_job(root, job)
        except DamagedError as error:
            logger.warning("left out: %s", error.message)


def list_jobs(root: str) -> list[Job]:
    """Return the jobs of a study folder in the order of their submission."""
    return list(read_jobs(root, job_ids(root)))


def last_job(root: str) -> str | None:
    """Return the id of the job of a study folder that was submitted last, if there is one."""
    return next(reversed(job_ids(root)), None)


def with_other_data(root: str, data: Data | None) -> Job | None:
    """Return the last job of a study folder if its objective was given other data; None if it was not, or has none.

    All jobs of a folder have the same.
    """
    last = next(read_jobs(root, reversed(job_ids(root))), None)
    if last is None or (last.data and last.data.digest) == (data and data.digest):
        return None
    return last


def unended(root: str) -> Iterator[Job]:
    """Yield the jobs of a study folder that have not ended, in the order of submission."""
    return read_jobs(root, [job for job, has_ended in job_ids(root).items() if not has_ended])


def unended_before(root: str, ours: str) -> Iterator[Job]:
    """Yield the jobs of a study folder that were submitted before one of them and have not ended."""
    for job in unended(root):
        if job.job == ours:
            return
        yield job


def id_of(root: str, job: str) -> str:
    """Return the target's id of a job; its own id if that is unknown."""
    try:
        return read_document(Submitted, submitted_uri(root, job)).id
    except (NotFoundError, DamagedError):
        return job


def record_submission(root: str, job: str, submitted: Submitted) -> None:
    """Write the target's id of a job."""
    with suppress(ExistsError):  # what was written first stays
        storage.create(submitted_uri(root, job), submitted.to_bytes())


def end_of(root: str, job: str) -> Ended | None:
    """Return the end of a job, or None while it runs; a damaged file counts as an end too."""
    uri = ended_uri(root, job)
    try:
        return read_document(Ended, uri)
    except NotFoundError:
        return None
    except DamagedError as error:
        return Ended(state="failed", reason=error.message, step="unknown", at=storage.stat(uri).created.isoformat())


def end(root: str, job: str, state: Literal["succeeded", "failed"], reason: str | None, step: str) -> None:
    """Write the end of a job; the first one written stays."""
    ended = Ended(state=state, reason=reason, step=step, at=now())
    try:
        storage.create(ended_uri(root, job), ended.to_bytes())
    except ExistsError:
        logger.info("%s: job %s had ended already", root, job)


def has_ended(root: str, job: str | None, step: str) -> bool:
    """Tell, and log, whether a step has nothing more to do because its job has ended."""
    ended = end_of(root, job) if job else None
    if ended is not None:
        logger.info("%s: nothing more to do, job %s has ended: %s", step, job, ended.reason or ended.state)
    return ended is not None


@contextmanager
def mistakes_end(root: str, job: str | None, step: str) -> Iterator[None]:
    """End a job, and this step with status 0, on a mistake that no retry can mend; without a job, raise it.

    Raises:
        UserError: Without a job, or if a retry may help.
    """
    try:
        yield
    except UnavailableError:
        raise
    except UserError as error:
        if job is None:
            raise
        logger.error("%s", error.message)  # noqa: TRY400 - a mistake of the user has no traceback
        end(root, job, "failed", error.message, step)


def stop(root: str, job: str | None, reason: str, *, failed: bool, step: str) -> None:
    """End a job because its study has ended before its budget was spent; without a job, only log it.

    Raises:
        UserError: Without a job, if the study has failed.
    """
    if job is not None:
        end(root, job, "failed" if failed else "succeeded", reason, step)
    elif failed:
        raise UserError(reason)
    logger.info("%s: the study has ended: %s", step, reason)


def ensure_job(folder: StudyFolder, job: str, study_uri: str, data: Data | None = None) -> Job:
    """Read a job, creating its file if the submitter did not; then it is of these data."""
    try:
        return read_job(folder.root, job)
    except NotFoundError:
        started = Job(
            study=folder.study.name, fingerprint=folder.study.fingerprint, job=job,
            study_file="study/" + study_uri.rpartition("/")[2], place="by hand", submitted=now(), by=whoami(),
            data=data,
        )  # fmt: skip
        try:
            storage.create(job_uri(folder.root, job), started.to_bytes())
        except ExistsError:  # another attempt at this step has just written it
            return read_job(folder.root, job)
        return started
