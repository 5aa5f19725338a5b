"""The commands that write what is run: images, compile; and what `make generate` writes.

What a command needs is imported in its body, so that `--help` waits for nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.cli.options.study_options import study_of, with_images, with_study
from kfp_bayesopt.cli.options.target_options import with_root_of_target, with_target
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.store import storage

if TYPE_CHECKING:  # `--help` waits for nothing
    from kfp_bayesopt.cli.options.target_options import Choice


@click.command(cls=Command)
@click.option("--registry", required=True, help="Repository of the images: HOST/PROJECT/REPOSITORY.")
@click.option("--tag", required=True, help="Their tag.")
@click.option("--pushed", is_flag=True, help="Name them by the digests of their push.")
@click.option("--out", type=path_options.path, required=True, help="File to write.")
def images(registry: str, tag: str, pushed: bool, out: Path) -> None:
    """Write the file that names the image of each step.

    \b
    Example:
      bayesopt images --registry 127.0.0.1:5000/bayesopt \\
        --tag 1.0 --pushed --out out/images.json
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt_pipeline.images import note_images, step_images

    made = step_images(registry, tag, pushed)
    note_images(out, made)
    for image in made.values():
        click.echo(image)


@click.command("image-tag", cls=Command)
@click.option("--stage", is_flag=True, help="Print the stage of the Dockerfiles instead that is built.")
@with_root_of_target
def image_tag(stage: bool, chosen: Choice) -> None:
    """Print the tag that the images of steps get.

    It is the version, with a digest of what they are built from, and what is added for where study folders are.

    \b
    Example:
      bayesopt image-tag >tag.txt
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.store.stores import layer_of
    from kfp_bayesopt_pipeline.building.step_context import read_step_context
    from kfp_bayesopt_pipeline.building.step_images import PLAIN, tag_of

    layer = layer_of(chosen.pipeline_root)
    click.echo(layer or PLAIN if stage else tag_of(read_step_context(), layer))


@click.command("compile", cls=Command)
@with_study()
@with_images
@click.option("--out", type=path_options.path, help="Pipeline to write.  [default: out/NAME/pipeline.yaml]")
@with_target
def compile_(study: str, images: Path | None, out: Path | None, chosen: Choice) -> None:
    """Compile the pipeline of a study, for Vertex or a KFP cluster.

    By default it is written to out/NAME, for the name in the study file. For a cluster it says how pods reach the
    store, and what the study says of them.

    \b
    Example:
      bayesopt compile my-study
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.cli.views import note
    from kfp_bayesopt.study.schedules import SCHEDULES
    from kfp_bayesopt_pipeline import pipeline_file
    from kfp_bayesopt_pipeline.places import load_service
    from kfp_bayesopt_pipeline.preflight.runtimes import images_that_run

    loaded, content = study_of(study)
    cluster = chosen.settings.cluster(chosen.pipeline_root)
    found = images_that_run(loaded, study, images)
    pipeline = pipeline_file.compiled(loaded, content, found, note, load_service(chosen.name).ends_task, cluster)
    written = pipeline_file.write(loaded, pipeline, out)
    click.echo(f"{written}: {SCHEDULES[loaded.schedule].shape(loaded)}")


@click.command(cls=Command)
@click.option("--out", type=path_options.path, default="docs/study.schema.json", help="File to write.")
def schema(out: Path) -> None:
    """Write the JSON Schema of the study file, for editors.

    \b
    Example:
      bayesopt schema --out docs/study.schema.json
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.study.study import Study

    storage.replace(str(out), (json.dumps(Study.model_json_schema(), indent=2) + "\n").encode())


@click.command(cls=Command)
@click.option("--out", type=path_options.path, default="docs", help="Folder of the pages.")
@click.pass_context
def reference(context: click.Context, out: Path) -> None:
    """Write the pages generated from code.

    They are those of the commands, of the keys of the study file and of the Python interface.

    \b
    Example:
      bayesopt reference --out docs
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt.cli.group import Listing
    from kfp_bayesopt.cli.reference import commands_page, python_page, study_page

    group = context.find_root().command
    assert isinstance(group, Listing)
    storage.replace(str(out / "commands.md"), commands_page(group).encode())
    storage.replace(str(out / "study-reference.md"), study_page().encode())
    storage.replace(str(out / "python-reference.md"), python_page().encode())


@click.command(cls=Command)
@click.option("--out", type=path_options.path, default="cloudbuild.yaml", help="File to write.")
def cloudbuild(out: Path) -> None:
    """Write the file by which Cloud Build makes the images.

    \b
    Example:
      bayesopt cloudbuild --out cloudbuild.yaml
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt_pipeline.cloudbuild import cloudbuild_file

    storage.replace(str(out), cloudbuild_file().encode())
