"""What a function of a notebook or a script brings into the image of its folder: its packages."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kfp_bayesopt.errors import UserError

FOLDER = "/brought"
"""Where an image finds the wheels while it is built."""
SECONDS = 1800
# The least time of a file in a wheel, so that the same source gives the same wheel.
EPOCH = "315532800"


@dataclass(frozen=True)
class Brought:
    """The packages of a function.

    Attributes:
        python: The minor version of Python that they are for.
        packages: The version of each, by its name, in the order of names.
        folder: A folder with the wheels of those that no index has.
        is_closed: Nothing else is needed: this machine has the system of the image.
    """

    python: str
    packages: Mapping[str, str]
    folder: Path
    is_closed: bool = sys.platform == "linux"

    @property
    def wheels(self) -> list[Path]:
        """The wheels in the folder."""
        return sorted(self.folder.glob("*.whl"))

    @property
    def tag(self) -> str:
        """A tag for an image of the wheels, by their content."""
        digests = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in self.wheels]
        return f"brought-{hashlib.sha256(chr(10).join(digests).encode()).hexdigest()[:16]}"

    def recipe(self, pip: str, repository: str) -> str:
        """Return the line of a Dockerfile that installs them.

        Args:
            pip: The line up to what is installed.
            repository: The repository of the image of the wheels.
        """
        pinned = " ".join(f"'{name}=={version}'" for name, version in self.packages.items())
        options = "--no-deps " if self.is_closed else ""
        if not self.wheels:
            return f"{pip} {options}{pinned}"
        mount = f"--mount=type=bind,from={repository}:{self.tag},target={FOLDER}"
        return f"{pip.replace('RUN ', f'RUN {mount} ', 1)} {options}--find-links {FOLDER} {pinned}"


WHEELS = "FROM scratch\nCOPY *.whl /\n"
"""The Dockerfile of the image of the wheels: Docker takes no other folder than that of the code."""


def build_wheel(name: str, source: str, folder: Path) -> None:
    """Build the wheel of a package that no index has, from where it was installed from.

    Args:
        name: Its name, for messages.
        source: What pip calls it, such as a folder, or `git+https://…@COMMIT`.
        folder: The folder for the wheel.

    Raises:
        UserError: pip cannot build it.
    """
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", source]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment)
    except subprocess.TimeoutExpired:
        raise UserError(f"{name}: pip wheel {source} did not end in {SECONDS} s") from None
    if ended.returncode:
        lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()] or ["it failed"]
        why = next((line for line in lines if line.startswith("ERROR: ")), lines[-1]).removeprefix("ERROR: ")
        raise UserError(f"{name}: pip wheel {source}: {why}; build its wheel by hand, or publish it")
