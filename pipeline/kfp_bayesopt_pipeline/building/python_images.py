"""The images in which functions of notebooks and scripts run: one for each minor version of Python, with no code.

Each is the official image of that Python with our runtime.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kfp_bayesopt.errors import UserError, shown
from kfp_bayesopt.steps import WORKER
from kfp_bayesopt_pipeline.building import docker_commands
from kfp_bayesopt_pipeline.building.dockerfile import of_python
from kfp_bayesopt_pipeline.images import Images, digest_of_image, name_of_python

OLDEST = (3, 9)
"""The first minor version of Python for which dill is made."""
_VERSION = re.compile(r"3\.(\d{1,2})")


def check_python(version: str) -> str:
    """Return a minor version of Python.

    Raises:
        UserError: It is none, or too old.
    """
    found = _VERSION.fullmatch(version)
    if found is None:
        raise UserError(f"python: expected a minor version, such as 3.11, but got {shown(version)}")
    if (3, int(found[1])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise UserError(f"python: functions travel to Python {oldest} and later, but got {version}")
    return version


def official(version: str) -> str:
    """Return the official image of a minor version of Python."""
    return f"python:{version}-slim-trixie"


@dataclass(frozen=True)
class PythonImages:
    """The images of some minor versions of Python.

    Attributes:
        versions: The versions.
        registry: The repository of the images, in which those of the steps are.
        tag: Their tag, that of the steps.
        platform: The platform of the machines.
        network: The network of the build, by Docker's name.
        base: The base image; by default the official one of each version.
    """

    versions: Sequence[str]
    registry: str
    tag: str
    platform: str
    network: str | None = None
    base: str | None = None

    @property
    def names(self) -> Images:
        """The name of each image, by its version."""
        return {version: f"{self.registry}/{name_of_python(version)}:{self.tag}" for version in self.versions}

    def build(self, say: Callable[[str], None]) -> None:
        """Build them; the image of the step `worker` must be here.

        Args:
            say: Takes a line about each.

        Raises:
            UserError: Docker cannot build one, or its base is of another version of Python.
        """
        for version, image in self.names.items():
            say(f"building {image}")
            base = self.base or official(version)
            recipe = of_python(base, version, f"{self.registry}/{WORKER.name}:{self.tag}")
            given = docker_commands.named(image, self.platform, self.network)
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "Dockerfile").write_text(recipe)
                docker_commands.build(f"Python {version} on {base}", [*given, folder])

    def push(self) -> None:
        """Push them.

        Raises:
            UserError: The registry does not take one.
        """
        for image in self.names.values():
            docker_commands.push(image)

    def digests(self) -> Images:
        """Return each image by the digest of its push, by its version."""
        return {version: digest_of_image(image, image.rpartition(":")[0]) for version, image in self.names.items()}
