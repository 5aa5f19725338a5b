"""Submits a study to a target: all is checked and compiled, then a job is opened in its folder, and sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kfp_bayesopt import session
from kfp_bayesopt.folder.data import check_data, data_of_containers
from kfp_bayesopt.folder.jobs import Submitted, new_job_id
from kfp_bayesopt.folder.roots import changed_root, first_root, root_of, root_of_other_data
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session import Session, sent
from kfp_bayesopt.session.code import code_in_image
from kfp_bayesopt.session.opening import GoingOn
from kfp_bayesopt.steps import INIT
from kfp_bayesopt_pipeline import pipeline_file
from kfp_bayesopt_pipeline.images import trial_image
from kfp_bayesopt_pipeline.places import load_service, remote_jobs
from kfp_bayesopt_pipeline.places.protocol import Options, Target
from kfp_bayesopt_pipeline.places.settings import Settings
from kfp_bayesopt_pipeline.plan.plan import rate_of, short
from kfp_bayesopt_pipeline.preflight.submission import Checked, check_submission


@dataclass(frozen=True)
class Sent:
    """A job that a target has taken.

    Attributes:
        target: The target.
        checked: What was sent.
        folder: The study folder.
        job: Our id of it.
        submitted: What the target calls it.
        opened: The study, with the job; None where its folder is not reached from here.
        joins: It works beside jobs that have not ended.
    """

    target: Target
    checked: Checked
    folder: StudyFolder
    job: str
    submitted: Submitted
    opened: Session | None
    joins: bool

    @property
    def known(self) -> int:
        """How many trials had records before the job, as far as known here."""
        return 0 if self.opened is None else len(self.opened.trials.records)

    @property
    def lines(self) -> list[str]:
        """The lines that a person reads of it."""
        return [f"job {self.submitted.id}", self.submitted.page, f"study folder {self.folder.root}"]


def submit(
    study_path: str,
    images_path: Path | None,
    target: Target,
    options: Options,
    *,
    settings: Settings,
    root: str | None,
    going_on: GoingOn,
    problems: Sequence[str],
    say: Callable[[str], None],
    checked: Checked | None = None,
) -> Sent:
    """Check everything and submit the pipeline of a study.

    Args:
        study_path: The study file.
        images_path: The file that names the images, where it is not the usual one.
        target: Where the job is to run.
        options: What else the person says of the job.
        settings: The settings of the target; studies are below its pipeline root.
        root: The study folder, where it does not follow from the study.
        going_on: How the study goes on; a fresh start has a folder of its own.
        problems: What is wrong with the settings of the target.
        say: Shows a warning, the plan, and what a person wants to know of earlier trials.
        checked: What was sent before, and is sent again, whatever has become of its files.

    Raises:
        UserError: Something is wrong, the study cannot go on, or the target refused the job or gave no answer.
    """
    place = load_service(target.name)
    home = root or settings.pipeline_root
    checked = checked or check_submission(study_path, images_path, target, options, problems, home)
    study = checked.study
    data = data_of_containers(options.data, f"a machine of {target.name}")
    check_data(study, data)
    pipeline = pipeline_file.compiled(*checked, say, place.ends_task, settings.cluster(home))
    code = code_in_image(study, trial_image(study, checked.images))
    if (way_out := target.unreached(home)) is not None:
        sent.check_sent(study, checked.content, going_on, home, way_out)
    if (asked := place.asks(study)) is not None:
        say(asked)
    if way_out is not None:
        say(f"{home}: not reached from here; the study goes with the run, and {INIT.name} checks it there")
        folder = StudyFolder(root or first_root(home, study, data), study)
        job, jobs = new_job_id(study), target.jobs_of(folder.root)
        opening = sent.opening_of(
            *(folder.root, target.name, jobs, going_on),
            code=code,
            images=checked.images,
            lease_minutes=place.lease_minutes,
            data=data,
        )
        along = {"study": sent.text_to_send(checked.content), "opening": opening.to_text()}
        submitted = target.submit(study, job, folder.root, pipeline_file.write(study, pipeline), options, along)
        return Sent(target, checked, folder, job, submitted, None, going_on.join)
    starts_again = going_on.fresh or not study.steps.evaluate.cache
    folder = StudyFolder(root or root_of(home, study, starts_again, data), study)
    for line in short(study, place, folder):
        say(line)
    with session.open(
        folder,
        checked.content,
        target.name,
        code=code,
        going_on=replace(going_on, fresh=False),
        beside=Path(study_path).parent,
        kept=changed_root(home, study) if going_on.keep else None,
        images=checked.images,
        rate=rate_of(study, place),
        lease_minutes=place.lease_minutes,
        data=data,
        other_data=None if root else root_of_other_data(home, study, data),
        is_running=remote_jobs.asks(target, folder.root),
    ) as opened:
        if opened.note:
            say(opened.note)
        job = opened.job.job
        submitted = target.submit(study, job, folder.root, pipeline_file.write(study, pipeline), options, {})
        opened.hand_over(submitted)
    return Sent(target, checked, folder, job, submitted, opened, going_on.join)
