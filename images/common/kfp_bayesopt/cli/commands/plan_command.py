"""The command that says what a study takes, in hours and money: `plan`.

What it needs is imported in its body, so that `--help` waits for nothing.
"""

from __future__ import annotations

from pathlib import Path

import click

from kfp_bayesopt.cli.commands.folder_commands import with_pipeline_root
from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.cli.options.output_options import Answer, with_answer
from kfp_bayesopt.cli.options.path_options import with_root
from kfp_bayesopt.cli.options.study_options import study_of, with_study
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt_pipeline.places import SERVICES, load_place

PLANNED = {**{name: name for name in SERVICES}, "here": "in-process"}
"""The places that a plan can be of, by what a person calls them."""


@click.command(cls=Command)
@with_study()
@click.option(
    "--target",
    type=click.Choice(list(PLANNED)),
    default="vertex",
    show_default=True,
    help="Target of the study.",
)
@click.option(
    "--trial-minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Duration of a typical trial.  [default: by the records]",
)
@click.option("--prices", type=path_options.path, help="File of prices.  [default: the nearest prices.yaml]")
@with_answer(
    study="The name of the study.",
    trials="The budget.",
    done="How many trials have ended.",
    at_once="How many run at the same time.",
    trial_seconds="How long a typical trial takes.",
    known_by="What that is known by.",
    currency="That of the costs; null where nothing has a price.",
    ways="A list: schedule, spot, asked (by the study); seconds, machine_seconds, cost (or null), each from and to.",
    assumed="What else was assumed: a list.",
)
@with_root()
@with_pipeline_root
def plan(
    study: str,
    target: str,
    trial_minutes: float | None,
    prices: Path | None,
    root: str | None,
    pipeline_root: str,
    answer: Answer,
) -> None:
    """Estimate the hours and the cost of a study.

    The estimate is for both schedules, on demand and on spot machines. The duration of a trial is given, or taken from
    existing records; ended trials count as they were.

    \b
    Example:
      bayesopt plan my-study --trial-minutes 5
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.folder.roots import chosen_folder
    from kfp_bayesopt.folder.study_folder import StudyFolder
    from kfp_bayesopt_pipeline.plan.plan import facts, lines
    from kfp_bayesopt_pipeline.plan.prices import read_prices

    loaded, _ = study_of(study)
    folder = StudyFolder(chosen_folder(loaded, root, pipeline_root), loaded)
    asked = (loaded, trial_minutes, read_prices(prices), load_place(PLANNED[target]), folder)
    if answer.as_json:
        answer.give(**facts(*asked))
        return
    for line in lines(*asked):
        answer.say(line)
