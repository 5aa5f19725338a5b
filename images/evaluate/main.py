"""The step `evaluate`: evaluates one trial and writes its record."""

import logging
import sys

import click

from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.steps.options import with_folder
from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt.trial.evaluate import evaluate
from kfp_bayesopt.trial.interrupts import exit_when_told


@click.command(cls=Command)
@with_folder
@click.option("--trial", required=True, type=click.IntRange(min=1), help="Number of the trial.")
def main(root: str, study_uri: str, job: str | None, trial: int) -> Outputs:
    """Evaluate one trial of a study and write its record.

    A recorded trial is not evaluated again, and a trial without a suggestion is skipped. A failed trial is a record
    too, and the exit status is 0. Every path is a gs:// URI or a local path.

    \b
    Example:
      /opt/bayesopt/bin/evaluate --root out/branin --study studies/branin.yaml --trial 1
    """  # noqa: D301 - click wants the character \b
    return evaluate(root, study_uri, job, trial, sys.stdout.buffer)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    exit_when_told()
    main()
