"""The command line: all commands, and those without a module of their own."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import click

from kfp_bayesopt.cli import path_options
from kfp_bayesopt.cli.cloud_commands import COMMANDS
from kfp_bayesopt.cli.path_options import with_root
from kfp_bayesopt.cli.study_argument import with_study
from kfp_bayesopt.cli.views import view_for, with_json
from kfp_bayesopt.store import storage
from kfp_bayesopt_pipeline import ROOT
from kfp_bayesopt_pipeline.places.settings import load_env


@click.group()
def cli() -> None:
    """Parallel Bayesian hyperparameter optimisation, from a study file.

    \b
    Example:
      python -m pipeline run studies/branin.yaml
    """  # noqa: D301 - click wants the character \b
    load_env()


@cli.command()
@with_study()
@with_root("out/NAME")
@click.option("--jobs", "workers", type=click.IntRange(min=1), help="Trials at the same time.  [default: one a core]")
@click.option("--fresh", is_flag=True, help="Start over; what the folder holds is moved aside.")
@click.option(
    "--keep", is_flag=True, help="The study was changed: start over, with the trials that still tell something."
)
@click.option("--same-code", is_flag=True, help="Go on although the code has changed; it gives what it gave.")
@click.option("--retry-failed", is_flag=True, help="Evaluate failed trials again.")
@click.option("--ended", metavar="JOB", help="A job that has ended without a word, so that this one may go on.")
@click.option("--join", is_flag=True, help="Add workers to an asynchronous study that runs.")
@click.option("--watch", is_flag=True, help="Serve the report meanwhile; the address is printed.")
@with_json
def run(
    study: str,
    root: str | None,
    workers: int | None,
    fresh: bool,
    keep: bool,
    same_code: bool,
    retry_failed: bool,
    ended: str | None,
    join: bool,
    watch: bool,
    as_json: bool,
) -> None:
    """Run a study on this machine, trials in parallel processes.

    A study that was stopped, here or elsewhere, continues.

    \b
    Example:
      python -m pipeline run studies/branin.yaml --out out/branin
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.trial.interrupts import exit_when_told
    from kfp_bayesopt_pipeline.places import (
        in_process as local,  # it imports the steps, which `--help` need not wait for
    )

    exit_when_told()
    try:
        options = local.Options(
            fresh=fresh, keep=keep, same_code=same_code, retry_failed=retry_failed, ended=ended, join=join, watch=watch
        )
        local.run(study, root, workers, options, view_for(as_json))
    except KeyboardInterrupt:
        sys.exit(130)


@cli.command()
@with_study()
@click.option("--out", type=path_options.path, required=True, help="Compose file to write.")
def compose(study: str, out: Path) -> None:
    """Write the compose file that runs a study in containers against a fake Cloud Storage.

    \b
    Example:
      python -m pipeline compose studies/branin.yaml --out docker-compose.test.yml
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt_pipeline.places.compose import compose_file

    storage.replace(str(out), compose_file(Path(study)).encode())


@cli.command()
@click.option("--out", type=path_options.path, default=ROOT / "docs" / "study.schema.json", help="File to write.")
def schema(out: Path) -> None:
    """Write the JSON Schema of the study file, for editors.

    \b
    Example:
      python -m pipeline schema --out docs/study.schema.json
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.study.study import Study

    storage.replace(str(out), (json.dumps(Study.model_json_schema(), indent=2) + "\n").encode())


@cli.command(hidden=True)
@click.option("--out", type=path_options.path, default=ROOT / "docs", help="Folder of the pages.")
def reference(out: Path) -> None:
    """Write the pages generated from code: the commands, and the keys of the study file.

    \b
    Example:
      python -m pipeline reference --out docs
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.cli.reference import commands_page, study_page

    storage.replace(str(out / "commands.md"), commands_page(cli).encode())
    storage.replace(str(out / "study-reference.md"), study_page().encode())


for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Run the command that the arguments of this process name."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    cli(prog_name="python -m pipeline")
