"""Identifies the code that evaluates the trials of a study, so that a change does not go unnoticed."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError, shown
from kfp_bayesopt.folder.roots import is_study_folder
from kfp_bayesopt.study.study import Study

MOST_FILES = 2000
MOST_BYTES = 1_000_000
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,999}")

# Source files of objectives. Data, models and results lie in the same folder and change all the time.
_SOURCES = frozenset(
    [
        ".bash",
        ".c",
        ".cc",
        ".cpp",
        ".cu",
        ".cuh",
        ".f",
        ".f90",
        ".go",
        ".h",
        ".hpp",
        ".ipynb",
        ".java",
        ".jl",
        ".js",
        ".kt",
        ".lua",
        ".m",
        ".mjs",
        ".pl",
        ".py",
        ".pyi",
        ".pyx",
        ".r",
        ".rb",
        ".rs",
        ".scala",
        ".sh",
        ".sql",
        ".swift",
        ".toml",
        ".ts",
        ".zsh",
    ]
)
_NOT_OURS = frozenset({"__pycache__", "node_modules", "out", "site-packages"})


def code_in_image(study: Study, image: str) -> str | None:
    """Return the code of a study's trials in an image: that of a function that travels, else that of the image."""
    function = study.objective.function
    return code_of_image(image) if function is None else function.of_records


def code_here(study: Study, folder: Path) -> str:
    """Return the code of a study's trials on this machine: that of a function that travels, else that of its folder."""
    function = study.objective.function
    return code_of_files(folder, study.objective.command or []) if function is None else function.of_records


def code_of_image(image: str) -> str | None:
    """Return the code of an image named by its digest; None for a tag."""
    found = re.search(r"@(sha256:[0-9a-f]{64})$", image)
    return f"image:{found[1]}" if found else None


def check_image(image: Any, where: str) -> str:
    """Return an image that is named by a digest or by a fixed tag.

    Raises:
        UserError: It is not the name of an image, or has neither, or the tag `latest`.
    """
    if not isinstance(image, str) or not _IMAGE.fullmatch(image):
        raise UserError(
            f"{where}: expected the name of an image, but got {shown(image)}; `{hints.PUSH}` writes the file"
        )
    name, _, digest = image.partition("@")
    if re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        return image
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest or not tag or tag == "latest":
        raise UserError(
            f"{where}: expected an image with a digest or with a tag that never moves, but got {shown(image)}; "
            f"nobody could say afterwards which code gave a value; `{hints.PUSH}` writes digests"
        )
    return image


def code_of_files(folder: Path, command: Iterable[str] = ()) -> str:
    """Return the code of a run on this machine: one digest over the source files of the study's folder.

    Left out are hidden names, virtual environments, `out`, study folders, files of more than a megabyte, unreadable
    files, and all after the first 2,000 files.

    Args:
        folder: The folder of the study file.
        command: Words of the objective's command; files of that folder that they name are included, of any kind.
    """
    named = {word for word in command if _is_file(folder, word)}
    digest = hashlib.sha256()
    for name in sorted({*_sources(folder), *named}):
        try:
            path = folder / name
            content = path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
        except OSError:
            content = None
        if content is not None:
            digest.update(f"{hashlib.sha256(content).hexdigest()} {name}\n".encode(errors="surrogateescape"))
    return f"files:sha256:{digest.hexdigest()}"


def _is_file(folder: Path, word: str) -> bool:
    """Tell whether a word names a file of the folder; files elsewhere differ from machine to machine."""
    try:
        return not Path(word).is_absolute() and (folder / word).is_file()
    except (OSError, ValueError):  # a word that no path can be
        return False


def _sources(folder: Path) -> list[str]:
    found: list[str] = []
    for name in _walk(folder):
        found.append(name)
        if len(found) == MOST_FILES:
            break
    return found


def _walk(folder: Path) -> Iterator[str]:
    """Yield the source files below a folder, by their names in it, in the same order everywhere."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if _may_hold_code(Path(here, name)))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in _SOURCES:
                yield Path(here, name).relative_to(folder).as_posix()


def _may_hold_code(folder: Path) -> bool:
    """Tell whether a folder may be of the person's code: no packages, and no results, which change with each trial."""
    if folder.name in _NOT_OURS or folder.name.startswith("."):
        return False
    try:
        return not Path(folder, "pyvenv.cfg").exists() and not is_study_folder(str(folder))
    except (OSError, UserError):  # its name is no text, or it may not be entered
        return True
