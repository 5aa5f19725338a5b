"""The files of a person: looked for where they stand, and from there upwards to the root of their repository.

Paths are relative to the working folder, so that they read as a person would type them: `out/branin`,
`../../study.yaml`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from kfp_bayesopt.errors import UserError

STUDY_FILE = "study.yaml"
"""The study file of a folder."""
OUT = "out"
"""The folder of results: of studies that run here, and of what commands write for them."""


def working_folder() -> Path:
    """The folder in which a person stands.

    Raises:
        UserError: It was deleted.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UserError("the working folder was deleted or moved away; change to one that exists") from None


def repository() -> Path | None:
    """The root of the repository in which a person stands: the nearest folder upwards with `.git`, None outside of any.

    `.git` is a file in a worktree and in a submodule, each of which is a repository of its own.
    """
    here = working_folder()
    return next((folder for folder in (here, *here.parents) if os.path.lexists(folder / ".git")), None)


def found(name: str, is_meant: Callable[[Path], bool] = os.path.exists) -> Path | None:
    """Find the nearest file or folder of a name, from the working folder upwards to the root of the repository.

    Outside of a repository only the working folder counts: what lies above it is somebody else's.

    Args:
        name: A name or a relative path.
        is_meant: Tells whether an existing path is what is looked for; others are passed over.
    """
    return next((path for folder in _upwards() if is_meant(path := folder / name)), None)


def out(*names: str) -> Path:
    """The folder of results, or a path below it: the nearest one, else at the root of the repository, else here."""
    folder = found(OUT, os.path.isdir)
    return (folder or _relative(repository() or working_folder()) / OUT).joinpath(*names)


def _upwards() -> Iterator[Path]:
    """Yield the working folder and those above it, up to the root of the repository."""
    here, root = working_folder(), repository()
    for folder in (here, *here.parents):
        yield _relative(folder)
        if root is None or folder == root:
            return


def _relative(folder: Path) -> Path:
    return Path(os.path.relpath(folder, working_folder()))
