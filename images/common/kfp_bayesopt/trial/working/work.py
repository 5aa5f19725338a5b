"""The work of the step `worker`: evaluate one trial of a study after another, beside other workers."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import IO

from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.steps import WORKER
from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.study.study_file import read_study
from kfp_bayesopt.trial.interrupts import stopped_with, uninterrupted
from kfp_bayesopt.trial.process.interpreters import code_folder
from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError


def work(
    root: str,
    study_uri: str,
    job: str | None,
    worker: int | None,
    echo: IO[bytes] | None = None,
    folder: Path | None = None,
) -> Outputs:
    """Work on a study as one of its workers, until its budget is claimed or it ends; return what it has done.

    Args:
        root: The study folder.
        study_uri: The study file.
        job: The job; by hand, a new one.
        worker: Which of its workers it is, from 1, if any.
        echo: Where what the objective prints is copied to.
        folder: Where the objective runs; by default where the study file says.

    Raises:
        UserError: By hand, a mistake; in a job, only what a retry may mend.
    """
    folder = folder or code_folder(root, study_uri)
    with jobs.mistakes_end(root, job, WORKER.name):
        if jobs.has_ended(root, job, WORKER.name):
            return Outputs()
        content = read_study(study_uri)
        study_folder = StudyFolder(root, Study.from_text(content, study_uri))
        if job is None:
            study_uri = study_folder.write_study(content)
        found = jobs.ensure_job(study_folder, job or f"by-hand-{secrets.token_hex(4)}", study_uri)

        from kfp_bayesopt.trial.working.worker import (
            Worker,  # after the input was found good: it takes a second to import
        )

        done: list[Record] = []
        try:
            with Sessions() as sessions, stopped_with(root, found.job, sessions):
                loop = Worker(study_folder, found, worker, folder, sessions, echo=echo)
                done = loop.done
                try:
                    uninterrupted(loop.run, loop.stop)
                except (SystemExit, KeyboardInterrupt):
                    loop.leave()
                    raise
        except StoppedError:  # its job has failed; a request to stop ends the process instead
            jobs.has_ended(root, found.job, WORKER.name)
        finally:
            if job is None:  # nobody else would, and a job that has not ended keeps others out
                jobs.end(root, found.job, "succeeded", None, WORKER.name)
        return Outputs.of_worker(study_folder.study, done)
    return Outputs()
