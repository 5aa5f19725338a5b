"""The image of each step: the file that `make build` and `make push` write and the pipeline reads."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kfp_bayesopt import hints, workspace
from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.exchange.foreign import read_foreign_json
from kfp_bayesopt.session.code import check_image
from kfp_bayesopt.steps import EVALUATE, STEPS, WORKER, steps_of, trial_step
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.building.docker_commands import docker

logger = logging.getLogger(__name__)

Images = dict[str, str]

MAX_BYTES = 100_000
IMAGES_FILE = "images.json"
_BUILT_HERE = re.compile(r"[^@]+:([0-9][0-9A-Za-z.]*-[0-9a-f]{12})(?:-[a-z0-9]+)?")
STUDY = "study"
"""The key of the digest of the folder that the image for trials was built from."""


def images_of_steps() -> Path:
    """Return the file that names the image of each step."""
    return workspace.out(IMAGES_FILE)


def images_of_study(name: str) -> Path:
    """Return the file that names the images of a study with code of its own."""
    return workspace.out(name, IMAGES_FILE)


def load_images_of(study: Study, study_path: str, path: Path | None) -> Images:
    """Read the image of each step of a study, including the one built from its folder if it has code.

    Args:
        study: The study.
        study_path: The study file.
        path: The file of images; by default that of the study, if there is one, else that of the steps.

    Raises:
        UserError: An image is missing, or the folder has changed since its image was built.
    """
    own = images_of_study(study.name)
    chosen = path or (own if own.exists() else images_of_steps())
    images = load_images(chosen, study.schedule)
    _warn_of_old(images, chosen)
    if study.steps.evaluate.image is not None:
        where = f"{study_path}: steps.evaluate.image"
        return {**images, trial_step(study.schedule).name: check_image(study.steps.evaluate.image, where)}
    if (function := study.objective.function) is not None:
        own_image = _read(chosen).get(name_of_python(function.python))
        if own_image is None:
            raise UserError(
                f"{chosen}: no image of Python {function.python}, which {function.name} needs; "
                f"`{hints.BUILD_PYTHON(python=function.python)}` builds one, "
                f"`{hints.PUSH_PYTHON(python=function.python)}` pushes it too, or name one with steps.evaluate.image"
            )
        return with_trials_in(images, check_image(own_image, f"{chosen}: {name_of_python(function.python)}"))
    # This needs docker's own rules for the files of an image.
    from kfp_bayesopt_pipeline.building.build import has_code
    from kfp_bayesopt_pipeline.building.context import read_context

    folder = Path(study_path).resolve().parent
    if storage.is_local(study_path) and has_code(study, folder):
        built_from = _read(chosen).get(STUDY)
        if built_from is None:
            raise UserError(
                f"{folder}: its code is in no image; `{hints.BUILD_STUDY(folder=folder)}` builds one, "
                f"`{hints.PUSH_STUDY_TO(folder=folder)}` pushes it too, or name one with steps.evaluate.image"
            )
        if built_from != read_context(folder, allow_secrets=True).digest():
            raise UserError(
                f"{folder}: has changed since the image in {chosen} was built from it; "
                f"`{hints.PUSH_STUDY(folder=folder)}` (or `{hints.BUILD}`) builds it again"
            )
    return images


def _warn_of_old(images: Images, path: Path) -> None:
    """Warn of images that were built on this machine of something else than what is here; others have digests."""
    built = {match[1] for image in images.values() if (match := _BUILT_HERE.fullmatch(image))}
    if not built:
        return
    from kfp_bayesopt_pipeline.building.step_context import read_step_context

    here = read_step_context().version
    if old := built - {here}:
        logger.warning(
            "%s: its images are of %s, and what is here is %s; `%s` builds them again",
            *(path, ", ".join(sorted(old)), here, hints.BUILD),
        )


def name_of_python(python: str) -> str:
    """Return the name of the image of a minor version of Python."""
    return f"python-{python}"


def with_trials_in(images: Images, image: str) -> Images:
    """Return the image of each step, where all trials run in one."""
    return {**images, EVALUATE.name: image, WORKER.name: image}


def document_of(home: str, python: str) -> str:
    """Return the URI of the document that names the images for functions of a minor version of Python.

    Args:
        home: The pipeline root.
        python: The minor version.
    """
    from kfp_bayesopt_pipeline.building.step_context import read_step_context

    return f"{home.rstrip('/')}/images/{read_step_context().version}/{name_of_python(python)}.json"


def note_images_of_python(home: str, python: str, steps: Images, image: str) -> str:
    """Write the document of a minor version of Python, and return its URI.

    Args:
        home: The pipeline root.
        python: The minor version.
        steps: The image of each step.
        image: That of the Python, in which trials run.
    """
    uri = document_of(home, python)
    storage.replace(uri, _text(with_trials_in(steps, image)))
    return uri


def load_images_of_python(home: str, python: str) -> Images:
    """Read the image of each step from the document of a minor version of Python, which `build --python` writes.

    Raises:
        UserError: There is none, or it is damaged.
    """
    uri, again = document_of(home, python), hints.PUSH_PYTHON(python=python)
    try:
        storage.stat(uri)
    except NotFoundError:
        raise UserError(
            f"no image of Python {python}: {uri} is not there; `{again}` builds the image, pushes it and writes that, "
            "once for everybody with this pipeline root"
        ) from None
    return load_images(uri, written_by=again)


def trial_image(study: Study, images: Images) -> str:
    """Return the image that evaluates the trials of a study."""
    return study.steps.evaluate.image or images[trial_step(study.schedule).name]


def images_used(study: Study, images: Images) -> Images:
    """Return the images of the steps that a study runs."""
    used = {step.name: images[step.name] for step in steps_of(study.schedule)}
    return {**used, trial_step(study.schedule).name: trial_image(study, images)}


def load_images(path: Path | str, schedule: str | None = None, written_by: hints.Hint = hints.PUSH) -> Images:
    """Read the images of steps in a file.

    Args:
        path: The file.
        schedule: The study's schedule, whose steps must be there; without one, all steps must.
        written_by: The command that writes it.

    Raises:
        UserError: The file or a step is missing, or an image has neither a digest nor a fixed tag.
    """
    images = _read(path)
    needed = [step.name for step in steps_of(schedule)] if schedule else list(STEPS)
    missing = [step for step in needed if not isinstance(images.get(step), str)]
    if missing:
        raise UserError(f"{path}: no image of {', '.join(missing)}; `{written_by}` writes the file")
    return {step: check_image(images[step], f"{path}: {step}") for step in STEPS if step in images}


def _read(path: Path | str) -> dict[str, Any]:
    try:
        return read_foreign_json(str(path), MAX_BYTES, f"`{hints.PUSH}` writes the file")
    except NotFoundError:
        raise UserError(
            f"{path}: file not found; it names the image of each step, and `{hints.BUILD}` or `{hints.PUSH}` writes it"
        ) from None


def note_images(path: Path, images: Images) -> Path:
    """Write the file that names images, and return it."""
    storage.replace(str(path), _text(images))
    return path


def _text(images: Images) -> bytes:
    return (json.dumps(images, indent=1) + "\n").encode()


def step_images(registry: str, tag: str, pushed: bool, steps: Iterable[str] = STEPS) -> Images:
    """Return the image of each step: by tag, or by digest after a push.

    Raises:
        UserError: An image has no digest of that registry.
    """
    images = {step: f"{registry}/{step}:{tag}" for step in steps}
    if not pushed:
        return images
    return {step: digest_of_image(image, f"{registry}/{step}") for step, image in images.items()}


def digest_of_image(image: str, repository: str) -> str:
    """Return an image by the digest of its push.

    Raises:
        UserError: It has none.
    """
    inspected = docker("image", "inspect", "--format", "{{json .RepoDigests}}", image)
    digests = json.loads(inspected or "[]")
    found = [digest for digest in digests if digest.startswith(f"{repository}@")]
    if not found:
        raise UserError(f"{image}: no digest of {repository}, so it was never pushed there; run `{hints.PUSH}`")
    return str(found[0])
