"""The command `plan`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from kfp_bayesopt.cli import path_options
from kfp_bayesopt.cli.folder_commands import chosen_folder, study_of, with_pipeline_root
from kfp_bayesopt.cli.path_options import with_root
from kfp_bayesopt.cli.study_argument import with_study
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt_pipeline.plan.plan import Where, lines
from kfp_bayesopt_pipeline.plan.prices import FILE, read_prices


@click.command()
@with_study()
@click.option(
    "--target", type=click.Choice(["vertex", "kfp", "here"]), default="vertex", show_default=True, help="Where it runs."
)
@click.option(
    "--trial-minutes", type=click.FloatRange(min=0, min_open=True), help="Of a usual trial.  [default: by the records]"
)
@click.option("--prices", type=path_options.path, default=FILE, help="File of prices.")
@with_root()
@with_pipeline_root
def plan(
    study: str,
    target: str,
    trial_minutes: float | None,
    prices: Path,
    root: str | None,
    pipeline_root: str,
) -> None:
    """Estimate the hours and the cost of a study, for both schedules, on demand and on spot machines.

    The duration of a trial is given, or taken from existing records; ended trials count as they were.

    \b
    Example:
      python -m pipeline plan studies/branin.yaml --trial-minutes 5
    """  # noqa: D301 - click wants the character \b
    loaded, _ = study_of(study)
    folder = StudyFolder(chosen_folder(loaded, root, pipeline_root), loaded)
    for line in lines(loaded, trial_minutes, read_prices(prices), cast(Where, target), folder):
        click.echo(line)
