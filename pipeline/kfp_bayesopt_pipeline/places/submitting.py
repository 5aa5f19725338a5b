"""Submits a study to a target: all is checked and compiled, then a job is opened in its folder, and sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kfp_bayesopt import session, workspace
from kfp_bayesopt.folder.jobs import Submitted
from kfp_bayesopt.folder.roots import changed_root, root_of
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session import Session
from kfp_bayesopt.session.code import code_of_image
from kfp_bayesopt.session.following import Follower, verdict_of
from kfp_bayesopt.session.opening import GoingOn
from kfp_bayesopt.session.view import View
from kfp_bayesopt.steps import REPORT_PAGE
from kfp_bayesopt_pipeline import pipeline_file
from kfp_bayesopt_pipeline.images import trial_image
from kfp_bayesopt_pipeline.places import load_place, remote_jobs
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
    """

    target: Target
    opened: Session
    submitted: Submitted

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
    place = load_place(target.name)
    checked = check_submission(study_path, images_path, target, options, problems)
    study = checked.study
    pipeline = pipeline_file.compiled(*checked, say)
    starts_again = going_on.fresh or not study.steps.evaluate.cache
    folder = StudyFolder(root or root_of(pipeline_root, study, starts_again), study)
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
        is_running=remote_jobs.asks(target, folder.root),
    ) as opened:
        if opened.note:
            say(opened.note)
        submitted = target.submit(study, opened.job, folder.root, pipeline_file.write(study, pipeline), options)
        opened.hand_over(submitted)
    return Sent(target, opened, submitted)


def follow_to_the_end(sent: Sent, view: View, seconds: float) -> None:
    """Show a job until it has ended, fetch its results, and show what came out.

    Args:
        sent: The job.
        view: How it is shown.
        seconds: Pause between two polls.

    Raises:
        UserError: It did not succeed, or cannot be followed any longer.
    """
    folder, job = sent.opened.folder, sent.submitted.id
    out = workspace.out(job)
    view.lines(sent.lines)
    with sent.opened.shown(view, folder.study.parallel_trials) as progress:
        for line in remote_jobs.wait(sent.target, job, out, seconds, Follower(progress).look):
            progress.state(line)
    page = out / REPORT_PAGE
    progress.finish(verdict_of(folder), str(page) if page.exists() else None)
