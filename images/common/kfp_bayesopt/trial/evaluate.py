"""The work of the step `evaluate`: evaluate one trial and write its record."""

from __future__ import annotations

import functools
import logging
from typing import IO

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.failures import alike, log_of
from kfp_bayesopt.folder.jobs import Job
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.steps import EVALUATE
from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.attempt import run_trial
from kfp_bayesopt.trial.interrupts import stopped_with, uninterrupted
from kfp_bayesopt.trial.process.interpreters import code_folder
from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError

logger = logging.getLogger(EVALUATE.name)


def evaluate(root: str, study_uri: str, job: str | None, trial: int, echo: IO[bytes] | None = None) -> Outputs:
    """Evaluate one trial of a study and write its record, and return what it has given.

    Args:
        root: The study folder.
        study_uri: The study file.
        job: The job; by hand there is none.
        trial: Number of the trial.
        echo: Where what the objective prints is copied to.

    Raises:
        UserError: By hand, a mistake; in a job, only what a retry may mend.
    """
    with jobs.mistakes_end(root, job, EVALUATE.name):
        if jobs.has_ended(root, job, EVALUATE.name):
            return Outputs()
        try:
            record = _run(root, study_uri, job, trial, echo)
        except StoppedError:  # because its job has failed; a request to stop ends the process instead
            jobs.has_ended(root, job, EVALUATE.name)
            return Outputs()
        # In a job, `update` finds it and ends the job.
        if job is None and record is not None and record.reason is not None and record.reason.kind == "mistake":
            raise UserError(record.reason.message)
        return Outputs.of_record(record)
    return Outputs()


def _run(root: str, study_uri: str, job: str | None, trial: int, echo: IO[bytes] | None) -> Record | None:
    study = Study.from_file(study_uri)
    found = jobs.read_job(root, job) if job else None
    folder = code_folder(root, study_uri)
    study_folder = StudyFolder(root, study)
    with Sessions() as sessions, stopped_with(root, job, sessions):
        run = functools.partial(run_trial, study_folder, trial, folder, sessions, found, echo=echo)
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
