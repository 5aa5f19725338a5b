"""The folder in which a trial saves its progress, so that the next attempt can continue from there."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from kfp_bayesopt.errors import shown
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.store import storage
from kfp_bayesopt.store.local import make_folder, path_below, share_below
from kfp_bayesopt.store.names import problem_with_name
from kfp_bayesopt.trial.process.sessions import Sessions, temporary_folder
from kfp_bayesopt.trial.process.threads import repeating
from kfp_bayesopt.trial.said import forget_said

VARIABLE = "BAYESOPT_CHECKPOINT"
SECONDS_BETWEEN_LOOKS = 15.0
MOST_BYTES = 2**31
"""The largest file in a bucket: it is sent whole, from memory."""
UNFINISHED = (".tmp", ".part")
"""Suffixes of unfinished files; names that begin with a dot are unfinished too."""

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def checkpoint(
    study_folder: StudyFolder, trial: int, sessions: Sessions, before: Callable[[], None] = lambda: None
) -> Iterator[Path | None]:
    """Yield the checkpoint folder of a trial; None if the study does not ask for one.

    If the study folder is on this machine, it lies there. From a bucket its files are fetched, and changed files are
    sent back while the block runs and at its end, however it ends; `before` is called before each time.
    """
    if not study_folder.study.checkpoint:
        yield None
        return
    uri = study_folder.checkpoint_uri(trial)
    if storage.is_local(uri):
        folder = Path(uri)
        try:
            make_folder(folder)
        except OSError as error:
            logger.warning("%s: the trial goes without a checkpoint: %s", uri, error.strerror)
            yield None
            return
        try:
            yield folder.resolve()
        finally:
            share_below(folder)
        return
    with temporary_folder(sessions) as folder:
        mirror = _Mirror(uri, folder, before)
        mirror.fetch()
        with mirror.following():
            yield folder


def goes_on_from(saved: Path | None) -> bool:
    """Tell whether an attempt finds a checkpoint of an earlier one."""
    return saved is not None and any(_is_finished(path) for path in saved.rglob("*") if not path.is_dir())


def _is_finished(path: Path) -> bool:
    return not path.name.startswith(".") and not path.name.endswith(UNFINISHED)


def forget(study_folder: StudyFolder, record: Record) -> None:
    """Delete the checkpoint and the interim metrics of an ended trial; files still to be read again stay."""
    if not study_folder.study.checkpoint:
        return
    above, _, name = study_folder.checkpoint_uri(record.trial).rpartition("/")
    try:
        if storage.is_local(above):  # a person may have made it a link, or one above it: to another disk
            above = str(Path(above).resolve())
        storage.delete_folder(f"{above}/{name}", above)
        if not record.is_unread:
            forget_said(study_folder, record.trial, record.attempt)
    except Exception as error:  # whatever it is, the record is worth more
        logger.warning("trial %d: its checkpoint cannot be deleted: %s", record.trial, error)


class _Mirror:
    """A mirror of a folder's files in a bucket."""

    def __init__(self, uri: str, folder: Path, before: Callable[[], None]) -> None:
        self._uri = uri
        self._before = before
        self._folder = folder
        self._sent: dict[Path, tuple[int, int]] = {}

    def fetch(self) -> None:
        """Fetch the checkpoint of an earlier attempt.

        Raises:
            UserError: It cannot be read: starting over would throw away its work.
        """
        for entry in storage.entries(f"{self._uri}/"):
            name = entry.uri.removeprefix(f"{self._uri}/")
            if problem := problem_with_name(name):
                logger.warning("%s: is not fetched: %s", shown(entry.uri), problem)
                continue
            path = path_below(self._folder, name)
            storage.copy(entry.uri, str(path))
            self._sent[path] = _state(path)

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Send changed files from time to time and at the end."""
        try:
            with repeating(self._send, SECONDS_BETWEEN_LOOKS):
                yield
        finally:
            self._send()

    def _send(self) -> None:
        try:
            for path in sorted(self._folder.rglob("*")):
                if not _is_finished(path) or path.is_symlink():
                    continue
                if not path.is_file() or (state := _state(path)) == self._sent.get(path):
                    continue
                if state[0] > MOST_BYTES:
                    logger.warning("%s: larger than %d bytes; it is not kept", path.name, MOST_BYTES)
                else:
                    content = path.read_bytes()
                    self._before()  # what was said until then, so that nobody goes on from more than that
                    storage.replace(f"{self._uri}/{path.relative_to(self._folder).as_posix()}", content)
                self._sent[path] = state
        except Exception as error:  # whatever it is: the trial is worth more than what it saves
            logger.warning("%s: cannot be sent: %s", self._uri, error)


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
