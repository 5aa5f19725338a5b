"""Modules of Python itself, of installed packages, and beside a notebook; the last count by their content."""

from __future__ import annotations

import ast
import hashlib
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

_OURS = ("kfp_bayesopt", "kfp_bayesopt_pipeline")
_OF_PACKAGES = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class Modules:
    """What a function imports.

    Attributes:
        imported: Names of modules that do not lie beside the notebook, with their parents.
        beside: The files of those that do, by their path from the folder that they are found in.
        folders: Those folders.
    """

    imported: frozenset[str] = frozenset()
    beside: dict[str, Path] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()

    @cached_property
    def code(self) -> list[tuple[str, str]]:
        """The SHA-256 of each file that lies beside the notebook, by its path, in order."""
        return [(name, hashlib.sha256(file.read_bytes()).hexdigest()) for name, file in sorted(self.beside.items())]


def modules_of(names: Iterable[str]) -> Modules:
    """Return modules and, of those that lie beside the notebook, the files and what these import in turn.

    Args:
        names: Their names, with those of their parents, as in `sklearn.linear_model`; a name in one may follow.
    """
    imported: set[str] = set()
    beside: dict[str, Path] = {}
    folders: dict[Path, None] = {}
    ahead, seen = list(names), set()
    while ahead:
        name = ahead.pop()
        top = name.partition(".")[0]
        place = place_beside(top)
        if place is None:
            imported.add(name)
        elif top not in seen:
            seen.add(top)
            folders.setdefault(place.parent)
            for file in _files(place):
                beside[file.relative_to(place.parent).as_posix()] = file
                ahead += _imports(file)
    return Modules(frozenset(imported), beside, tuple(sorted(folders)))


@cache
def place_beside(top: str) -> Path | None:
    """Return the file or folder of a module that is neither Python's own nor installed; None for every other one."""
    if top in sys.stdlib_module_names or top in sys.builtin_module_names or top in ("__main__", *_OURS):
        return None
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # of a module that was made by hand
        return None
    if spec is None:
        return None
    folder = next(iter(spec.submodule_search_locations or ()), None)
    found = folder or (spec.origin if spec.has_location else None)
    if found is None:
        return None
    path = Path(found).resolve()
    is_installed = bool(_OF_PACKAGES.intersection(path.parts)) or any(path.is_relative_to(root) for root in _roots())
    return None if is_installed or not path.exists() else path


@cache
def _roots() -> tuple[Path, ...]:
    """Return the folders of installed modules and of Python's own."""
    paths = sysconfig.get_paths()
    known = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return tuple(Path(each).resolve() for each in (*known, *site.getsitepackages(), site.getusersitepackages()))


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    for file in sorted(place.rglob("*")):
        if file.name.endswith((*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)) and file.is_file():
            yield file


def _imports(file: Path) -> Iterator[str]:
    """Yield the names of the modules that a source file imports, but for those of its own package by a dot."""
    if file.suffix not in SOURCE_SUFFIXES:
        return
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # whoever imports it is told
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield from (f"{node.module}.{each.name}" for each in node.names)
