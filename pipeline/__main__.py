"""The command line: `python -m pipeline COMMAND`. The Makefile calls it."""

from __future__ import annotations

import json
import logging
import signal
import sys
from pathlib import Path

import click

from pipeline import ROOT


@click.group()
def cli() -> None:
    """Parallel Bayesian hyperparameter optimisation, from a study file."""


@cli.command()
@click.argument("study")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the results.  [default: out/STUDY NAME]")
@click.option("--jobs", type=click.IntRange(min=1), help="Trials at the same time.  [default: one for each core]")
@click.option("--fresh", is_flag=True, help="Start anew; what the folder holds is moved aside.")
def run(study: str, out: Path | None, jobs: int | None, fresh: bool) -> None:
    """Run a study on this machine, trials in parallel processes.

    A run that was stopped goes on where it was.

    \b
    Example:
      python -m pipeline run studies/branin.yaml --out out/branin
    """  # noqa: D301 - click wants the character \b
    from pipeline import local  # it imports the steps, which `--help` need not wait for

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        best = local.run(study, out, jobs, fresh)
    except KeyboardInterrupt:
        sys.exit(130)
    if best.value is None:
        raise click.ClickException(f"no trial has completed, {best.failed} have failed; their errors are shown above")
    click.echo(f"\nbest value {best.value!r}")
    for name, value in (best.parameters or {}).items():
        click.echo(f"  {name} = {json.dumps(value)}")
    click.echo(f"in trial {best.trial}, iteration {best.iteration}; {best.completed} completed, {best.failed} failed")


@cli.command()
@click.argument("study")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Compose file to write.")
def compose(study: str, out: Path) -> None:
    """Write the compose file that runs a study in containers against a fake Cloud Storage.

    \b
    Example:
      python -m pipeline compose studies/branin.yaml --out docker-compose.test.yml
    """  # noqa: D301 - click wants the character \b
    from pipeline.compose import compose_file

    out.write_text(compose_file(Path(study)))


@cli.command()
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs" / "study.schema.json", help="To write.")
def schema(out: Path) -> None:
    """Write the JSON Schema of the study file, for editors."""
    from bayesopt.study import Study

    out.write_text(json.dumps(Study.model_json_schema(), indent=2) + "\n")


@cli.command()
@click.option("--registry", required=True, help="Where the images are: HOST/PROJECT/REPOSITORY.")
@click.option("--tag", required=True, help="Their tag.")
@click.option("--pushed", is_flag=True, help="Name them by the digests that they got when they were pushed.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
def images(registry: str, tag: str, pushed: bool, out: Path) -> None:
    r"""Write which image each step runs.

    \b
    Example:
      python -m pipeline images --registry 127.0.0.1:5000/bayesopt --tag 1.0 --pushed --out out/images.json
    """
    from pipeline.cloud.images import write_images

    for image in write_images(out, registry, tag, pushed).values():
        click.echo(image)


@cli.command("compile")
@click.argument("study")
@click.option("--images", type=click.Path(path_type=Path), required=True, help="File that `images` has written.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Pipeline to write, as YAML.")
def compile_(study: str, images: Path, out: Path) -> None:
    r"""Compile the pipeline of a study for Kubeflow and Vertex.

    \b
    Example:
      python -m pipeline compile studies/branin.yaml --images out/images.json --out out/branin/pipeline.yaml
    """
    from bayesopt import storage
    from bayesopt.study import load_study

    loaded = load_study(study)
    from pipeline.cloud.compile import compile_study  # after the study was found good: it takes seconds to import
    from pipeline.cloud.images import load_images

    storage.write(str(out), compile_study(loaded, load_images(images)).encode())
    click.echo(f"{out}: {loaded.iterations} iterations of {loaded.parallel_trials} trials")


@cli.command("run-kfp")
@click.argument("study")
@click.option("--compiled", type=click.Path(path_type=Path), required=True, help="Pipeline that `compile` has written.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the results.")
@click.option("--cache/--no-cache", default=True, help="Take outputs of an earlier run with the same inputs.")
def run_kfp(study: str, compiled: Path, out: Path, cache: bool) -> None:
    r"""Run a compiled pipeline on this machine with KFP's own engine, in containers.

    \b
    Example:
      python -m pipeline run-kfp studies/branin.yaml --compiled out/branin/pipeline.yaml --out out/branin-kfp
    """
    from pipeline.cloud import local_engine

    outputs = local_engine.run(compiled, Path(study), out, cache)
    click.echo(f"\nbest value {outputs['best_value']}")
    for name, value in outputs["best_parameters"].items():
        click.echo(f"  {name} = {json.dumps(value)}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    cli(prog_name="python -m pipeline")
