"""Submits a study to a target: all is checked and compiled, then a job is opened in its folder, and sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from kfp_bayesopt import session, workspace
from kfp_bayesopt.folder.jobs import Submitted, end_of
from kfp_bayesopt.folder.roots import changed_root, root_of
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session import Session
from kfp_bayesopt.session.code import code_of_image
from kfp_bayesopt.session.following import Follower, verdict_of
from kfp_bayesopt.session.opening import GoingOn
from kfp_bayesopt.session.studies import recorded
from kfp_bayesopt.session.view import View
from kfp_bayesopt.steps import REPORT, REPORT_PAGE
from kfp_bayesopt_pipeline import pipeline_file
from kfp_bayesopt_pipeline.images import trial_image
from kfp_bayesopt_pipeline.places import load_service, remote_jobs
from kfp_bayesopt_pipeline.places.protocol import Options, Target
from kfp_bayesopt_pipeline.plan.plan import rate_of, short
from kfp_bayesopt_pipeline.preflight.submission import check_submission


@dataclass(frozen=True)
class Sent:
    """A job that a target has taken.

    Attributes:
        target: The target.
        opened: The study, with its job.
        submitted: What the target calls it.
        joins: It works beside jobs that have not ended.
    """

    target: Target
    opened: Session
    submitted: Submitted
    joins: bool

    @property
    def lines(self) -> list[str]:
        """The lines that a person reads of it."""
        return [f"job {self.submitted.id}", self.submitted.page, f"study folder {self.opened.folder.root}"]


def submit(
    study_path: str,
    images_path: Path | None,
    target: Target,
    options: Options,
    *,
    pipeline_root: str,
    root: str | None,
    going_on: GoingOn,
    problems: Sequence[str],
    say: Callable[[str], None],
) -> Sent:
    """Check everything and submit the pipeline of a study.

    Args:
        study_path: The study file.
        images_path: The file that names the images, where it is not the usual one.
        target: Where the job is to run.
        options: What else the person says of the job.
        pipeline_root: Where studies are in the bucket.
        root: The study folder, where it does not follow from the study.
        going_on: How the study goes on; a fresh start has a folder of its own.
        problems: What is wrong with the settings of the target.
        say: Shows a warning, the plan, and what a person wants to know of earlier trials.

    Raises:
        UserError: Something is wrong, the study cannot go on, or the target refused the job or gave no answer.
    """
    place = load_service(target.name)
    checked = check_submission(study_path, images_path, target, options, problems, root or pipeline_root)
    study = checked.study
    starts_again = going_on.fresh or not study.steps.evaluate.cache
    folder = StudyFolder(root or root_of(pipeline_root, study, starts_again), study)
    pipeline = pipeline_file.compiled(*checked, say, place.ends_task, target.cluster(folder.root))
    kept = changed_root(pipeline_root, study) if going_on.keep else None
    for line in short(study, place, folder):
        say(line)
    with session.open(
        folder,
        checked.content,
        target.name,
        code=code_of_image(trial_image(study, checked.images)),
        going_on=replace(going_on, fresh=False),
        beside=Path(study_path).parent,
        kept=kept,
        images=checked.images,
        rate=rate_of(study, place),
        lease_minutes=place.lease_minutes,
        is_running=remote_jobs.asks(target, folder.root),
    ) as opened:
        if opened.note:
            say(opened.note)
        submitted = target.submit(study, opened.job, folder.root, pipeline_file.write(study, pipeline), options)
        opened.hand_over(submitted)
    return Sent(target, opened, submitted, going_on.join)


class Send(Protocol):
    """Sends a study to where it was sent before."""

    def __call__(self, *, root: str, going_on: GoingOn) -> Sent:
        """Send the study of a folder once more."""


def follow_to_the_end(sent: Sent, view: View, seconds: float, again: int, send: Send) -> None:
    """Show a job until it has ended, fetch its results, and show what came out.

    A job that has failed on the way, as of a worker that was evicted, is followed by another one, as long as each
    brings new records.

    Args:
        sent: The job.
        view: How it is shown.
        seconds: Pause between two polls.
        again: How many jobs may follow.
        send: Sends the study once more.

    Raises:
        UserError: It did not succeed, or cannot be followed any longer.
    """
    folder = sent.opened.folder
    view.lines(sent.lines)
    with sent.opened.shown(view, folder.study.parallel_trials) as progress:
        follower = Follower(progress)
        while True:
            job = sent.submitted.id
            progress.if_stopped = remote_jobs.goes_on(sent.target, job)
            out = workspace.out(job)
            try:
                for line in remote_jobs.wait(sent.target, job, out, seconds, follower.look):
                    progress.state(line)
                break
            except remote_jobs.JobFailedError as error:
                new = recorded(folder.root) - len(sent.opened.trials.records)
                if not again or new <= 0 or _is_final(folder, sent.opened.job.job):
                    raise
                again -= 1
                progress.note(f"{error.message.partition(';')[0]}; {new} trials have ended in it: it goes on")
            # The rest of what the first job was told is in the folder by now.
            sent = send(root=folder.root, going_on=GoingOn(join=sent.joins))
            for line in sent.lines:
                progress.note(line)
    page = out / REPORT_PAGE
    progress.finish(verdict_of(folder, str(out)), str(page) if page.exists() else None)


def _is_final(folder: StudyFolder, job: str) -> bool:
    """Tell whether a step has ended a job for a reason that no other job can mend."""
    ended = end_of(folder.root, job)
    return ended is not None and ended.step != REPORT.name
