"""Reads storages of Optuna, SQLite and journals, without opening the file itself: both write into files that they open.

They open a copy. The files that SQLite keeps beside a database in use belong to it, and are copied too.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kfp_bayesopt import extras
from kfp_bayesopt.errors import NotFoundError, UserError, named, shown
from kfp_bayesopt.exchange.foreign import of_a_library
from kfp_bayesopt.store import storage

MOST_BYTES = 200_000_000
MOST_TRIALS = 100_000
LONGEST_VALUE = 10_000_000
BESIDE = ("", "-wal", "-journal")
"""Suffixes of the files of a database: itself, and its pending changes."""
LOOKS = 5
METRICS = "study:metric_names"
"""Where Optuna keeps the names of the objectives: optuna.study._constrained_optimization and study.py."""
TABLES = frozenset({"studies", "study_directions", "trials", "trial_params", "trial_values", "version_info"})


@dataclass(frozen=True)
class StoredStudy:
    """A study in a storage.

    Attributes:
        directions: `minimize`, `maximize` or `not_set` for each objective.
        metrics: The names of the objectives in the same order; empty if they have none.
        trials: As Optuna has them.
    """

    directions: list[str]
    metrics: list[str]
    trials: list[Any]


def read_storage(path: str, source: str, name: str) -> StoredStudy:
    """Return the only study of a storage, or the one with a given name.

    Args:
        path: The file, which is not changed.
        source: Names it in messages.
        name: The name of the study to take from several.

    Raises:
        UserError: It is not a storage of Optuna, has no such study, or Optuna is not installed here.
    """
    with extras.needed_by(f"{source}: reading it", "optuna"):
        import optuna
        from optuna.storages.journal import JournalFileBackend
        from sqlalchemy.pool import NullPool
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        contents = _copied(path, source)
        for added, content in contents.items():
            copy.with_name(copy.name + added).write_bytes(content)
        is_journal = contents[""].startswith(b"{")
        if not is_journal:
            _check(copy, source)
        with of_a_library(source, "storage of Optuna"):
            stored: Any
            if is_journal:
                stored = optuna.storages.JournalStorage(JournalFileBackend(str(copy)))
            else:
                stored = optuna.storages.RDBStorage(
                    "sqlite://",
                    engine_kwargs={"creator": lambda: _opened(copy), "poolclass": NullPool},
                    skip_table_creation=True,
                )
            studies = stored.get_all_studies()
            names = [each.study_name for each in studies]
            chosen = names.index(name) if name in names else 0
            wanted = studies[chosen] if len(studies) == 1 or name in names else None
            trials = [] if wanted is None else stored.get_all_trials(wanted._study_id, deepcopy=False)
            directions = [] if wanted is None else [each.name.lower() for each in wanted.directions]
            metrics = [] if wanted is None else list(wanted.system_attrs.get(METRICS) or [])
            stored.remove_session()
    if len(trials) > MOST_TRIALS:
        raise _too_many(source, len(trials))
    if not names:
        raise UserError(f"{source}: has no study")
    if wanted is None:
        raise UserError(f"{source}: has several studies, and none is called {name}: {named(names)}")
    return StoredStudy(directions, metrics, trials)


def _copied(path: str, source: str) -> dict[str, bytes]:
    """Return the content of a database and the files that belong to it, all from the same moment.

    Raises:
        UserError: It is missing, or keeps changing.
    """
    for _ in range(LOOKS):
        before = list(_times(path))
        found = {}
        for added in BESIDE:
            try:
                found[added] = storage.read(path + added, limit=MOST_BYTES)
            except NotFoundError:
                if not added:
                    raise UserError(f"{source}: is missing") from None
        if list(_times(path)) == before:
            return found
    raise UserError(f"{source}: is being written all the time; stop its study, or give a copy")


def _times(path: str) -> Iterator[tuple[int, datetime] | None]:
    for added in BESIDE:
        try:
            entry = storage.stat(path + added)
            yield entry.size, entry.updated
        except NotFoundError:
            yield None


def _opened(copy: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(copy, check_same_thread=False)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    return connection


def _check(copy: Path, source: str) -> None:
    """Refuse a database without the tables of Optuna, or with too many trials.

    Raises:
        UserError: The reason.
    """
    connection = _opened(copy)
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables >= TABLES:
            raise UserError(
                f"{source}: is no storage of Optuna: it has no table {shown(min(TABLES - tables))}; nothing was written"
            )
        (count,) = connection.execute("SELECT count(*) FROM trials").fetchone()
    except sqlite3.Error as error:
        raise UserError(f"{source}: is no storage of Optuna: {error}; nothing was written") from None
    finally:
        connection.close()
    if count > MOST_TRIALS:
        raise _too_many(source, count)


def _too_many(source: str, count: int) -> UserError:
    return UserError(f"{source}: has {count:,} trials, more than {MOST_TRIALS:,}; give a table of the best")
