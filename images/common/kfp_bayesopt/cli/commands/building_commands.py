"""The commands from a folder to an image: new, check, build, push, ready, stage."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kfp_bayesopt import hints
from kfp_bayesopt.cli.options import path_options
from kfp_bayesopt.cli.options.output_options import Answer, with_answer
from kfp_bayesopt.cli.options.study_options import study_of, with_data, with_study
from kfp_bayesopt.cli.options.target_options import with_root_of_target, with_target
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.steps import STEPS, trial_step
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.store import storage

if TYPE_CHECKING:  # `--help` waits for nothing
    from kfp_bayesopt.cli.options.target_options import Choice
    from kfp_bayesopt_pipeline.building.every_image import Wanted


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
@with_data
@with_answer(
    parameters="Those of the trial: the middle of the search space.",
    state="completed, failed, or stopped.",
    value="Its value; null if there is none.",
    values="All that it said, by name: its value, and metrics.",
    seconds="How long it took.",
    reason="Why it has failed: kind, exit, message, last_lines; null if it has not.",
    warnings="What the study asks for and the trial does not do: a list.",
)
def check(study: str, image: str | None, data: str, answer: Answer) -> None:
    """Run one trial, and show its output, value and seconds.

    It is in the middle of the search space. Its metrics are shown, too.

    \b
    Example:
      bayesopt check my-study
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt_pipeline.building.check import check_here, check_in, note_seconds, result_of, warnings_of
    from kfp_bayesopt_pipeline.images import load_images_of, trial_image

    loaded, content = study_of(study)
    folder = Path(study).resolve().parent
    if image == "image":
        image = trial_image(loaded, load_images_of(loaded, study, None))
    apart = answer.as_json
    record = check_here(loaded, folder, data, apart) if image is None else check_in(image, loaded, content, data, apart)
    warnings = warnings_of(loaded, record)
    reason = record.reason and record.reason.model_dump(mode="json")
    answer.give(
        parameters=record.parameters,
        state=record.state,
        value=record.value,
        values=dict(record.values),
        seconds=record.seconds,
        reason=reason,
        warnings=warnings,
    )
    answer.say(result_of(record))
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)
    if record.reason is not None:
        raise UserError(record.reason.message)
    try:
        note_seconds(loaded, record.seconds)
    except UserError as error:  # of a repository that is only read
        click.echo(f"Warning: how long it took is not kept for `{hints.PLAN}`: {error.message}", err=True)


_PARTS = (*STEPS, "study")


with_registry = click.option(
    "--registry",
    envvar="REGISTRY",
    show_envvar=True,
    help="Repository of the images: HOST/PROJECT/REPOSITORY.  [default: that of GOOGLE_CLOUD_PROJECT in "
    "GOOGLE_CLOUD_REGION, as vertex-setup.sh makes it]",
)


