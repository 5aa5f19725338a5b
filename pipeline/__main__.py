"""The command line: `python -m pipeline COMMAND`. The Makefile calls it."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import click

from bayesopt import storage
from pipeline import ROOT, path_options
from pipeline.commands import COMMANDS
from pipeline.path_options import with_root
from pipeline.study_argument import with_study
from pipeline.targets.settings import load_env
from pipeline.views import view_for, with_json


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

    A study that was stopped, here or elsewhere, goes on from where it was.

    \b
    Example:
      python -m pipeline run studies/branin.yaml --out out/branin
    """  # noqa: D301 - click wants the character \b
    from images.evaluate.stopping import exit_when_told
    from pipeline import local  # it imports the steps, which `--help` need not wait for

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
    from pipeline.compose import compose_file

    storage.replace(str(out), compose_file(Path(study)).encode())


@cli.command()
@click.option("--out", type=path_options.path, default=ROOT / "docs" / "study.schema.json", help="File to write.")
def schema(out: Path) -> None:
    """Write the JSON Schema of the study file, for editors.

    \b
    Example:
      python -m pipeline schema --out docs/study.schema.json
    """  # noqa: D301 - click wants the character \b
    from bayesopt.study import Study

    storage.replace(str(out), (json.dumps(Study.model_json_schema(), indent=2) + "\n").encode())


@cli.command(hidden=True)
@click.option("--out", type=path_options.path, default=ROOT / "docs", help="Folder of the pages.")
def reference(out: Path) -> None:
    """Write the pages that follow from code: the commands, and the keys of the study file.

    \b
    Example:
      python -m pipeline reference --out docs
    """  # noqa: D301 - click wants the character \b
    from pipeline.reference import commands_page, study_page

    storage.replace(str(out / "commands.md"), commands_page(cli).encode())
    storage.replace(str(out / "study-reference.md"), study_page().encode())


for command in COMMANDS:
    cli.add_command(command)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    cli(prog_name="python -m pipeline")
