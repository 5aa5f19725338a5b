"""The build context of the images of steps, of what the package ships: the same in a checkout and from a wheel."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kfp_bayesopt import extras
from kfp_bayesopt.steps import STEPS
from kfp_bayesopt.version import __version__
from kfp_bayesopt_pipeline import shipped

PACKAGE = "common/kfp_bayesopt"
"""The place of our package in the context."""
PROGRAMS = "runtime/bin"
"""The folder of what a container starts."""
TIME = 315532800
"""When every file was written: 1980, which any archive can hold."""


@dataclass(frozen=True)
class StepContext:
    """The files from which the images of all steps are built.

    Attributes:
        files: Their contents, by their names in the context, in order.
    """

    files: dict[str, bytes]

    @property
    def digest(self) -> str:
        """A digest of the names, the modes and the contents."""
        lines = (
            f"{name}\0{mode_of(name):o}\0{hashlib.sha256(content).hexdigest()}\n"
            for name, content in self.files.items()
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def version(self) -> str:
        """The version of the package and of these files: the tag of the images."""
        return f"{__version__}-{self.digest[:12]}"

    def archive(self) -> bytes:
        """Return it as a tar archive for `docker build -`, which takes a file for changed only if its bytes are."""
        written = io.BytesIO()
        with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name in sorted({*self.files, *_folders(self.files)}):
                entry = tarfile.TarInfo(name)
                entry.mtime = TIME
                if name in self.files:
                    entry.mode, entry.size = mode_of(name), len(self.files[name])
                    archive.addfile(entry, io.BytesIO(self.files[name]))
                else:
                    entry.mode, entry.type = 0o755, tarfile.DIRTYPE
                    archive.addfile(entry)
        return written.getvalue()


def mode_of(name: str) -> int:
    """Return the mode of a file in the context; an installed wheel has lost those of its data."""
    return 0o755 if name.startswith(f"{PROGRAMS}/") else 0o644


def read_step_context(images: Path = shipped.IMAGES, package: Path = shipped.PACKAGE) -> StepContext:
    """Read the context.

    Args:
        images: The folder with Dockerfiles, entrypoints and locks; in a checkout it holds the package too.
        package: The folder of our package.
    """
    with extras.needed_by("an image", "kfp"):
        from docker.utils.build import PatternMatcher
    found = {name: path for name, path in _files(images) if not name.startswith(f"{PACKAGE}/")}
    found |= {f"{PACKAGE}/{name}": path for name, path in _files(package)}
    lines = (images / ".dockerignore").read_text().splitlines()
    ignored = PatternMatcher([line for line in lines if line and not line.startswith("#")])
    recipes = {f"{step}/Dockerfile" for step in STEPS}  # Docker takes the one that is named, whatever the patterns say
    names = sorted(name for name in found if name in recipes or not ignored.matches(name))
    return StepContext({name: found[name].read_bytes() for name in names if name != ".dockerignore"})


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Return the files below a folder with their names in it, without what Python has compiled."""
    named = ((path.relative_to(folder), path) for path in folder.rglob("*") if path.is_file())
    return [(name.as_posix(), path) for name, path in named if "__pycache__" not in name.parts]


def _folders(names: dict[str, bytes]) -> set[str]:
    return {str(parent) for name in names for parent in PurePosixPath(name).parents if parent.name}
