"""Prepares the build of a study's image on Cloud Build, where only the study's own repository is writable."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.building.context import Context
from kfp_bayesopt_pipeline.building.dockerfile import of_folder, on_top_of

DOCKER = "gcr.io/cloud-builders/docker"
OURS = ".bayesopt"
CONFIG = f"{OURS}/cloudbuild.json"
"""The name of the configuration in the uploaded folder."""


@dataclass(frozen=True)
class CloudImage:
    """The image of a study for Cloud Build to make.

    Attributes:
        repository: The image's repository: HOST/PROJECT/REPOSITORY.
        runtime_image: The image to copy the runtime from, by its digest.
        python_image: The base image, if the study has no Dockerfile.
    """

    repository: str
    runtime_image: str
    python_image: str


def stage(study: Study, context: Context, wanted: CloudImage, target: Path) -> str:
    """Write the folder for Cloud Build, and return the name of the image.

    Its tag is the digest of its inputs, so that it never moves.
    """
    own = context.folder / "Dockerfile"
    recipe = (
        own.read_text(errors="replace")
        if own.is_file()
        else of_folder(context.folder, wanted.python_image, wanted.runtime_image)
    )
    image = f"{wanted.repository}/study-{study.name}:{context.digest(recipe, wanted.runtime_image)}"
    shutil.rmtree(target, ignore_errors=True)
    for name in context.files:
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(context.folder / name, copy)
    ours = target / OURS
    ours.mkdir(parents=True)
    files = {"Dockerfile": (recipe, image)}
    if own.is_file():
        base = f"{image}-base"
        files = {"Dockerfile": (recipe, base), "Dockerfile.runtime": (on_top_of(base, wanted.runtime_image), image)}
    for file, (content, _) in files.items():
        (ours / file).write_text(content)
        (ours / f"{file}.dockerignore").write_text(f"{OURS}\n")
    steps = [
        {"id": file, "name": DOCKER, "args": ["build", f"--file={OURS}/{file}", f"--tag={tag}", "."]}
        for file, (_, tag) in files.items()
    ]
    build = {
        "steps": [*steps, {"id": "push", "name": DOCKER, "args": ["push", image]}],
        "images": [image],
        "options": {"env": ["DOCKER_BUILDKIT=1"], "logging": "CLOUD_LOGGING_ONLY"},
        "timeout": "3600s",
    }
    (target / CONFIG).write_text(json.dumps(build, indent=1) + "\n")
    return image
