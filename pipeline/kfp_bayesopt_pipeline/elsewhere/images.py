"""The images of a study of a notebook or a script: those of its Python, one that it names, or that of its folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.session.code import check_image
from kfp_bayesopt.steps import EVALUATE
from kfp_bayesopt.workspace import STUDY_FILE
from kfp_bayesopt_pipeline.building import docker_commands
from kfp_bayesopt_pipeline.building.build import PLATFORM
from kfp_bayesopt_pipeline.building.every_image import Wanted, build_images
from kfp_bayesopt_pipeline.building.python_images import PythonImages, official
from kfp_bayesopt_pipeline.building.registry import registry_here
from kfp_bayesopt_pipeline.building.step_context import read_step_context
from kfp_bayesopt_pipeline.building.step_images import StepImages
from kfp_bayesopt_pipeline.elsewhere.order import BUILD, Order
from kfp_bayesopt_pipeline.elsewhere.packages import brought_into_image
from kfp_bayesopt_pipeline.images import (
    Images,
    load_images_of,
    load_images_of_python,
    step_images,
    with_trials_in,
)
from kfp_bayesopt_pipeline.preflight.runtimes import check_runtimes

OursOf = Callable[[str], Images]


def images_here(order: Order) -> Images:
    """Return the images of a study for containers on this machine; those of ours that are missing are built.

    Raises:
        UserError: There is no Docker, it cannot build one, or an image cannot run its step.
    """
    images = _images(order, lambda python: _built_here(python, order.say), Wanted())
    if problems := check_runtimes(order.study, images):
        raise UserError("\n".join(problems))
    return images


def images_there(order: Order, home: str) -> Images:
    """Return the images of a study for a service.

    Args:
        order: The study.
        home: The pipeline root, whose store has the document of the images of each Python.

    Raises:
        UserError: There is no image of the function's Python, or an image is missing.
    """
    return _images(order, lambda python: load_images_of_python(home, python), Wanted(root=home, push=True))


def _images(order: Order, of_python: OursOf, wanted: Wanted) -> Images:
    study, function = order.study, order.study.objective.function
    if order.image and study.steps.evaluate.image:
        raise UserError(
            f"image: the study names its own, {study.steps.evaluate.image} (steps.evaluate.image); leave one out"
        )
    if order.image == BUILD:
        if function is None:
            return build_images(study, order.folder, wanted, order.say).images
        with tempfile.TemporaryDirectory() as folder:
            brought = brought_into_image(study, Path(folder))
            wanted = replace(wanted, python_image=official(brought.python), brought=brought)
            return build_images(study, order.folder, wanted, order.say).images
    if function is not None:
        images = of_python(function.python)
        return with_trials_in(images, check_image(order.image, "image")) if order.image else images
    if order.image:
        machines = study.steps.evaluate.model_copy(update={"image": check_image(order.image, "image")})
        study = study.model_copy(update={"steps": study.steps.model_copy(update={EVALUATE.name: machines})})
    return load_images_of(study, str(order.folder / STUDY_FILE), None)


def _built_here(python: str, say: Callable[[str], None]) -> Images:
    """Return the images for functions of a minor version of Python on this machine, built where one is missing.

    Raises:
        UserError: There is no Docker, or it cannot build one.
    """
    context, registry = read_step_context(), registry_here(None)
    steps = step_images(registry, context.version, pushed=False)
    if missing := [step for step, image in steps.items() if not _is_here(image)]:
        StepImages(missing, registry, context.version, PLATFORM).build(context, say)
    own = PythonImages([python], registry, context.version, PLATFORM)
    if not _is_here(own.names[python]):
        own.build(say)
    return with_trials_in(steps, own.names[python])


def _is_here(image: str) -> bool:
    return docker_commands.docker("image", "inspect", image) is not None
