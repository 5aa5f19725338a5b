"""The step `update`: learns the trials of a batch and proposes the next one."""

import logging

import click

from kfp_bayesopt.proposing.update import update
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.steps.options import with_folder
from kfp_bayesopt.steps.outputs import Outputs


@click.command(cls=Command)
@with_folder
@click.option("--after", required=True, type=click.IntRange(min=1), help="Number of the last trial of the batch.")
def main(root: str, study_uri: str, job: str | None, after: int) -> Outputs:
    """Learn from the trials of a batch and propose the next one.

    Existing files of the folder stay. Every path is a gs:// URI or a local path.

    \b
    Example:
      /opt/bayesopt/bin/update --root out/branin --study studies/branin.yaml --after 4
    """  # noqa: D301 - click wants the character \b
    return update(root, study_uri, job, after)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    main()
