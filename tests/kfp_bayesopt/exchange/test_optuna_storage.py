"""Storages of Optuna are read and never written, and what is none stays as it is."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.formats import optuna_storage
from kfp_bayesopt.exchange.formats.csv_table import write_csv
from kfp_bayesopt.exchange.formats.optuna import write_optuna
from kfp_bayesopt.exchange.formats.parquet_table import write_parquet
from kfp_bayesopt.exchange.importing import collect
from kfp_bayesopt.store import storage
from tests.builders import a_record, a_study

STUDY = a_study(optimizer={"engine": "gp"})
LEDGER = [a_record(STUDY, number, number / 2, parameters={"x1": float(number), "x2": 1.5}) for number in (1, 2, 3)]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    write_optuna(STUDY, LEDGER, tmp_path / "in" / "study.db")
    return tmp_path / "in" / "study.db"


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("name", ["a?mode=memory.db", "%2e%2e.db", "a b#c&d.db", "{x}.db", "file:x.db", ":memory:.db"])
def test_a_storage_is_read_whatever_its_file_is_called(stored: Path, name: str) -> None:
    (stored.parent / "a").write_text("mine")
    stored.rename(stored.with_name(name))
    before = contents(stored.parent)
    assert [each.values["value"] for each in collect(STUDY, [name], stored.parent)] == [0.5, 1.0, 1.5]
    assert contents(stored.parent) == before


@pytest.mark.parametrize("name", ["a?mode=memory.db", "%2e%2e.db", "{x}.db", "file:x.db"])
def test_a_storage_is_written_whatever_its_file_is_called(name: str, tmp_path: Path) -> None:
    write_optuna(STUDY, LEDGER, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(collect(STUDY, [name], tmp_path)) == 3


@pytest.fixture
def in_use(stored: Path) -> Iterator[Path]:
    """A storage whose last trial stands in its log alone, as in that of a study that runs."""
    connection = sqlite3.connect(stored)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("UPDATE trial_values SET value = 7.0 WHERE trial_id = 3")
    connection.commit()
    yield stored
    connection.close()


def test_what_a_running_study_has_not_put_into_its_database_yet_is_read(in_use: Path) -> None:
    before = contents(in_use.parent)
    assert list(before) == ["study.db", "study.db-shm", "study.db-wal"]
    assert [each.values["value"] for each in collect(STUDY, ["study.db"], in_use.parent)] == [0.5, 1.0, 7.0]
    assert contents(in_use.parent) == before


def test_what_was_not_finished_is_not_read(stored: Path, tmp_path: Path) -> None:
    """A transaction that a kill has interrupted is undone in the copy alone."""
    connection = sqlite3.connect(stored, isolation_level=None)
    connection.execute("PRAGMA cache_spill = 1")
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN")
    connection.execute("UPDATE trial_values SET value = 7.0")
    connection.executemany("INSERT INTO alembic_version VALUES (?)", [(f"{number:032}",) for number in range(5000)])
    (tmp_path / "killed").mkdir()
    for path in (stored, Path(f"{stored}-journal")):
        (tmp_path / "killed" / path.name).write_bytes(path.read_bytes())
    connection.rollback()
    connection.close()
    assert (tmp_path / "killed" / "study.db").read_bytes() != stored.read_bytes(), "it is in the middle"
    before = contents(tmp_path / "killed")
    assert [each.values["value"] for each in collect(STUDY, ["study.db"], tmp_path / "killed")] == [0.5, 1.0, 1.5]
    assert contents(tmp_path / "killed") == before


def test_a_storage_that_changes_while_it_is_read_is_read_again(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [1]
    read = storage.read

    def changing(uri: str, limit: int) -> bytes:
        content = read(uri, limit)
        if uri.endswith(".db") and left and left.pop():
            os.utime(uri, (1, len(left)))
        return content

    monkeypatch.setattr(storage, "read", changing)
    assert len(collect(STUDY, ["study.db"], stored.parent)) == 3
    left += range(1, 100)
    with pytest.raises(UserError, match=r"study\.db: is being written all the time; stop its study, or give a copy"):
        collect(STUDY, ["study.db"], stored.parent)


def a_database(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["CREATE TABLE runs (id INTEGER)"], "is no storage of Optuna: it has no table 'studies'; nothing was written"),
        ([f"CREATE TABLE {name} (id INTEGER)" for name in sorted(optuna_storage.TABLES)],
         "is no storage of Optuna that can be read: "),
        ([f"CREATE TABLE {name} (id INTEGER)" for name in sorted(optuna_storage.TABLES - {"trials"})]
         + ["CREATE VIEW trials AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"],
         "is no storage of Optuna: it has no table 'trials'; nothing was written"),
    ],
)  # fmt: skip
def test_a_database_of_somebody_else_is_left_alone(statements: list[str], said: str, tmp_path: Path) -> None:
    a_database(tmp_path / "tracking.db", *statements)
    before = contents(tmp_path)
    with pytest.raises(UserError) as raised:
        collect(STUDY, ["tracking.db"], tmp_path)
    assert raised.value.message.startswith(f"warm_start: tracking.db: {said}")
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "content", [b"", b"no database at all, but long enough to be the head of one" * 20, b"\x00" * 4096]
)
def test_a_file_that_is_no_database_is_left_alone(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(content)
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r"^warm_start: x\.db: is no storage of Optuna: .*; nothing was written$"):
        collect(STUDY, ["x.db"], tmp_path)
    assert contents(tmp_path) == before


def test_the_database_of_somebody_else_is_not_written_over_by_any_export(tmp_path: Path) -> None:
    a_database(tmp_path / "mlflow.db", "CREATE TABLE runs (id INTEGER)")
    before = contents(tmp_path)
    for write in (write_csv, write_parquet, write_optuna):
        with pytest.raises(UserError, match=r"mlflow\.db: is there already.*; move it away, or give another file"):
            write(STUDY, LEDGER, tmp_path / "mlflow.db")
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("UPDATE trial_values SET value = 9e999 WHERE trial_id = 2", [0.5, None, 1.5]),
        ("UPDATE trial_values SET value = 'text' WHERE trial_id = 2", [0.5, None, 1.5]),
        ("UPDATE trial_values SET value_type = 'INF_POS', value = NULL WHERE trial_id = 2", [0.5, None, 1.5]),
        ("DELETE FROM trial_values WHERE trial_id = 2", [0.5, None, 1.5]),
        ("UPDATE trials SET state = 'WEIRD'", "is no storage of Optuna that can be read: "),
        ("UPDATE trial_params SET distribution_json = '['", "is no storage of Optuna that can be read: "),
        (
            "UPDATE trial_params SET distribution_json = replace(hex(zeroblob(50000)), '00', '[')",
            "is no storage of Opt",
        ),
        ("UPDATE trial_params SET param_name = 'y' || param_id", "no trial in it has a parameter of the study: x1, x2"),
        ("UPDATE alembic_version SET version_num = 'v0'", "is no storage of Optuna that can be read: The runtime"),
        ("DELETE FROM studies", "has no study"),
        ("UPDATE studies SET study_name = char(27) || '[2J'", [0.5, 1.0, 1.5]),
        ("INSERT INTO studies VALUES (2, char(27) || '[2J')", [0.5, 1.0, 1.5]),
        ("DROP TABLE trial_heartbeats", [0.5, 1.0, 1.5]),
    ],
)
def test_a_damaged_storage_gives_values_or_one_message(stored: Path, statement: str, values: Any) -> None:
    a_database(stored, statement)
    try:
        found: Any = [each.values.get("value") for each in collect(STUDY, ["study.db"], stored.parent)]
    except UserError as error:
        found = error.message.removeprefix("warm_start: study.db: ")[: len(values)]
    assert found == values


def test_of_several_studies_the_names_are_said_as_a_terminal_can_show_them(tmp_path: Path) -> None:
    for name in ("\x1b[2Ja", "b" * 300):
        optuna.create_study(storage=f"sqlite:///{tmp_path}/s.db", study_name=name)
    with pytest.raises(UserError) as raised:
        collect(STUDY, ["s.db"], tmp_path)
    assert raised.value.message == (
        f"warm_start: s.db: has several studies, and none is called branin: '\\x1b[2Ja', '{'b' * 37}...{'b' * 38}'"
    )
