"""Builds and pushes the images of steps, side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kfp_bayesopt.errors import UserError, shown
from kfp_bayesopt_pipeline.building import docker_commands
from kfp_bayesopt_pipeline.building.step_context import StepContext

PLAIN = "image"
"""The stage of each Dockerfile that adds no packages."""
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def check_tag(tag: str) -> str:
    """Return a tag that a person gives.

    Raises:
        UserError: It is none, or one that moves.
    """
    if tag == "latest" or not _TAG.fullmatch(tag):
        raise UserError(
            f"tag: expected letters, digits, dots, hyphens and underscores, at most 128, and not the moving tag "
            f"`latest`, but got {shown(tag)}; without one the images get a tag of their content"
        )
    return tag


def tag_of(context: StepContext, layer: str | None) -> str:
    """Return the tag of images by what they are built from: VERSION-DIGEST, and -LAYER where packages are added."""
    return f"{context.version}-{layer}" if layer else context.version


@dataclass(frozen=True)
class StepImages:
    """The images of some steps.

    Attributes:
        steps: The steps.
        registry: The repository of the images.
        tag: Their tag.
        platform: The platform of the machines.
        network: The network of the build, by Docker's name.
        layer: The stage of each Dockerfile that adds packages; by default none are added.
    """

    steps: Collection[str]
    registry: str
    tag: str
    platform: str
    network: str | None = None
    layer: str | None = None

    @property
    def names(self) -> list[str]:
        """The name of each image."""
        return [f"{self.registry}/{step}:{self.tag}" for step in self.steps]

    def build(self, context: StepContext, say: Callable[[str], None]) -> None:
        """Build them.

        Args:
            context: What they are built of.
            say: Takes a line about each.

        Raises:
            UserError: Docker cannot build one.
        """
        archive = context.archive()

        for image in self.names:
            say(f"building {image}")

        def one(step: str, image: str) -> None:
            given = ["--file", f"{step}/Dockerfile", *docker_commands.named(image, self.platform, self.network)]
            given += ["--target", self.layer or PLAIN]
            docker_commands.build(image, [*given, "--build-arg", f"VERSION={context.version}"], archive)

        with ThreadPoolExecutor(len(self.steps)) as pool:
            list(pool.map(one, self.steps, self.names))

    def push(self) -> None:
        """Push them.

        Raises:
            UserError: The registry does not take one.
        """
        with ThreadPoolExecutor(len(self.steps)) as pool:
            list(pool.map(docker_commands.push, self.names))
