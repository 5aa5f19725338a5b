"""The command line: the group, and the one list of its commands."""

from __future__ import annotations

import logging

import click

from kfp_bayesopt.cli.commands.building_commands import BUILDING_COMMANDS
from kfp_bayesopt.cli.commands.convert_command import convert
from kfp_bayesopt.cli.commands.folder_commands import FOLDER_COMMANDS
from kfp_bayesopt.cli.commands.job_commands import JOB_COMMANDS
from kfp_bayesopt.cli.commands.pipeline_commands import PIPELINE_COMMANDS
from kfp_bayesopt.cli.commands.report_commands import REPORT_COMMANDS
from kfp_bayesopt.cli.commands.run_commands import RUN_COMMANDS
from kfp_bayesopt.cli.commands.trial_commands import TRIAL_COMMANDS
from kfp_bayesopt.steps.command import Group
from kfp_bayesopt_pipeline.places.settings import load_env

COMMANDS = (
    *RUN_COMMANDS,
    *JOB_COMMANDS,
    *FOLDER_COMMANDS,
    *TRIAL_COMMANDS,
    *REPORT_COMMANDS,
    *BUILDING_COMMANDS,
    *PIPELINE_COMMANDS,
    convert,
)


@click.group(cls=Group, commands=COMMANDS)
def cli() -> None:
    """Parallel Bayesian hyperparameter optimisation, from a study file.

    \b
    Example:
      python -m pipeline run studies/branin.yaml
    """  # noqa: D301 - click wants the character \b
    load_env(warn=lambda text: click.echo(f"Warning: {text}", err=True))


def main() -> None:
    """Run the command that the arguments of this process name."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    cli(prog_name="python -m pipeline")
