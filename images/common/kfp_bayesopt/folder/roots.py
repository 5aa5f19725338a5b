"""The location of a study: in a bucket it follows from the study's identity, here it is a folder of results."""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from kfp_bayesopt import hints, workspace
from kfp_bayesopt.errors import DamagedError, NotFoundError, UnavailableError, UserError
from kfp_bayesopt.folder.data import Data
from kfp_bayesopt.folder.study_folder import StudyFolder, study_uri
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.local import share, what_denies
from kfp_bayesopt.study.study import Study

_RUN = re.compile(r"[0-9]{4,9}")
_STUDY = re.compile(r"[0-9a-f]{64}\.yaml")

logger = logging.getLogger(__name__)


def home_of_studies(pipeline_root: str) -> str:
    """Return the prefix of all studies below a pipeline root."""
    return f"{pipeline_root.rstrip('/')}/studies"


def root_of(pipeline_root: str, study: Study, fresh: bool = False, data: Data | None = None) -> str:
    """Return the folder of a study below a pipeline root: that of its highest run, or of the next one.

    Args:
        pipeline_root: What is above all studies.
        study: The study.
        fresh: Whether it is that of the next run.
        data: What its objective is given: with other data it is another folder.

    Raises:
        UserError: The bucket cannot be listed.
    """
    home = home_of(pipeline_root, study, data)
    highest = max((int(run) for run in runs_below(home)), default=0)
    return f"{home}/{max(1, highest + fresh):04d}"


def first_root(pipeline_root: str, study: Study, data: Data | None = None) -> str:
    """Return the folder of the first run of a study, where nobody can look for others."""
    return f"{home_of(pipeline_root, study, data)}/0001"


def home_of(pipeline_root: str, study: Study, data: Data | None = None) -> str:
    """Return what is above all runs of a study with its data."""
    of_data = f"-{data.short}" if data is not None else ""
    return f"{home_of_studies(pipeline_root)}/{study.name}/{study.fingerprint}{of_data}"


def runs_below(home: str) -> list[str]:
    """Return the names of the runs of a study in order."""
    return sorted((name for name in storage.folders(f"{home}/") if _RUN.fullmatch(name)), key=int)


def local_root(study: Study) -> str:
    """Return the default folder of a study on this machine."""
    return str(workspace.out(study.name))


def absolute(root: str) -> str:
    """Return a study folder so that it stays the same when the working folder changes."""
    return str(Path(root).absolute()) if storage.is_local(root) else root


def chosen_folder(study: Study, root: str | None, pipeline_root: str) -> str:
    """Return the given study folder, else that below the pipeline root if there is one, else that on this machine.

    Raises:
        UserError: The bucket cannot be listed.
    """
    return root or (root_of(pipeline_root, study) if pipeline_root else local_root(study))


def is_study_folder(root: str) -> bool:
    """Tell whether a folder holds a study: a study file by the digest in its name.

    Raises:
        UserError: It cannot be listed.
    """
    if storage.is_local(root) and not Path(root, "study").is_dir():  # a file of this name is of something else
        return False
    return bool(_study_files(root))


def move_aside(folder: Path) -> Path | None:
    """Move the content of a folder to a new folder beside it, named by the time; hidden files stay.

    Returns:
        The new folder; None if there was nothing to move.

    Raises:
        UserError: Something of it cannot be moved; then nothing is.
    """
    kept = [item for item in folder.iterdir() if not item.name.startswith(".")] if folder.is_dir() else []
    if not kept:
        return None
    name = f"{folder}.{datetime.now().astimezone():%Y-%m-%dT%H-%M-%S}"
    moved: list[Path] = []
    aside = None
    try:
        for each in (Path(name + end) for end in itertools.chain([""], (f"-{n}" for n in itertools.count(2)))):
            with contextlib.suppress(FileExistsError):
                each.mkdir()
                aside = each
                share(aside)
                break
        assert aside is not None
        for item in kept:
            item.rename(aside / item.name)
            moved.append(item)
    except OSError as error:
        for item in moved:
            (aside or folder).joinpath(item.name).rename(item)
        if aside is not None:
            aside.rmdir()
        denied = f": {what_denies(str(error.filename))}" if isinstance(error, PermissionError) else ""
        raise UserError(
            f"{folder}: cannot be moved aside to start again: {error.strerror}{denied}; nothing was moved; give "
            f"another folder with {hints.FOLDER}"
        ) from None
    return aside


