"""The commands that run a study on this machine: run, run-kfp, compose, compose-file.

What a command needs is imported in its body, so that `--help` waits for nothing.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kfp_bayesopt import extras, workspace
from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.cli.options.output_options import with_json
from kfp_bayesopt.cli.options.path_options import with_root
from kfp_bayesopt.cli.options.study_options import study_of, with_data, with_going_on, with_images, with_study
from kfp_bayesopt.cli.renamed import say_renamed
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.store import storage

if TYPE_CHECKING:  # `--help` waits for nothing
    from kfp_bayesopt.session.opening import GoingOn


@click.command(cls=Command)
@with_study()
@with_root("out/NAME")
@click.option("--jobs", "workers", type=click.IntRange(min=1), help="Trials at the same time.  [default: one a core]")
@with_going_on(can_join=True)
@with_data
@click.option("--watch", is_flag=True, help="Serve the report meanwhile; the address is printed.")
@with_json
def run(
    study: str,
    root: str | None,
    workers: int | None,
    going_on: GoingOn,
    data: str,
    watch: bool,
    as_json: bool,
) -> None:
    """Run a study on this machine, trials in parallel processes.

    A study that was stopped, here or elsewhere, continues.

    \b
    Example:
      bayesopt run my-study
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.cli.views import view_for
    from kfp_bayesopt.trial.interrupts import exit_when_told
    from kfp_bayesopt_pipeline.places import in_process

    exit_when_told()
    try:
        options = in_process.Options(**asdict(going_on), watch=watch, data=data)
        in_process.run(study, root, workers, options, view_for(as_json))
    except KeyboardInterrupt:
        sys.exit(130)


@click.command("run-kfp", cls=Command)
@with_study()
@with_images
@click.option("--compiled", type=path_options.path, help="A pipeline written by `compile`, to run as it is.")
@with_root("out/NAME", bucket=False)
@with_going_on()
@with_data
@with_json
def run_kfp(
    study: str,
    images: Path | None,
    compiled: Path | None,
    root: Path | None,
    going_on: GoingOn,
    data: str,
    as_json: bool,
) -> None:
    """Run the pipeline of a study here, by KFP's own engine.

    Its steps run in containers. A study that was stopped, here or elsewhere, continues.

    \b
    Example:
      bayesopt run-kfp my-study
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.cli.views import note, view_for

    with extras.needed_by("KFP's engine", "kfp"):
        from kfp_bayesopt_pipeline.places import kfp_local
    kfp_local.run_study(study, images, compiled, root, going_on, data, view_for(as_json), note)


@click.command(cls=Command)
@with_study()
@click.option("--images", type=path_options.path, help="File with the image of each step.")
@with_root("out/NAME-compose", bucket=False)
@with_data
def compose(study: str, images: Path | None, root: Path | None, data: str) -> None:
    """Run a study in containers on this machine.

    They share a fake Cloud Storage, and the study folder is copied from it to this machine.

    \b
    Example:
      bayesopt compose my-study
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.session.summary import summary
    from kfp_bayesopt_pipeline.images import load_images_of
    from kfp_bayesopt_pipeline.places.compose import run

    if root is not None and root.suffix in (".yml", ".yaml"):
        say_renamed("compose --out FILE", "compose-file --out FILE")
        _write_compose_file(study, root)
        return
    loaded, _ = study_of(study)
    target = root or workspace.out(f"{loaded.name}-compose")
    best = run(loaded, Path(study).resolve(), load_images_of(loaded, study, images), target, data)
    click.echo(f"\n{summary(best)}\nresults in {target}")


@click.command("compose-file", cls=Command)
@with_study()
@click.option("--out", type=path_options.path, required=True, help="Compose file to write.")
def compose_file(study: str, out: Path) -> None:
    """Write the compose file that runs a study.

    It runs in containers, against a fake Cloud Storage.

    \b
    Example:
      bayesopt compose-file studies/branin.yaml --out docker-compose.test.yml
    """  # noqa: D301 - click wants the character \b
    _write_compose_file(study, out)


def _write_compose_file(study: str, out: Path) -> None:
    from kfp_bayesopt_pipeline.places import compose as place

    storage.replace(str(out), place.compose_file(Path(study)).encode())
