"""Checks all of a submission, here and outside of this machine, and reports all problems at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.dialects import naming_other_tools
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.study.study_file import read_study
from kfp_bayesopt_pipeline.building.check import middle_of
from kfp_bayesopt_pipeline.images import Images, images_of_steps, load_images, load_images_of, trial_image
from kfp_bayesopt_pipeline.places.protocol import Options, Target
from kfp_bayesopt_pipeline.preflight.function import check_objective
from kfp_bayesopt_pipeline.preflight.runtimes import PROCESSOR, check_runtimes


class Checked(NamedTuple):
    """A checked study, its file, and the image of each step, ready to compile and submit."""

    study: Study
    content: bytes
    images: Images


def check_submission(
    study_path: str, images_path: Path | None, target: Target, options: Options, problems: Sequence[str], root: str
) -> Checked:
    """Return a study ready to compile and submit, if it has no problems.

    Args:
        study_path: The study file.
        images_path: The file that names the images, if not the usual one.
        target: The target of the job.
        options: The person's options.
        problems: The mistakes in the settings of the target, which has only the valid ones.
        root: Where study folders are; empty if that is one of the mistakes.

    Raises:
        UserError: The submission has problems; the message names all of them.
    """
    lines = list(problems)
    study: Study | None = None
    images: Images | None = None
    content = b""
    try:
        content = read_study(study_path)
        with naming_other_tools(study_path, content):
            study = Study.from_text(content, study_path)
    except UserError as error:
        lines += _of_file(study_path, error)
    try:
        # Problems of the images can be reported without a study too.
        images = (
            load_images(images_path or images_of_steps())
            if study is None
            else load_images_of(study, study_path, images_path)
        )
    except UserError as error:
        lines += error.message.splitlines()
    lines += problems_of(study, images, target, options, root, study_path)
    if study is not None and (found := _without_packages(study, study_path, target.name)):
        lines.append(found)
    if lines or study is None or images is None:
        raise refused(lines)
    return Checked(study, content, images)


def _without_packages(study: Study, study_path: str, target: str) -> str | None:
    """Return why trials would lack the packages of a function, unless an image of the person has them."""
    function = study.objective.function
    if function is None or function.lock is not None or study.steps.evaluate.image is not None:
        return None
    return (
        f"{study_path}: objective.function: {function.name} has no lock of its packages, which its trials install; in "
        f"Python, `tune({study_path!r}, on={target!r})` sends it with them, or name an image that has them with "
        "steps.evaluate.image"
    )


def problems_of(
    study: Study | None, images: Images | None, target: Target, options: Options, root: str, study_path: str
) -> list[str]:
    """Return the problems of images, and those that a target sees in a submission.

    Args:
        study: The study, if it could be read.
        images: The image of each step, if they are known.
        target: The target of the job.
        options: The person's options.
        root: Where study folders are; empty if that is not known.
        study_path: The study file, for the way out.
    """
    lines: list[str] = []
    if study is not None and images is not None:
        lines += check_runtimes(study, images, PROCESSOR, root, study_path) or check_objective(
            study, trial_image(study, images), middle_of(study)
        )
    return lines + target.problems(study, images or {}, options)


def refused(problems: Sequence[str]) -> UserError:
    """Return what says all problems of a submission."""
    return UserError("nothing was submitted:\n" + "\n".join(f"  {line}" for line in problems))


def _of_file(path: str, error: UserError) -> list[str]:
    return [line if line.startswith(path) else f"{path}: {line}" for line in error.message.splitlines()]
