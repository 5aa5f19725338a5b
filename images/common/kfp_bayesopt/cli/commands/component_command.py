"""The command that writes a component: tuning as a step of somebody's pipeline.

What a command needs is imported in its body, so that `--help` waits for nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.cli.options.study_options import study_of, with_images
from kfp_bayesopt.cli.options.target_options import with_target
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.store import storage

if TYPE_CHECKING:  # `--help` waits for nothing
    from kfp_bayesopt.cli.options.target_options import Choice


@click.command(cls=Command)
@click.argument("study", required=False, shell_complete=path_options.files)
@click.option(
    "--image", help="Image of what evaluates trials.  [default: it comes with each run; with STUDY, that of --images]"
)
@with_images
@click.option("--data-artifact", is_flag=True, help="The data come as an artifact, which is required then.")
@click.option(
    *("--output", "--out"),
    "output",
    type=path_options.path,
    help="File to write.  [default: tune.yaml, with STUDY out/NAME/component.yaml]",
)
@with_target
def component(
    study: str | None, image: str | None, images: Path | None, data_artifact: bool, output: Path | None, chosen: Choice
) -> None:
    """Write a component: tuning as a step of a pipeline.

    Without STUDY it is for every study, whose text, image, data and folder come with the run; with an image, KFP's
    engine on this machine runs it too. With STUDY it is for that one, and keeps what is decided when a pipeline is
    compiled: machines, batches, pods, secrets, the images by their digests. kfp.components.load_component_from_file
    loads it, and kfp_bayesopt_pipeline.tune takes the right one by itself.

    \b
    Example:
      bayesopt component --output tune.yaml
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt import workspace
    from kfp_bayesopt.cli.options.meant import study_file
    from kfp_bayesopt.session.code import check_image
    from kfp_bayesopt_pipeline.tuning.component import text_of
    from kfp_bayesopt_pipeline.tuning.forms import Form
    from kfp_bayesopt_pipeline.tuning.own import images_for, own_of

    if study is None:
        form = Form(image and check_image(image, "--image"), data_artifact)
        written = output or Path("tune.yaml")
    else:
        file = study_file(study)
        loaded, content = study_of(file)
        assert chosen.pipeline_root is not None  # it is well formed
        found = images_for(loaded, file, image, images)
        form = Form(data=data_artifact, own=own_of(loaded, file, content, found, chosen.name, chosen.settings))
        written = output or workspace.out(loaded.name, "component.yaml")
    storage.replace(str(written), text_of(form).encode())
    click.echo(written)
