"""Opens the job of a study whose text was sent with its run.

A submitter that cannot reach the store of a cluster sends the study along, and `init` opens the job there as it would
have been opened here. What only the submitter knows comes as an `Opening`.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping

from pydantic import Field, ValidationError

from kfp_bayesopt import hints
from kfp_bayesopt.errors import NotFoundError, UserError, listed
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.data import Data
from kfp_bayesopt.folder.jobs import Job, JobId
from kfp_bayesopt.folder.study_folder import StudyFolder, study_uri
from kfp_bayesopt.session.opening import GoingOn, open_job, runs_here
from kfp_bayesopt.steps import INIT
from kfp_bayesopt.strict import StrictModel
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.study.yaml_reader import MAX_BYTES

MOST_BYTES = 9000
"""The most of a run for the text of a study, as JSON: a cluster takes 10,000 bytes for all inputs together."""
MOST_OVER = 20
"""The most jobs that are said to be over: each that is opened ends all those before it that have not said so."""
PACKED = "zlib+base64:"
"""Begins a text that is packed."""
TEMPLATE = "{{"
"""In a text, Argo takes it for the begin of something that it fills in, and refuses the run."""


class Opening(StrictModel):
    """What a submitter says of a job that it could not open itself; nothing where a person starts a run by hand."""

    place: str = "by hand"
    by: str | None = Field(None, description="Who submitted it: user@machine.")
    code: str | None = Field(None, description="`image:` and the digest of what evaluates the trials.")
    same_code: bool = False
    retry_failed: bool = False
    join: bool = False
    over: list[JobId] = Field([], description="Jobs of the folder that run no longer, as the service says.")
    images: dict[str, str] = Field({}, description="The image of each step.")
    lease_minutes: float | None = Field(None, description="Of its workers, where a dead one is not started again.")
    data: Data | None = Field(None, description="What its objective is given.")

    def to_text(self) -> str:
        """Return it as JSON, as short as possible; a text without content is one by hand."""
        return "" if self == Opening() else self.model_dump_json(exclude_defaults=True)

    @classmethod
    def from_text(cls, text: str) -> Opening:
        """Return what a text says.

        Raises:
            UserError: It is not what `to_text` writes.
        """
        try:
            return cls.model_validate_json(text) if text else cls()
        except ValidationError as error:
            raise UserError(listed("opening", cls.mistakes_in({}, error))) from None


def check_sent(study: Study, content: bytes, going_on: GoingOn, root: str, way_out: str) -> None:
    """Refuse what cannot be sent with a run by somebody who does not reach the study folder.

    Args:
        study: The study.
        content: Its file.
        going_on: How it goes on.
        root: The study folder, or what is above it.
        way_out: How it is reached.

    Raises:
        UserError: Something of it cannot; the message names all that.
    """
    options = {hints.FRESH: going_on.fresh, hints.KEEP: going_on.keep, hints.ENDED(job="JOB"): going_on.ended}
    lines = [f"{option} needs the study folder" for option, is_given in options.items() if is_given]
    if not study.steps.evaluate.cache:
        lines.append("steps.evaluate.cache: false needs a new study folder each time")
    if study.warm_start:
        lines.append("warm_start: the trials of other studies are written into the study folder")
    if study.objective.function is not None:
        lines.append("objective.function: the file of the function is written into the study folder")
    lines += problem_of_length(content)
    if lines:
        raise UserError(f"{root} is not reached from here: {'; '.join(lines)}; {way_out}")


def problem_of_length(content: bytes) -> list[str]:
    """Return why a study file is too long to be sent with a run, if it is."""
    length = _bytes_of(text_to_send(content))
    if length <= MOST_BYTES:
        return []
    return [f"the study file has {len(content):,} bytes, {length:,} packed, and a run takes {MOST_BYTES:,}"]


def text_to_send(content: bytes) -> str:
    """Return a study file as the text that is sent with a run: as it is if a cluster takes it, else packed."""
    text = content.decode()
    if TEMPLATE not in text and _bytes_of(text) <= MOST_BYTES:
        return text
    return PACKED + base64.b64encode(zlib.compress(content, 9)).decode()


def _bytes_of(text: str) -> int:
    """Return how much a cluster counts of a text at most: as JSON, in which Go escapes what has a meaning in HTML."""
    return len(json.dumps(text)) + 5 * sum(map(text.count, "<>&"))


def content_of(text: str) -> bytes:
    """Return the study file that was sent as a text.

    Raises:
        UserError: It cannot be unpacked.
    """
    if not text.startswith(PACKED):
        return text.encode()
    try:
        return zlib.decompressobj().decompress(base64.b64decode(text.removeprefix(PACKED)), MAX_BYTES)
    except (ValueError, zlib.error) as error:
        raise UserError(f"the text of the study that came with the run cannot be unpacked: {error}") from None


def opening_of(
    root: str,
    place: str,
    others: Mapping[str, bool],
    going_on: GoingOn,
    *,
    code: str | None,
    images: Mapping[str, str],
    lease_minutes: float | None = None,
    data: Data | None = None,
) -> Opening:
    """Return what is said of a job that cannot be opened from here.

    Args:
        root: The study folder.
        place: Where the job runs.
        others: The other jobs of the folder that the service knows, the last one first, and whether each has ended.
        going_on: How the study goes on.
        code: What evaluates its trials.
        images: The image of each step.
        lease_minutes: The lease of its workers, where a dead one is not started again.
        data: What its objective is given.

    Raises:
        UserError: Another job has not ended, and this one does not join it.
    """
    running = [job for job, has_ended in others.items() if not has_ended]
    if running and not going_on.join:
        cancel = hints.CANCEL(target=place, job=running[0])
        raise UserError(f"{root}: job {running[0]} has not ended; wait for it, or stop it with `{cancel}`")
    return Opening(
        place=place,
        by=jobs.whoami(),
        code=code,
        same_code=going_on.same_code,
        retry_failed=going_on.retry_failed,
        join=going_on.join,
        over=[job for job, has_ended in others.items() if has_ended][:MOST_OVER],
        images=dict(images),
        lease_minutes=lease_minutes,
        data=data,
    )


def open_sent(root: str, study_at: str, job: str | None, text: str, opening: str) -> None:
    """Write a study into its folder and open its job, unless that was done before.

    Args:
        root: The study folder.
        study_at: The URI of the study file, which the pipeline was compiled for.
        job: The job.
        text: The study file, as `text_to_send` returns it.
        opening: The text of an `Opening`.

    Raises:
        UserError: Only what a retry may mend; any other mistake ends the job.
    """
    if job is None:
        raise UserError("--content needs a --job or a --run: the job that is opened for it")
    if jobs.end_of(root, job) is not None:
        return
    with jobs.mistakes_end(root, job, INIT.name):
        content = content_of(text)
        if study_uri(root, content) != study_at:
            raise UserError(
                f"{study_at}: the text of the study that came with the run is not this file, which the pipeline was "
                "compiled for; submit it again"
            )
        study = Study.from_text(content, study_at)
        try:
            jobs.read_job(root, job)  # an attempt before this one has opened it
        except NotFoundError:
            _open(StudyFolder(root, study), content, job, Opening.from_text(opening))


def _open(folder: StudyFolder, content: bytes, job: str, opening: Opening) -> None:
    def is_running(other: Job) -> bool | None:
        return False if other.job in opening.over else runs_here(other)

    open_job(
        folder,
        content,
        opening.place,
        job=job,
        code=opening.code,
        going_on=GoingOn(same_code=opening.same_code, retry_failed=opening.retry_failed, join=opening.join),
        images=opening.images,
        by=opening.by,
        lease_minutes=opening.lease_minutes,
        data=opening.data,
        is_running=is_running,
    )
