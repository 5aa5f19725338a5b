"""The step `worker`: evaluates one trial of a study after another, beside others that do the same."""

import logging
import secrets
import signal
import sys
from pathlib import Path

import click

from bayesopt import jobs
from bayesopt.command import with_folder
from bayesopt.folder import StudyFolder
from bayesopt.study_file import load_study, read_study
from images.evaluate.interpreters import code_folder
from images.evaluate.sessions import Sessions, StoppedError
from images.evaluate.stopping import stopped_with

logger = logging.getLogger("worker")


@click.command()
@with_folder
@click.option("--worker", "place", help="Which of the workers of its job it is; one that has none finishes nothing.")
@click.option("--code", type=click.Path(path_type=Path), help="Where the objective runs.  [default: as of `evaluate`]")
@click.option("--quiet", is_flag=True, help="Only warnings; what the objective prints is in its log.")
def main(root: str, study_uri: str, job: str | None, place: str | None, code: Path | None, quiet: bool) -> None:
    """Evaluate trials of a study until its budget is claimed or it ends.

    Any number of workers may do so at the same time, on any machines, and each may be killed at any moment. What a
    worker leaves unfinished, another one takes. Every path is a gs:// URI or a local path.

    \b
    Example:
      /opt/bayesopt/bin/worker --root out/branin --study studies/branin.yaml --job by-hand --worker 1
    """  # noqa: D301 - click wants the character \b
    if quiet:
        logging.getLogger().setLevel(logging.WARNING)
    with jobs.mistakes_end(root, job, "worker"):
        if jobs.has_ended(root, job, "worker"):
            return
        study = load_study(study_uri)
        folder = StudyFolder(root, study)
        if job is None:
            found = jobs.ensure_job(
                folder, f"by-hand-{secrets.token_hex(4)}", folder.write_study(read_study(study_uri))
            )
        else:
            found = jobs.ensure_job(folder, job, study_uri)

        from images.worker.loop import Worker  # after the input was found good: it takes a second to import

        with Sessions() as sessions, stopped_with(root, found.job, sessions):
            echo = None if quiet else sys.stdout.buffer
            worker = Worker(folder, found, place, code or code_folder(root, study_uri), sessions, echo=echo)
            try:
                worker.run()
            except StoppedError:  # its job has failed; a request to stop ends the process instead
                return


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # A polite request to stop must stop the objective too, which runs in a session of its own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
