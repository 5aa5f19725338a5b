"""Builds and pushes images with Docker's command."""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from collections.abc import Sequence

from kfp_bayesopt.errors import UserError

LAST_LINES = 20
_GOOGLE = (".pkg.dev", "gcr.io")
_REFUSED = re.compile(r"denied|unauthori[sz]ed|authenticat|credential|forbidden", re.IGNORECASE)


def docker(*arguments: str) -> str | None:
    """Return the output of Docker, or None if the object does not exist.

    Raises:
        UserError: Docker is not installed.
    """
    ended = _run("built", *arguments)
    return ended.stdout.decode() if ended.returncode == 0 else None


def build(what: str, options: Sequence[str], archive: bytes | None = None) -> None:
    """Build an image without a word.

    Args:
        what: What it is built of, for the message.
        options: The options of `docker build`, and the folder if there is no archive.
        archive: The build context as a tar archive.

    Raises:
        UserError: Docker cannot build it; its last lines are in the message.
    """
    context = ["-"] if archive is not None else []
    ended = _run("built", "build", "--progress", "plain", *options, *context, given=archive, together=True)
    if ended.returncode:
        lines = [line.rstrip() for line in ended.stdout.decode(errors="replace").splitlines()]
        if silent := next((line for line in lines if "docker daemon" in line), None):
            raise UserError(f"Docker does not answer: {silent.removeprefix('ERROR: ')}")
        shown = "\n".join(f"    | {line}" for line in deque(filter(None, lines), LAST_LINES))
        raise UserError(f"{what}: Docker cannot build the image; it said at last:\n{shown}\nmend it and build again")


def named(image: str, platform: str, network: str | None) -> list[str]:
    """Return the options of `docker build` for the name of an image, its platform and the network of the build."""
    return ["--tag", image, "--platform", platform, *(["--network", network] if network else [])]


def push(image: str) -> None:
    """Push an image.

    Raises:
        UserError: The registry does not take it.
    """
    ended = _run("pushed", "push", "--quiet", image)
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip()
        raise UserError(f"{image}: cannot be pushed: {said}{_login(image) if _REFUSED.search(said) else ''}")


def _run(
    purpose: str, *arguments: str, given: bytes | None = None, together: bool = False
) -> subprocess.CompletedProcess[bytes]:
    """Run Docker; `together` puts its errors into its output."""
    try:
        return subprocess.run(
            ["docker", *arguments],  # noqa: S607
            env={**os.environ, "DOCKER_BUILDKIT": "1"}, input=given, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if together else subprocess.PIPE, check=False,
        )  # fmt: skip
    except OSError:
        raise UserError(f"docker is not installed, and images are {purpose} with it") from None


def _login(image: str) -> str:
    host = image.partition("/")[0]
    command = "gcloud auth configure-docker" if host.endswith(_GOOGLE) else "docker login"
    return f"; `{command} {host}` gives Docker the right to push there"