def changed_root(pipeline_root: str, study: Study) -> str | None:
    """Return the newest folder below a pipeline root of a different study with the same name."""
    home = f"{home_of_studies(pipeline_root)}/{study.name}"
    others = [name for name in storage.folders(f"{home}/") if name.partition("-")[0] != study.fingerprint]
    return next(_newest_first(f"{home}/{name}" for name in others), None)


def newest_root(pipeline_root: str, name: str) -> str | None:
    """Return the newest folder below a pipeline root of a study of a name."""
    home = f"{home_of_studies(pipeline_root)}/{name}"
    return next(_newest_first(f"{home}/{each}" for each in storage.folders(f"{home}/")), None)


def root_of_other_data(pipeline_root: str, study: Study, data: Data | None) -> str | None:
    """Return the newest folder below a pipeline root of the same study with other data, if it has records.

    A folder that cannot be read is left out with a warning: no study needs another one.

    Raises:
        UserError: The bucket cannot be listed.
    """
    own = home_of(pipeline_root, study, data)
    above = own.rpartition("/")[0]
    homes = [f"{above}/{name}" for name in storage.folders(f"{above}/") if name.partition("-")[0] == study.fingerprint]
    for root in _newest_first(home for home in homes if home != own):
        try:
            if any(record.state == "completed" for record in study_folder(root).read().ended):
                return root
        except UnavailableError:
            raise
        except UserError as error:
            logger.warning("left out: %s", error.message)
    return None


def _newest_first(homes: Iterable[str]) -> Iterator[str]:
    """Yield the folder of the highest run below each of some folders, the one that was begun last first."""
    roots = [f"{home}/{runs[-1]}" for home in homes if (runs := runs_below(home))]
    begun = [(entry.created, root) for root in roots for entry in storage.entries(f"{root}/study/")]
    yield from dict.fromkeys(root for _, root in sorted(begun, reverse=True))


def last_study(root: str) -> Study | None:
    """Return the last submitted study of a folder with an intact file; None if there is none.

    Raises:
        UserError: No study file is what its name says.
    """
    return _last_of(_study_files(root))


def other_study(folder: StudyFolder, content: bytes | None = None) -> Study | None:
    """Return the study that a folder holds instead of its own, such as the same one before it was changed, if any.

    Args:
        folder: The study folder.
        content: The study file. A folder that has it was compared with it before.

    Raises:
        UserError: No study file of it is what its name says.
    """
    files = _study_files(folder.root)
    if content is not None and study_uri(folder.root, content) in files:
        return None
    found = _last_of(files)
    return found if found is not None and found.identity != folder.study.identity else None


def study_folder(root: str) -> StudyFolder:
    """Return a study folder with the study that was submitted last.

    Raises:
        NotFoundError: It has no study file.
        UserError: That is damaged.
    """
    study = last_study(root)
    if study is None:
        raise NotFoundError(f"{root}: holds no study file")
    return StudyFolder(root, study)


def _study_files(root: str) -> list[str]:
    """Return the study files of a folder, the last one last."""
    kept = [
        entry for entry in storage.entries(f"{root}/study/", depth=0) if _STUDY.fullmatch(entry.uri.rpartition("/")[2])
    ]
    return [entry.uri for entry in sorted(kept, key=lambda entry: (entry.created, entry.uri))]


def _last_of(files: Sequence[str]) -> Study | None:
    problem: DamagedError | None = None
    for uri in reversed(files):
        try:
            found = Study.from_file(uri)
        except DamagedError as error:
            problem = problem or error
            continue
        if problem is not None:
            logger.warning("left out: %s", problem.message)
        return found
    if problem is not None:
        raise problem
    return None
