"""Which image each step runs: the file that `make build` and `make push` write and the pipeline reads."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from bayesopt import storage
from bayesopt.errors import NotFoundError, UserError
from bayesopt.steps import STEPS

Images = dict[str, str]

MAX_BYTES = 100_000


def load_images(path: Path) -> Images:
    """Read the image of each step.

    Raises:
        UserError: The file or a step is missing, or an image has neither a digest nor a fixed tag.
    """
    try:
        images = json.loads(storage.read(str(path), limit=MAX_BYTES))
    except NotFoundError:
        raise UserError(f"{path}: file not found; it names the image of each step, and `make push` writes it") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}; `make push` writes the file") from None
    if not isinstance(images, dict):
        raise UserError(
            f"{path}: must be a mapping of steps to images, but got a {type(images).__name__}; "
            "`make push` writes the file"
        )
    missing = [step for step in STEPS if not isinstance(images.get(step), str)]
    if missing:
        raise UserError(f"{path}: no image of {', '.join(missing)}; `make push` writes the file")
    return {step: check_image(images[step], f"{path}: {step}") for step in STEPS}


def check_image(image: str, where: str) -> str:
    """Return an image that is named by a digest or by a tag that does not move.

    Raises:
        UserError: It has neither, or the tag `latest`.
    """
    name, _, digest = image.partition("@")
    if re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        return image
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest or not tag or tag == "latest":
        raise UserError(
            f"{where}: expected an image with a digest or with a tag that never moves, but got {image!r}; "
            "nobody could say afterwards which code gave a value; `make push` writes digests"
        )
    return image


def write_images(path: Path, registry: str, tag: str, pushed: bool) -> Images:
    """Write the image of each step: by tag, or by digest when they have been pushed.

    Raises:
        UserError: An image has no digest of that registry.
    """
    images = {step: f"{registry}/{step}:{tag}" for step in STEPS}
    if pushed:
        images = {step: _digest(image, f"{registry}/{step}") for step, image in images.items()}
    storage.replace(str(path), (json.dumps(images, indent=1) + "\n").encode())
    return images


def _digest(image: str, repository: str) -> str:
    inspected = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{json .RepoDigests}}", image],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    digests = json.loads(inspected.stdout or "[]")
    found = [digest for digest in digests if digest.startswith(f"{repository}@")]
    if not found:
        raise UserError(f"{image}: no digest of {repository}, so it was never pushed there; run `make push`")
    return str(found[0])
