"""The commands from a folder to an image: new, check, image, stage."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import click

from kfp_bayesopt import hints
from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.cli.options.study_options import study_of, with_study
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.steps import trial_step
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.store import storage


@click.command(cls=Command)
@click.argument("name")
@click.option("--into", type=path_options.path, default=Path(), help="Parent folder.  [default: the working folder]")
def new(name: str, into: Path) -> None:
    """Make a folder with a study and a training script.

    It has the requirements of the script too, and is ready to run.

    \b
    Example:
      bayesopt new my-study
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt_pipeline.building.new import write_new

    folder = write_new(name, into)
    tried, whole = hints.CHECK_STUDY(folder=folder), hints.RUN_STUDY(folder=folder)
    click.echo(f"{folder}: put your code into train.py, then `{tried}` and `{whole}`")


@click.command(cls=Command)
@with_study()
@click.option(
    "--in",
    "image",
    metavar="IMAGE",
    help="Run it in a container of this image; `image` is the study's own.  [default: in process]",
)
def check(study: str, image: str | None) -> None:
    """Run one trial, and show its output, value and seconds.

    It is in the middle of the search space. Its metrics are shown, too.

    \b
    Example:
      bayesopt check studies/branin.yaml
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt_pipeline.building.check import check_here, check_in, note_seconds, result_of, warnings_of
    from kfp_bayesopt_pipeline.images import load_images_of, trial_image

    loaded, content = study_of(study)
    folder = Path(study).resolve().parent
    if image == "image":
        image = trial_image(loaded, load_images_of(loaded, study, None))
    record = check_here(loaded, folder) if image is None else check_in(image, loaded, content)
    click.echo(result_of(record))
    for warning in warnings_of(loaded, record):
        click.echo(f"Warning: {warning}", err=True)
    if record.reason is not None:
        raise UserError(record.reason.message)
    note_seconds(loaded, record.seconds)


@click.command(cls=Command)
@with_study()
@click.option("--registry", required=True, help="Repository of the images: HOST/PROJECT/REPOSITORY.")
@click.option("--tag", required=True, help="The tag of the images of the steps.")
@click.option("--push", is_flag=True, help="Push it, and name all images by their digests.")
@click.option("--python-image", help="Base image.  [default: the official one of your Python]")
@click.option("--platform", default="linux/amd64", show_default=True, help="Platform of the machines.")
@click.option("--pip-conf", type=path_options.path, help="Settings of pip for the build, such as an index.")
@click.option("--network", help="Network of the build, by Docker's name.")
@click.option("--allow-secrets", is_flag=True, help="Let files that look like credentials into the image.")
@click.option("--out", type=path_options.path, help="File to write.  [default: out/NAME/images.json]")
def image(
    study: str,
    registry: str,
    tag: str,
    push: bool,
    python_image: str | None,
    platform: str,
    pip_conf: Path | None,
    network: str | None,
    allow_secrets: bool,
    out: Path | None,
) -> None:
    """Build the image of a study with code from its folder.

    The image is noted with those of the steps.

    \b
    Example:
      bayesopt image my-study --tag 1.0 \\
        --registry 127.0.0.1:5000/bayesopt
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt_pipeline.building.build import Options, build, has_code
    from kfp_bayesopt_pipeline.building.context import read_context
    from kfp_bayesopt_pipeline.images import STUDY, digest_of_image, images_of_study, step_images

    loaded, _ = study_of(study)
    folder = Path(study).resolve().parent
    if not has_code(loaded, folder):
        return
    if pip_conf is not None and not pip_conf.is_file():
        raise UserError(f"{pip_conf}: file not found; {hints.PIP_CONF} names settings of pip")
    context = read_context(folder, allow_secrets)
    steps = step_images(registry, tag, push)
    step = trial_step(loaded.schedule).name
    options = Options(registry, f"{registry}/{step}:{tag}", python_image, platform, pip_conf, network)
    built = build(loaded, context, options, click.echo)
    if push:
        pushed = subprocess.run(["docker", "push", "--quiet", built], capture_output=True, text=True, check=False)  # noqa: S607
        if pushed.returncode:
            raise UserError(f"{built}: cannot be pushed: {pushed.stderr.strip()}")
        built = digest_of_image(built, built.rpartition(":")[0])
    path = out or images_of_study(loaded.name)
    noted = {**steps, step: built, STUDY: context.digest()}
    storage.replace(str(path), (json.dumps(noted, indent=1) + "\n").encode())
    click.echo(f"{built}\nnoted in {path}")


@click.command(cls=Command)
@with_study()
@click.option("--repository", required=True, help="Repository of the image: HOST/PROJECT/REPOSITORY.")
@click.option("--images", type=path_options.path, help="File with the image of each step, by its digest.")
@click.option("--python-image", help="Base image.  [default: the official one of your Python]")
@click.option("--allow-secrets", is_flag=True, help="Let files that look like credentials into the image.")
@click.option("--out", type=path_options.path, required=True, help="Folder to write.")
def stage(
    study: str, repository: str, images: Path | None, python_image: str | None, allow_secrets: bool, out: Path
) -> None:
    """Write the folder from which Cloud Build makes an image.

    It is the image of a study with code, which is noted with those of the steps.

    \b
    Example:
      bayesopt stage my-study --out out/stage \\
        --repository europe-west1-docker.pkg.dev/my-project/studies
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt_pipeline.building import build as building
    from kfp_bayesopt_pipeline.building.cloud import CloudImage
    from kfp_bayesopt_pipeline.building.cloud import stage as write
    from kfp_bayesopt_pipeline.building.context import read_context
    from kfp_bayesopt_pipeline.images import STEP_IMAGES, STUDY, images_of_study, load_images

    loaded, _ = study_of(study)
    folder = Path(study).resolve().parent
    if not building.has_code(loaded, folder):
        raise UserError(f"{folder}: has no code for an image: the objective is not beside the study file")
    context = read_context(folder, allow_secrets)
    steps = load_images(images or STEP_IMAGES, loaded.schedule)
    step = trial_step(loaded.schedule).name
    wanted = CloudImage(repository, steps[step], python_image or building.python_image())
    made = write(loaded, context, wanted, out)
    noted = {**steps, step: made, STUDY: context.digest()}
    path = images_of_study(loaded.name)
    storage.replace(str(path), (json.dumps(noted, indent=1) + "\n").encode())
    click.echo(f"{folder}: {len(context.files)} files, {context.size / 1e6:,.1f} MB\n{made}\nnoted in {path}")
