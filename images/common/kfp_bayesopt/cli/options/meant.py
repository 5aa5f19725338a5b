"""Decides which study a person means by STUDY: one rule for all commands.

It is a study file, a folder with `study.yaml`, or a study folder, here or in a bucket; else the name of a study that is
shipped. Left out, it is the nearest `study.yaml`. Relative names are looked for upwards to the root of the repository.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from kfp_bayesopt import hints, workspace
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.local import what_denies
from kfp_bayesopt_pipeline import shipped

SUFFIXES = (".yaml", ".yml")

_JOB = re.compile(r"(projects/[^/]+/locations/[^/]+/pipelineJobs/)?[A-Za-z0-9][\w.-]*", re.ASCII)
"""How targets call a job: an id, or a whole name of Vertex."""

OTHER_TOOLS = {
    "experiment_state-*.json": "Ray Tune",
    "oracle.json": "KerasTuner",
    "runhistory.json": "SMAC",
    "results.csv.zip": "Syne Tune",
    "mlruns": "MLflow",
    "meta.yaml": "MLflow",
    "*.db": "Optuna",
}
"""The tool that a file is of, by its name: people try their folders too."""


@dataclass(frozen=True)
class Meant:
    """The study that a person means, of which one of these is known.

    Attributes:
        file: Its study file.
        folder: Its study folder, whose own study file counts.
    """

    file: str | None = None
    folder: str | None = None


def meant(given: str | None, *, folders: bool = True) -> Meant:
    """Find the study that a person means.

    Args:
        given: The word that they give for it, if any.
        folders: Whether a study folder goes before a `study.yaml` in it; that of a trial run in its own folder is both.

    Raises:
        UserError: There is none, or storage refuses to say.
    """
    if given is None:
        return _left_out(folders)
    if not storage.is_local(given):
        uri = storage.given(given)
        return Meant(folder=uri) if not uri.endswith(SUFFIXES) and _is_study_folder(uri) else Meant(file=uri)
    if (path := _found(given, _is_study)) is not None:
        return _at(path, folders)
    if (path := _found(given, os.path.isdir)) is not None:
        raise UserError(_without_study(path))
    if (file := shipped.STUDIES / f"{given}.yaml") in _shipped():
        shown = os.path.relpath(file) if file.is_relative_to(workspace.repository() or file) else file
        click.echo(f"{given}: the study that is shipped with kfp-bayesopt, {shown}", err=True)
        return Meant(file=str(shown))
    raise UserError(_nothing(given))


def is_meant(given: str) -> bool:
    """Tell whether a word may be meant as a study, and not as something else, such as a job."""
    can_be_no_job = given.endswith(SUFFIXES) or _JOB.fullmatch(given) is None
    return can_be_no_job or _found(given, os.path.exists) is not None or given in {each.stem for each in _shipped()}


@contextlib.contextmanager
def taken_for_a_job(word: str, could_be_study: bool = False, is_set_up: bool = True) -> Iterator[None]:
    """Say what a word may mean here, before why nothing can be done with the job that it was taken for.

    Args:
        word: The word.
        could_be_study: Whether a study could be named in its place.
        is_set_up: Whether there is what a target needs, so that a job is what a person may well mean.

    Raises:
        UserError: What is done with the job has raised one.
    """
    try:
        yield
    except UserError as error:
        if "/" in word:  # the whole name of a job
            raise
        path, near = _found(word, _is_study), _near(word)
        if path is not None:
            said = f"{path}: is a study, not a job; `{hints.JOBS_OF(study=path)}` lists its jobs\n"
        elif could_be_study and (near or not is_set_up):
            meant_instead = f" (did you mean {near}?)" if near else ""
            said = f"{word}: no study of this name is here{meant_instead}, so it was taken for a job: "
        else:
            raise
        raise UserError(f"{said}{error.message}") from error


def is_near() -> bool:
    """Tell whether a study is found where none is named."""
    return workspace.found(workspace.STUDY_FILE, os.path.isfile) is not None


def study_file(given: str | None) -> str:
    """Find the study file that a person means, for a command that needs one.

    Raises:
        UserError: There is none, or a study folder is named.
    """
    found = meant(given, folders=False)
    if found.file is None:
        raise UserError(
            f"{found.folder}: is a study folder, with results; this command needs the study file that it was made from"
        )
    return found.file


def _left_out(folders: bool) -> Meant:
    if (path := _found("", _holds_study) if folders else _found(workspace.STUDY_FILE, os.path.isfile)) is not None:
        return _at(path, folders)
    upwards = " or in a folder above it, up to the root of the repository" if workspace.repository() else ""
    raise click.UsageError(
        f"no study is named, and there is no {workspace.STUDY_FILE} in the working folder{upwards}; give a study file "
        f"or its folder, or make one with `{hints.NEW}`"
    )


def _found(given: str, is_it: Callable[[Path], bool]) -> Path | None:
    """Find what a person names: a path that begins with a dot or a slash is that one alone.

    Raises:
        UserError: The path is too long, or may not be looked at.
    """
    try:
        if given.startswith((".", "/")):
            return Path(given) if is_it(Path(given)) else None
        return workspace.found(given, is_it)
    except OSError as error:
        denied = f": {what_denies(str(error.filename))}" if isinstance(error, PermissionError) else ""
        raise UserError(f"{given}: {error.strerror}{denied}; choose another path") from None


def _is_study(path: Path) -> bool:
    return _holds_study(path) if path.is_dir() else path.exists()


def _holds_study(folder: Path) -> bool:
    return (folder / workspace.STUDY_FILE).is_file() or _is_study_folder(str(folder))


def _at(path: Path, folders: bool) -> Meant:
    if not path.is_dir():
        return Meant(file=str(path))
    file = path / workspace.STUDY_FILE
    is_folder = _is_study_folder(str(path)) if folders else not file.is_file()
    return Meant(folder=str(path)) if is_folder else Meant(file=str(file))


def _is_study_folder(root: str) -> bool:
    from kfp_bayesopt.folder.roots import is_study_folder  # `--help` waits for nothing

    return is_study_folder(root)


def _shipped() -> list[Path]:
    return sorted(shipped.STUDIES.glob("*.yaml"))


def _without_study(folder: Path) -> str:
    """Say that a folder has no study, and what may be meant instead."""
    problem = f"{folder}: holds no study: neither {workspace.STUDY_FILE} nor the files of a study folder"
    others = [path for path in sorted(folder.glob("*")) if path.suffix in SUFFIXES and _looks_like_study(path)]
    if others:
        return f"{problem}; did you mean {' or '.join(map(str, others[:3]))}?"
    tool = next((tool for pattern, tool in OTHER_TOOLS.items() if next(folder.glob(pattern), None)), None)
    if tool is not None:
        return f"{problem}; it looks like a folder of {tool}, whose trials `{hints.IMPORT}` takes along"
    return f"{problem}; `{hints.NEW}` makes a folder that has one"


def _looks_like_study(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"\nspace:" in b"\n" + file.read(100_000)
    except OSError:
        return False


def _nothing(given: str) -> str:
    """Say that there is nothing of a name, and which name is near."""
    near = _near(given)
    hint = f"did you mean {near}?" if near else f"give a study file or its folder, or `{hints.NEW}` makes one"
    return f"{given}: no such file or folder; {hint}"


def _near(given: str) -> str | None:
    """Return the study that was probably meant by a name that is none."""
    known = {**dict(_names_beside(given)), **{each.stem: each.stem for each in _shipped()}}
    near = difflib.get_close_matches(Path(given).name[:100], list(known), 1)
    return known[near[0]] if near else None


def _names_beside(given: str) -> Iterator[tuple[str, str]]:
    """Yield the names that a study could have in the folder of a path, each with its whole path."""
    folder = _found(str(Path(given).parent), os.path.isdir)
    if folder is not None and os.access(folder, os.R_OK | os.X_OK):
        for path in sorted(folder.iterdir()):
            if path.suffix in SUFFIXES or path.is_dir():
                yield path.name, str(path)
                yield path.stem, str(path)
