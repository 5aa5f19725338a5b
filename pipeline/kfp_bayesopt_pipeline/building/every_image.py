"""Builds, pushes and notes the images that a study runs in: those of the steps, and that of its code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.steps import STEPS, trial_step
from kfp_bayesopt.store.stores import layer_of
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.building import docker_commands
from kfp_bayesopt_pipeline.building.brought import Brought
from kfp_bayesopt_pipeline.building.build import PLATFORM, Options, build, has_code
from kfp_bayesopt_pipeline.building.context import Context, read_context
from kfp_bayesopt_pipeline.building.python_images import PythonImages, check_python
from kfp_bayesopt_pipeline.building.registry import registry_here, registry_to_push
from kfp_bayesopt_pipeline.building.step_context import read_step_context
from kfp_bayesopt_pipeline.building.step_images import StepImages, check_tag, tag_of
from kfp_bayesopt_pipeline.images import (
    STUDY,
    Images,
    digest_of_image,
    images_of_steps,
    images_of_study,
    name_of_python,
    note_images,
    note_images_of_python,
    step_images,
)


@dataclass(frozen=True)
class Wanted:
    """What a person asks of the images.

    Attributes:
        registry: Their repository; by default as the environment says.
        root: Where study folders are, as some stores need packages of their own in the images; by default in none.
        tag: The tag of those of the steps; by default it follows from what they are built from.
        only: The steps, and `study` for the study's code, that are built; all if there is none.
        push: Whether they are pushed, and noted by their digests.
        python_image: The base image of a study's code; by default the Python of the person's environment.
        platform: The platform of the machines.
        pip_conf: Settings of pip for the build of a study's code, such as a private index.
        network: The network of all builds, by Docker's name.
        allow_secrets: Whether files that look like credentials may go into the image of a study's code.
        file: The file that names the images; by default out/images.json, and out/NAME/images.json.
        pythons: The minor versions of Python of which an image for functions is made, too.
        brought: The packages of a function, for an image of its folder.
    """

    registry: str | None = None
    root: str = ""
    tag: str | None = None
    only: tuple[str, ...] = ()
    push: bool = False
    python_image: str | None = None
    platform: str = PLATFORM
    pip_conf: Path | None = None
    network: str | None = None
    allow_secrets: bool = False
    file: Path | None = None
    pythons: tuple[str, ...] = ()
    brought: Brought | None = None


@dataclass(frozen=True)
class Made:
    """What was built.

    Attributes:
        images: The image of each step, that of the trials with the study's code, and that of each Python.
        files: The files and objects that name them.
    """

    images: Images
    files: tuple[str, ...]


def build_images(study: Study | None, folder: Path, wanted: Wanted, say: Callable[[str], None]) -> Made:
    """Build the images of the steps, and of the code of a study that has some.

    Args:
        study: The study.
        folder: Its folder.
        wanted: Which images, and how.
        say: Takes a line about what is built.

    Raises:
        UserError: A setting is missing or wrong, the folder holds what no image may, or Docker cannot build or push.
    """
    registry = registry_to_push(wanted.registry) if wanted.push else registry_here(wanted.registry)
    context = read_step_context()
    layer = layer_of(wanted.root)
    tag = check_tag(wanted.tag) if wanted.tag else tag_of(context, layer)
    code = _code(study, folder, wanted)
    pythons = _pythons(wanted, registry, tag)
    steps = [step for step in STEPS if step in (wanted.only or STEPS)]
    if steps:
        images = StepImages(steps, registry, tag, wanted.platform, wanted.network, layer)
        images.build(context, say)
        if wanted.push:
            images.push()
    made = step_images(registry, tag, wanted.push, STEPS if code else steps)
    pythons.build(say)
    if wanted.push:
        pythons.push()
    of_pythons = pythons.digests() if wanted.push else pythons.names
    named = {name_of_python(version): image for version, image in of_pythons.items()}
    files = [] if wanted.only else [str(note_images(wanted.file or images_of_steps(), made | named))]
    if of_pythons and wanted.push:
        files += _note_pythons(of_pythons, made, wanted, say)
    if study is not None and code is not None:
        step = trial_step(study.schedule).name
        options = Options(
            registry,
            f"{registry}/{step}:{tag}",
            wanted.python_image,
            wanted.platform,
            wanted.pip_conf,
            wanted.network,
            wanted.brought,
        )
        made = {**made, step: build(study, code, options, say)}
        if wanted.push:
            docker_commands.push(made[step])
            made[step] = digest_of_image(made[step], made[step].rpartition(":")[0])
        noted = {**made, **named, STUDY: code.digest()}
        files.append(str(note_images(wanted.file or images_of_study(study.name), noted)))
    return Made(made | named, tuple(dict.fromkeys(files)))


def _pythons(wanted: Wanted, registry: str, tag: str) -> PythonImages:
    """Return the images of minor versions of Python that are wanted.

    Raises:
        UserError: A version is none, or no image can be made so.
    """
    versions = [check_python(version) for version in dict.fromkeys(wanted.pythons)]
    if versions and wanted.only:
        raise UserError(f"{hints.PYTHON} and {hints.ONLY} exclude each other: an image of a Python needs all steps")
    if len(versions) > 1 and wanted.python_image:
        raise UserError(f"{hints.PYTHON_IMAGE}: one base has one Python; give {hints.PYTHON} once")
    return PythonImages(versions, registry, tag, wanted.platform, wanted.network, wanted.python_image)


def _note_pythons(pythons: Images, steps: Images, wanted: Wanted, say: Callable[[str], None]) -> list[str]:
    """Write the document of each minor version of Python into the store of the pipeline root, and return their URIs."""
    if not wanted.root:
        say(f"{', '.join(pythons)}: noted on this machine alone; set PIPELINE_ROOT, so that every notebook finds them")
        return []
    return [note_images_of_python(wanted.root, python, steps, image) for python, image in pythons.items()]


def _code(study: Study | None, folder: Path, wanted: Wanted) -> Context | None:
    """Read the files of a study's code, unless it has none or no image of it is wanted."""
    if wanted.only and STUDY not in wanted.only:
        return None
    if study is None or not (wanted.brought or has_code(study, folder)):
        if wanted.only:
            raise UserError(f"{folder}: has no code for an image: the objective is not beside the study file")
        return None
    if wanted.pip_conf is not None and not wanted.pip_conf.is_file():
        raise UserError(f"{wanted.pip_conf}: file not found; {hints.PIP_CONF} names settings of pip")
    return read_context(folder, wanted.allow_secrets)
