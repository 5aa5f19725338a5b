"""The step `evaluate`: evaluates one trial and writes its record."""

import functools
import logging
import sys

import click

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.failures import alike, log_of
from kfp_bayesopt.folder.jobs import Job
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.steps import EVALUATE
from kfp_bayesopt.steps.options import with_folder
from kfp_bayesopt.study.study_file import load_study
from kfp_bayesopt.trial.attempt import run_trial
from kfp_bayesopt.trial.interrupts import exit_when_told, stopped_with, uninterrupted
from kfp_bayesopt.trial.process.interpreters import code_folder
from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError

logger = logging.getLogger("evaluate")


@click.command()
@with_folder
@click.option("--trial", required=True, type=click.IntRange(min=1), help="Number of the trial.")
def main(root: str, study_uri: str, job: str | None, trial: int) -> None:
    """Evaluate one trial of a study and write its record.

    What has a record is not evaluated again, and a trial that nobody proposed is nothing to do. A trial that fails is
    a record too, and the exit status is 0. Every path is a gs:// URI or a local path.

    \b
    Example:
      /opt/bayesopt/bin/evaluate --root out/branin --study studies/branin.yaml --trial 1
    """  # noqa: D301 - click wants the character \b
    with jobs.mistakes_end(root, job, "evaluate"):
        if jobs.has_ended(root, job, "evaluate"):
            return
        try:
            record = _run(root, study_uri, job, trial)
        except StoppedError:  # because its job has ended; a request to stop ends the process instead
            return
        # That of a job is found by `update`, which ends the job.
        if job is None and record is not None and record.reason is not None and record.reason.kind == "mistake":
            raise UserError(record.reason.message)


def _run(root: str, study_uri: str, job: str | None, trial: int) -> Record | None:
    study = load_study(study_uri)
    found = jobs.read_job(root, job) if job else None
    folder = code_folder(root, study_uri)
    study_folder = StudyFolder(root, study)
    with Sessions() as sessions, stopped_with(root, job, sessions):
        run = functools.partial(run_trial, study_folder, trial, folder, sessions, found, echo=sys.stdout.buffer)
        record = uninterrupted(run, sessions.stop)
    if record is not None:
        iteration = f"iteration {record.iteration}, " if record.iteration else ""
        logger.info("%strial %d: %s: %s", iteration, trial, record.state, record.outcome)
        if record.reason is not None and (log := log_of(root, record)):
            logger.info("trial %d: its log is %s", trial, log)
        if found is not None and record.reason is not None:
            _end_where_all_fail(study_folder, found)
    return record


def _end_where_all_fail(study_folder: StudyFolder, job: Job) -> None:
    """End a job whose first two trials to end failed with the same mistake."""
    if reason := alike(study_folder.study, study_folder.root, study_folder.by_their_end()):
        jobs.end(study_folder.root, job.job, "failed", reason, EVALUATE.name)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    exit_when_told()
    main()
