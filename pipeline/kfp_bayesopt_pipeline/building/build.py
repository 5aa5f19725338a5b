"""Builds the image of a study from its folder, once for each content."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.process.interpreters import python_of
from kfp_bayesopt_pipeline.building import docker_commands
from kfp_bayesopt_pipeline.building.brought import WHEELS, Brought
from kfp_bayesopt_pipeline.building.context import Context
from kfp_bayesopt_pipeline.building.dockerfile import PIP, of_folder, on_top_of

PLATFORM = "linux/amd64"


@dataclass(frozen=True)
class Options:
    """Options for building an image.

    Attributes:
        registry: The image's repository: HOST/PROJECT/REPOSITORY.
        runtime_image: The image to copy the runtime from.
        python_image: The base image; by default the Python of the person's environment.
        platform: The platform of the machines.
        pip_conf: Settings of pip for the build alone, such as a private index.
        network: The network of the build, by Docker's name.
        brought: The packages of a function, where the folder has no Dockerfile of its own.
    """

    registry: str
    runtime_image: str
    python_image: str | None = None
    platform: str = PLATFORM
    pip_conf: Path | None = None
    network: str | None = None
    brought: Brought | None = None


def has_code(study: Study, folder: Path) -> bool:
    """Tell whether a study has code beside its file, which an image must contain too.

    A function that travels has its code and its packages in files of its own.
    """
    if study.objective.function is not None:
        return False
    if any((folder / name).is_file() for name in ("Dockerfile", "requirements.txt", "pyproject.toml")):
        return True
    if study.objective.python is not None:
        module = study.objective.python.partition(":")[0].partition(".")[0]
        return (folder / f"{module}.py").is_file() or (folder / module).is_dir()
    return any(_is_file(folder, word) for word in study.objective.command or [])


def _is_file(folder: Path, word: str) -> bool:
    try:
        return not Path(word).is_absolute() and (folder / word).is_file()
    except (OSError, ValueError):
        return False


def build(study: Study, context: Context, options: Options, say: Callable[[str], None]) -> str:
    """Build the image of a study, unless it exists, and return its name.

    Raises:
        UserError: Docker cannot build it; its last lines are in the message.
    """
    folder = context.folder
    own = folder / "Dockerfile"
    repository = f"{options.registry}/study-{study.name}"
    runtime = docker_commands.docker("image", "inspect", "--format", "{{.Id}}", options.runtime_image)
    if runtime is None:
        raise UserError(f"{options.runtime_image}: is not here; `{hints.BUILD}` makes it")
    if own.is_file():
        recipe = own.read_text(errors="replace")
    else:
        more = None if options.brought is None else options.brought.recipe(PIP, repository)
        recipe = of_folder(folder, options.python_image or python_image(), options.runtime_image, more)
    # The same content has the same name, whenever it is built.
    tag = context.digest(recipe, runtime.strip(), options.platform)
    image = f"{repository}:{tag}"
    say(f"{folder}: {len(context.files)} files, {context.size / 1e6:,.1f} MB")
    if docker_commands.docker("image", "inspect", image) is not None:
        say(f"{image} is there already")
        return image
    say(f"building {image}")
    if own.is_file():
        base = f"{repository}:{tag}-base"
        _build(folder, base, own.read_text(errors="replace"), context, options)
        # It needs no file of the folder.
        with tempfile.TemporaryDirectory() as empty:
            _build(Path(empty), image, on_top_of(base, options.runtime_image), None, options)
    else:
        if options.brought is not None and options.brought.wheels:
            _build(options.brought.folder, f"{repository}:{options.brought.tag}", WHEELS, None, options)
        _build(folder, image, recipe, context, options)
    return image


def python_image() -> str:
    """Return the official image of the person's Python version."""
    python = python_of(os.environ)
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    ended = subprocess.run([python or "python3", "-c", code], capture_output=True, text=True, check=False)
    return f"python:{ended.stdout.strip() or '3.13'}-slim"


def _build(folder: Path, image: str, recipe: str, context: Context | None, options: Options) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        dockerfile = Path(temporary) / "Dockerfile"
        dockerfile.write_text(recipe)
        if context is not None:
            dockerfile.with_name("Dockerfile.dockerignore").write_text("\n".join(context.ignored) + "\n")
        given = ["--file", str(dockerfile), *docker_commands.named(image, options.platform, options.network)]
        given += ["--secret", f"id=pip,src={options.pip_conf.resolve()}"] if options.pip_conf else []
        docker_commands.build(str(folder), [*given, str(folder)])
