"""The step `worker`: evaluates one trial of a study after another, beside others that do the same."""

import logging
import sys

import click

from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.steps.options import Numeral, with_folder
from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt.trial.interrupts import exit_when_told
from kfp_bayesopt.trial.working.work import work


@click.command(cls=Command)
@with_folder
@click.option(
    "--worker",
    type=Numeral(min=1),
    help="Number among the workers; a restarted worker finishes the trial of its number.",
)
def main(root: str, study_uri: str, job: str | None, worker: int | None) -> Outputs:
    """Evaluate trials of a study until its budget is claimed or it ends.

    Any number of workers may run at the same time, on any machines, and each may be killed at any moment. Another
    worker takes over an unfinished trial. Every path is a gs:// URI or a local path.

    \b
    Example:
      /opt/bayesopt/bin/worker --root out/branin --study studies/branin.yaml --job by-hand --worker 1
    """  # noqa: D301 - click wants the character \b
    return work(root, study_uri, job, worker, sys.stdout.buffer)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    exit_when_told()
    main()
