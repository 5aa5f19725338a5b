"""Keeps the files that a trial writes to BAYESOPT_OUTPUT, such as its model, and a list of them, before its record."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from kfp_bayesopt.errors import UnavailableError, UserError, shown_name
from kfp_bayesopt.folder.study_folder import THREADS, StudyFolder
from kfp_bayesopt.folder.trials import KeptFile, Manifest
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.names import can_be_object, problem_with_name
from kfp_bayesopt.trial.process.sessions import Sessions, temporary_folder
from kfp_bayesopt.trial.room import with_room

MOST_FILES = 100_000
# Part of the time that a stopped process has to end: files not sent by then are missing.
SECONDS_TO_SEND = 8.0
LIST_PATIENCE = 30.0
"""The seconds to wait for space for the list: the record comes after it."""

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def output_folder(study_folder: StudyFolder, trial: int, attempt: int, sessions: Sessions) -> Iterator[OutputFiles]:
    """Yield the folder for kept files: in the study folder, or a temporary one from which they are sent there."""
    uri = study_folder.output_uri(trial, attempt)
    problem = None
    if storage.is_local(uri):
        folder = Path(uri)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = f"{uri}: {error.strerror}"
        else:
            try:
                yield OutputFiles(study_folder, trial, attempt, folder, sessions)
            finally:
                with contextlib.suppress(OSError):  # not empty, or gone
                    folder.rmdir()
            return
    with temporary_folder(sessions) as folder:
        yield OutputFiles(study_folder, trial, attempt, folder, sessions, problem)


@dataclass(frozen=True)
class OutputFiles:
    """The folder for the kept files of an attempt.

    Attributes:
        study_folder: The study folder.
        trial: The trial.
        attempt: The attempt at it.
        path: The folder that the objective writes to.
        sessions: The sessions of the process; they are stopped when it is.
        problem: The reason that nothing can be kept.
    """

    study_folder: StudyFolder
    trial: int
    attempt: int
    path: Path
    sessions: Sessions
    problem: str | None = None

    def keep(self) -> str | None:
        """Keep the written files, and return the reason that any is missing; None if all are kept.

        A reader of the list of the files finds all of them as listed.
        """
        found = _Found()
        try:
            found = _look(self.path)
            if found.is_empty:
                return None
            files = {} if self.problem else self._send(found)
            missing = self.problem or found.problem
            if missing is None:
                self._write(found, files)
        except Exception as error:  # whatever it is, the record is worth more
            missing = error.message if isinstance(error, UserError) else str(error) or type(error).__name__
        if found.left_out:
            logger.warning("trial %d: left out of BAYESOPT_OUTPUT: %s", self.trial, _listed(found.left_out))
        if missing is not None:
            logger.warning("trial %d: the files that it wrote to BAYESOPT_OUTPUT are not kept: %s", self.trial, missing)
        return missing

    def _send(self, found: _Found) -> dict[str, KeptFile]:
        """Send all files to the study folder, unless they are there, and return the kept ones by name."""
        uri = self.study_folder.output_uri(self.trial, self.attempt)
        is_here = storage.is_local(uri)
        is_away = threading.Event()
        files: dict[str, KeptFile] = {}

        def is_over() -> bool:
            return is_away.is_set() or self._is_late()

        def keep_one(name: str) -> None:
            if is_over():
                return
            there = None if is_here else _name_of_object(uri, name)
            path = str(found.files[name])
            try:
                target = f"{uri}/{there or name}"
                entry = storage.digest(path, is_over) if is_here else storage.copy(path, target, is_over)
            except UnavailableError:
                is_away.set()
                raise
            except UserError as error:  # the others may be of use without it
                found.missing[name] = error.message.removeprefix(f"{path}: ")
            else:
                assert entry.md5 is not None
                files[name] = KeptFile(name=name, size=entry.size, md5=entry.md5, object=there)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(keep_one, sorted(found.files)))
        if self._is_late():
            raise UserError("its process was told to stop before all files were kept")
        return files

    def _is_late(self) -> bool:
        return time.monotonic() > self.sessions.stopped_at + SECONDS_TO_SEND

    def _write(self, found: _Found, files: dict[str, KeptFile]) -> None:
        study = self.study_folder.study
        manifest = Manifest(
            study=study.name,
            fingerprint=study.fingerprint,
            trial=self.trial,
            attempt=self.attempt,
            files=[files[name] for name in sorted(files)],
            folders=sorted(found.folders),
            left_out=[f"{shown_name(name)}: {why}" for name, why in sorted(found.left_out.items())],
        )
        uri, content = self.study_folder.manifest_uri(self.trial, self.attempt), manifest.to_bytes()
        with_room(lambda: storage.create(uri, content), self.sessions, LIST_PATIENCE)


@dataclass
class _Found:
    """The content of a folder, by path.

    Attributes:
        files: The files to keep, and their real paths, with links followed.
        folders: Empty folders.
        left_out: Entries that are not files of the folder, and the reasons.
        missing: Entries that cannot be kept, and the reasons.
    """

    files: dict[str, Path] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.files or self.folders or self.left_out or self.missing)

    @property
    def problem(self) -> str | None:
        """The reason that something is missing, in a line; None if nothing is."""
        return _listed(self.missing) if self.missing else None


def _look(root: Path) -> _Found:
    """List a folder. A link counts as its target, if that is in the folder too."""
    found = _Found()
    root = root.resolve()
    waiting: list[tuple[Path, str, frozenset[str]]] = [(root, "", frozenset([str(root)]))]
    while waiting:
        folder, prefix, above = waiting.pop()
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208 - names that are no Unicode too
        except OSError as error:
            found.missing[prefix] = error.strerror or str(error)
            continue
        if not names and prefix:
            found.folders.append(prefix.removesuffix("/"))
        for each in names:
            name = prefix + each
            if problem := _problem_with(name):
                found.missing[name] = problem
            elif (inner := _sort_in(found, name, folder / each, root, above)) is not None:
                waiting.append((inner, f"{name}/", above | {str(inner)}))
        if len(found.files) > MOST_FILES:
            found.missing[prefix or "."] = f"there are more than {MOST_FILES:,} files; pack them into one"
            break
    return found


def _sort_in(found: _Found, name: str, path: Path, root: Path, above: frozenset[str]) -> Path | None:
    """Sort an entry of a folder by its kind; return it if it is a folder to list."""
    is_link = path.is_symlink()
    real = Path(os.path.realpath(path)) if is_link else path
    if not real.is_relative_to(root):
        found.left_out[name] = "a link to outside of the folder"
        return None
    try:
        mode = real.stat().st_mode
    except OSError as error:
        if is_link:
            found.left_out[name] = "a link to nothing"
        else:
            found.missing[name] = error.strerror or str(error)
        return None
    if stat.S_ISREG(mode):
        found.files[name] = real
    elif not stat.S_ISDIR(mode):
        found.left_out[name] = "a device, a pipe or a socket"
    elif str(real) in above:
        found.left_out[name] = "a link to a folder that it is in"
    else:
        return real
    return None


def _problem_with(name: str) -> str | None:
    """Return the reason a file with a name cannot be kept, in any store; None if it can."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is no Unicode"
    return problem_with_name(name)


def _name_of_object(uri: str, name: str) -> str | None:
    """Return the name of a file in a bucket, if no object can have its own name."""
    if can_be_object(f"{uri}/{name}"):
        return None
    return f"name-{hashlib.sha256(name.encode()).hexdigest()}"


def _listed(problems: dict[str, str]) -> str:
    first = next(iter(sorted(problems.items())))
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return f"{shown_name(first[0])}: {first[1]}{more}"
