"""The step `worker`: evaluates one trial of a study after another, beside others that do the same."""

import logging
import secrets
import sys
from pathlib import Path
from typing import IO

import click

from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.steps.options import with_folder
from kfp_bayesopt.study.study_file import load_study, read_study
from kfp_bayesopt.trial.interrupts import exit_when_told, stopped_with, uninterrupted
from kfp_bayesopt.trial.process.interpreters import code_folder
from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError


@click.command()
@with_folder
@click.option(
    "--worker", "place", type=click.IntRange(min=1), help="Which of the workers it is: one without finishes no other's."
)
def main(root: str, study_uri: str, job: str | None, place: int | None) -> None:
    """Evaluate trials of a study until its budget is claimed or it ends.

    Any number of workers may do so at the same time, on any machines, and each may be killed at any moment. What a
    worker leaves unfinished, another one takes. Every path is a gs:// URI or a local path.

    \b
    Example:
      /opt/bayesopt/bin/worker --root out/branin --study studies/branin.yaml --job by-hand --worker 1
    """  # noqa: D301 - click wants the character \b
    work(root, study_uri, job, place, code_folder(root, study_uri), sys.stdout.buffer)


def work(
    root: str, study_uri: str, job: str | None, place: int | None, folder: Path, echo: IO[bytes] | None = None
) -> None:
    """Work on a study as one of its workers.

    Args:
        root: The study folder.
        study_uri: The study file.
        job: The job; by hand, a new one.
        place: Which of its workers it is, from 1, if any.
        folder: Where the objective runs.
        echo: Where what the objective prints is copied to.

    Raises:
        UserError: By hand, a mistake; in a job, only what a retry may mend.
    """
    with jobs.mistakes_end(root, job, "worker"):
        if jobs.has_ended(root, job, "worker"):
            return
        study_folder = StudyFolder(root, load_study(study_uri))
        if job is None:
            study_uri = study_folder.write_study(read_study(study_uri))
        found = jobs.ensure_job(study_folder, job or f"by-hand-{secrets.token_hex(4)}", study_uri)

        from kfp_bayesopt.trial.worker import Worker  # after the input was found good: it takes a second to import

        try:
            with Sessions() as sessions, stopped_with(root, found.job, sessions):
                worker = Worker(study_folder, found, place, folder, sessions, echo=echo)
                try:
                    uninterrupted(worker.run, worker.stop)
                except (SystemExit, KeyboardInterrupt):
                    worker.leave()
                    raise
        except StoppedError:  # its job has failed; a request to stop ends the process instead
            return
        finally:
            if job is None:  # nobody else would, and a job that has not ended keeps others out
                jobs.end(root, found.job, "succeeded", None, "worker")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    exit_when_told()
    main()
