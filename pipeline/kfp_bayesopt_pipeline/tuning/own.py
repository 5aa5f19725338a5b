"""What the component of one study has of it: its images, its target, and where its folder is."""

from __future__ import annotations

from pathlib import Path

from kfp_bayesopt.errors import UserError, listed
from kfp_bayesopt.session.code import check_image
from kfp_bayesopt.session.sent import problem_of_length
from kfp_bayesopt.steps import steps_of, trial_step
from kfp_bayesopt.store.storage import is_local
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.images import Images, images_of_steps, load_images, load_images_of
from kfp_bayesopt_pipeline.places import load_service
from kfp_bayesopt_pipeline.places.settings import Settings
from kfp_bayesopt_pipeline.preflight.runtimes import check_runtimes
from kfp_bayesopt_pipeline.tuning.forms import Own


def images_for(study: Study, file: str, image: str | None, path: Path | None = None) -> Images:
    """Return the image of each step of a study.

    Args:
        study: The study.
        file: Its file.
        image: That of its trials, if a person names it; that of workers holds the other steps of its schedule too.
        path: The file that names the images, where it is not the usual one.

    Raises:
        UserError: An image is missing or not fixed, or two are given.
    """
    if image is None:
        return load_images_of(study, file, path)
    check_image(image, "image")
    if (said := study.steps.evaluate.image) not in (None, image):
        raise UserError(f"{file}: steps.evaluate.image is {said}, and image is {image}; give one of them")
    trial = trial_step(study.schedule).name
    if SCHEDULES[study.schedule].claims_first:
        return {step.name: image for step in steps_of(study.schedule)}
    return {**load_images(path or images_of_steps(), study.schedule), trial: image}


def own_of(study: Study, file: str, content: bytes, images: Images, target: str, settings: Settings) -> Own:
    """Return what the component of one study has of it, if it can be run on a target.

    Args:
        study: The study.
        file: Its file.
        content: The content of that.
        images: The image of each of its steps.
        target: The target.
        settings: The settings of it; study folders are below its `pipeline_root` by default.

    Raises:
        UserError: It cannot; the message names all reasons.
    """
    root = default_root(study, settings)
    lines = [f"{problem}; shorten it" for problem in problem_of_length(content)]
    lines += load_service(target).limits(study, root)
    problems = [listed(file, lines)] * bool(lines) + check_runtimes(study, images, root=root, study_path=file)
    if problems:
        raise UserError("\n".join(problems))
    defaults = (("root", root or None), *settings.of_custom_jobs().items())
    return Own(content.decode(), tuple(images.items()), settings.cluster(root), defaults)


def default_root(study: Study, settings: Settings) -> str:
    """Return what study folders are below of where nobody says it; empty if nobody knows."""
    root, volume = settings.pipeline_root, study.steps.volume
    return root if volume is None or (root and is_local(root)) else volume.path
