"""Opens the job of a study whose text was sent with its run.

A submitter that cannot reach the store of a cluster sends the study along, and `init` opens the job there as it would
have been opened here. What only the submitter knows comes as an `Opening`.
"""

from __future__ import annotations

from pydantic import Field, ValidationError

from kfp_bayesopt.errors import NotFoundError, UserError, listed
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.jobs import Job, JobId
from kfp_bayesopt.folder.study_folder import StudyFolder, study_uri
from kfp_bayesopt.session.opening import GoingOn, open_job, runs_here
from kfp_bayesopt.steps import INIT
from kfp_bayesopt.strict import StrictModel
from kfp_bayesopt.study.study import Study

MOST_CHARACTERS = 9000
"""The longest text of a study that is sent with a run: a cluster takes 10,000 for all inputs together."""


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


def open_sent(root: str, study_at: str, job: str | None, content: str, opening: str) -> None:
    """Write a study into its folder and open its job, unless that was done before.

    Args:
        root: The study folder.
        study_at: The URI of the study file, which the pipeline was compiled for.
        job: The job.
        content: The text of the study file.
        opening: The text of an `Opening`.

    Raises:
        UserError: Only what a retry may mend; any other mistake ends the job.
    """
    if job is None:
        raise UserError("--content needs a --job or a --run: the job that is opened for it")
    if jobs.end_of(root, job) is not None:
        return
    with jobs.mistakes_end(root, job, INIT.name):
        if study_uri(root, content.encode()) != study_at:
            raise UserError(
                f"{study_at}: the text of the study that came with the run is not this file, which the pipeline was "
                "compiled for; submit it again"
            )
        study = Study.from_text(content, study_at)
        try:
            jobs.read_job(root, job)  # an attempt before this one has opened it
        except NotFoundError:
            _open(StudyFolder(root, study), content.encode(), job, Opening.from_text(opening))


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
        is_running=is_running,
    )