def _with_wanted(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which images are built, and how; it gets them as `wanted`."""

    @functools.wraps(command)
    def wrapped(study: str | None, answer: Answer, chosen: Choice, push: bool = False, **options: Any) -> None:
        from kfp_bayesopt_pipeline.building.every_image import Wanted

        command(study, Wanted(push=push, root=chosen.pipeline_root, **options), answer)

    decorated: Callable[..., None] = wrapped
    for option in (
        with_answer(images="The image of each step, by its name.", files="The files in which they are noted."),
        click.option(
            "--images", "--out", "file", type=path_options.path,
            help="File to write.  [default: out/images.json, and out/NAME/images.json of a study with code]",
        ),
        click.option("--allow-secrets", is_flag=True, help="Let files that look like credentials into the image."),
        click.option("--network", help="Network of the builds, by Docker's name."),
        click.option("--pip-conf", type=path_options.path, help="Settings of pip for the code, such as an index."),
        click.option("--platform", default="linux/amd64", show_default=True, help="Platform of the machines."),
        click.option(
            "--python-image", help="Base of a study's code, or of --python.  [default: the official image of Python]"
        ),
        click.option(
            "--python",
            "pythons",
            multiple=True,
            metavar="X.Y",
            help="Build an image of this Python for functions of notebooks, too; can be repeated.",
        ),
        click.option(
            "--only", type=click.Choice(_PARTS), multiple=True, help="Build this one; can be repeated.  [default: all]"
        ),
        click.option("--tag", help="Tag of the images of steps.  [default: the version and a digest of the content]"),
        with_root_of_target,
        with_registry,
        with_study(required=False),
    ):  # fmt: skip
        decorated = option(decorated)
    return decorated


@click.command(cls=Command)
@click.option("--push", is_flag=True, help="Push them too, and note their digests.")
@_with_wanted
def build(study: str | None, wanted: Wanted, answer: Answer) -> None:
    """Build the images of the steps, and that of a study's code.

    They are noted where other commands find them.

    \b
    Example:
      bayesopt build my-study --registry 127.0.0.1:5000/bayesopt
    """  # noqa: D301 - click wants the character \b
    _build(study, wanted, answer)


@click.command(cls=Command)
@_with_wanted
def push(study: str | None, wanted: Wanted, answer: Answer) -> None:
    """Build the images and push them.

    Their digests are noted where other commands find them.

    \b
    Example:
      bayesopt push my-study --registry 127.0.0.1:5000/bayesopt
    """  # noqa: D301 - click wants the character \b
    _build(study, replace(wanted, push=True), answer)


@click.command(cls=Command)
@click.option("--push", is_flag=True, help="Push it too, and note its digest.")
@_with_wanted
def image(study: str | None, wanted: Wanted, answer: Answer) -> None:
    """Build the image of a study's code alone.

    The images of the steps must be there.

    \b
    Example:
      bayesopt image my-study --tag 1.0
    """  # noqa: D301 - click wants the character \b
    _build(study, replace(wanted, only=("study",)), answer)


def _build(study: str | None, wanted: Wanted, answer: Answer) -> None:
    from kfp_bayesopt_pipeline.building.every_image import build_images

    loaded = study_of(study)[0] if study else None
    folder = Path(study).resolve().parent if study else Path()
    made = build_images(loaded, folder, wanted, functools.partial(click.echo, err=answer.as_json))
    answer.give(images=made.images, files=list(map(str, made.files)))
    for line in (*(made.images.values() if wanted.push else ()), *(f"noted in {file}" for file in made.files)):
        answer.say(line)


@click.command(cls=Command, hidden=True)
@click.argument("words", type=click.Choice(["push", "submit"]), nargs=-1, required=True)
@with_registry
@with_target
def ready(words: tuple[str, ...], registry: str | None, chosen: Choice) -> None:
    """Check that all is set which pushing and submitting need.

    All that is missing is in one message.

    \b
    Example:
      bayesopt ready push submit
    """  # noqa: D301 - click wants the character \b
    from kfp_bayesopt_pipeline.building.registry import problem_of, registry_of

    problems = [problem_of(registry_of(registry))] if "push" in words else []
    problems += chosen.problems if "submit" in words else []
    if missing := [problem for problem in problems if problem]:
        raise UserError("\n  ".join(["nothing was built:", *missing]))


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
    from kfp_bayesopt_pipeline.images import STUDY, images_of_steps, images_of_study, load_images

    loaded, _ = study_of(study)
    folder = Path(study).resolve().parent
    if not building.has_code(loaded, folder):
        raise UserError(f"{folder}: has no code for an image: the objective is not beside the study file")
    context = read_context(folder, allow_secrets)
    steps = load_images(images or images_of_steps(), loaded.schedule)
    step = trial_step(loaded.schedule).name
    wanted = CloudImage(repository, steps[step], python_image or building.python_image())
    made = write(loaded, context, wanted, out)
    noted = {**steps, step: made, STUDY: context.digest()}
    path = images_of_study(loaded.name)
    storage.replace(str(path), (json.dumps(noted, indent=1) + "\n").encode())
    click.echo(f"{folder}: {len(context.files)} files, {context.size / 1e6:,.1f} MB\n{made}\nnoted in {path}")
