"""The distribution as a person has it: a wheel, in an environment outside of the checkout."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from locks.closed import MACHINES, pins_for, read_requirements
from tests import ROOT

BASE = ROOT / "pipeline" / "requirements.txt"
"""The lock of the packages that the distribution needs without an extra."""


def build(kind: str, folder: Path, checkout: Path = ROOT) -> Path:
    """Build a distribution by the backend of this environment, and return its path.

    Args:
        kind: `wheel` or `sdist`.
        folder: The folder to build it into.
        checkout: The checkout, or an unpacked sdist.
    """
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(folder)]
    built = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return path


@dataclass(frozen=True)
class Installed:
    """An environment of a person, without pip."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a shell in which it is active, and no others but PATH and HOME."""
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        return {"PATH": path, "HOME": str(self.folder), "VIRTUAL_ENV": str(self.folder)}

    @property
    def packages(self) -> Path:
        """The folder of its packages."""
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    def run(self, *command: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a person types it, such as `bayesopt run`, in a folder."""
        env = self.environment | variables
        program = self.folder / "bin" / command[0]
        found = str(program) if program.exists() else command[0]
        return subprocess.run([found, *command[1:]], cwd=cwd, env=env, capture_output=True, text=True)

    def pip(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the pip of this environment for it, without a network."""
        command = [sys.executable, "-m", "pip", "--python", str(self.folder / "bin" / "python"), *arguments]
        offline = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        return subprocess.run(command, env=os.environ | offline, capture_output=True, text=True)


def an_environment(folder: Path, lock: Path | None = BASE) -> Installed:
    """Make an environment with the packages of a lock, by links to those of this one, which has them."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    made = Installed(folder)
    pins = [] if lock is None else pins_for(MACHINES[0], read_requirements(lock)).values()
    for pin in pins:
        package = importlib.metadata.distribution(pin.name)
        assert pin.specifier.contains(package.version), f"{pin}, but here is {package.version}"
        for top in sorted({file.parts[0] for file in package.files or []} - {"..", "__pycache__"}):
            if not (made.packages / top).exists():  # several packages are in the folder `google`
                (made.packages / top).symlink_to(str(package.locate_file(top)))
    return made


def install(wheel: Path, into: Installed) -> Installed:
    """Install a wheel into an environment, and nothing else."""
    done = into.pip("install", "--quiet", "--no-deps", str(wheel))
    assert done.returncode == 0, done.stderr
    return into
