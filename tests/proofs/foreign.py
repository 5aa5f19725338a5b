"""Files of other programs, good and damaged: search spaces, settings, tables and storages, and how each is read.

Text is damaged as any other (`tests.proofs.fuzzing`). Tables and databases are made again with other cells, types,
names and rows, because damaged bytes of a binary file seldom get far.
"""

from __future__ import annotations

import io
import itertools
import os
import random
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from kfp_bayesopt.cli.commands.convert_command import read_space, text_of
from kfp_bayesopt.exchange.formats.csv_table import write_csv
from kfp_bayesopt.exchange.formats.optuna import write_optuna
from kfp_bayesopt.exchange.formats.parquet_table import write_parquet
from kfp_bayesopt.exchange.importing import collect
from kfp_bayesopt.folder.earlier import parse_earlier
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline import shipped
from kfp_bayesopt_pipeline.images import load_images
from kfp_bayesopt_pipeline.places.kfp import KfpSettings
from kfp_bayesopt_pipeline.places.settings import load_env, read_config
from kfp_bayesopt_pipeline.places.vertex import VertexSettings
from kfp_bayesopt_pipeline.plan.prices import read_prices
from tests.builders import a_record, a_study

SPACE: dict[str, Any] = {
    "lr": {"type": "real", "low": 0.1, "high": 0.9, "step": 0.1},
    "units": {"type": "integer", "low": 1, "high": 64, "log": True},
    "batch": {"type": "ordinal", "values": [8, 32, 256]},
    "kind": {"type": "categorical", "choices": ["a", 1, None, [1, {"a": 2}]]},
    "epochs": {"type": "constant", "value": 3},
    "decay": {"type": "real", "low": 0.0, "high": 1.0, "when": {"kind": "a"}},
}
STUDY: Study = a_study(
    space=SPACE, objective={"python": "a:b", "value": "loss"}, optimizer={"engine": "gp"}, limits={"size": "<= 3"},
    constraints=["lr * units <= 40"],
)  # fmt: skip
POINT: Parameters = {"lr": 0.3, "units": 8, "batch": 32, "kind": "a", "epochs": 3, "decay": 0.5}
LEDGER = [
    a_record(STUDY, 1, 0.5, parameters=POINT, values={"value": 0.5, "size": 1.0}),
    a_record(STUDY, 2, 0.25, parameters={**POINT, "lr": 0.7}, values={"value": 0.25, "size": 4.0}),
    a_record(STUDY, 3, None, parameters={**POINT, "units": 1}),
]
EXPERIMENT: dict[str, Any] = {
    "apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": {"name": "random"},
    "spec": {
        "objective": {"type": "maximize", "goal": 0.99, "objectiveMetricName": "a", "additionalMetricNames": ["loss"]},
        "algorithm": {"algorithmName": "random"}, "parallelTrialCount": 3, "maxTrialCount": 12,
        "maxFailedTrialCount": 3,
        "parameters": [
            {"name": "lr", "parameterType": "double", "feasibleSpace": {"min": "0.1", "max": "0.75", "step": "0.1"}},
            {"name": "rate", "parameterType": "double",
             "feasibleSpace": {"min": "1e-4", "max": "1", "distribution": "logUniform"}},
            {"name": "layers", "parameterType": "int", "feasibleSpace": {"min": "2", "max": "5", "step": "1"}},
            {"name": "batch", "parameterType": "discrete", "feasibleSpace": {"list": ["64", "32"]}},
            {"name": "optimizer", "parameterType": "categorical", "feasibleSpace": {"list": ["sgd", "adam"]}},
        ],
    },
}  # fmt: skip
TUNING_JOB: dict[str, Any] = {
    "maxTrialCount": 20, "parallelTrialCount": 4, "maxFailedTrialCount": 2,
    "studySpec": {
        "metrics": [{"metricId": "accuracy", "goal": "MAXIMIZE"}], "algorithm": "ALGORITHM_UNSPECIFIED",
        "parameters": [
            {"parameterId": "lr", "doubleValueSpec": {"minValue": 0.1, "maxValue": 1}, "scaleType": "UNIT_LOG_SCALE"},
            {"parameterId": "units", "integerValueSpec": {"minValue": "16", "maxValue": "64"}, "scaleType": 1},
            {"parameterId": "batch", "discreteValueSpec": {"values": [32, 64]}},
            {"parameterId": "optimizer", "categoricalValueSpec": {"values": ["sgd", "adam"]},
             "conditionalParameterSpecs": [{
                 "parentCategoricalValues": {"values": ["sgd"]},
                 "parameterSpec": {"parameterId": "momentum", "doubleValueSpec": {"maxValue": 1},
                                   "scaleType": "UNIT_REVERSE_LOG_SCALE"},
             }]},
        ],
    },
}  # fmt: skip
IMAGES = {step: f"registry/{step}:1.0" for step in ("init", "evaluate", "update", "worker", "report")}
SETTINGS = {
    "project_id": "my-project",
    "region": "europe-west1",
    "pipeline_root": "gs://b/c",
    "host": None,
    "token": "",
}
EARLIER = [
    {"origin": "a", "same": True, "parameters": POINT, "values": {"value": 0.5}},
    {"origin": "b.csv", "same": False, "parameters": {"lr": 0.1}, "values": {}},
]
ENV = b"""# of the person
GOOGLE_CLOUD_REGION=europe-west1
export KFP_TOKEN='a b'
EXPERIMENT_NAME="a${KFP_TOKEN:-none}\\n" # of the team
EMPTY=
"""

YAML: dict[str, list[Any]] = {"katib": [EXPERIMENT], "vertex": [TUNING_JOB]}
"""Search spaces, as data; what can be read as YAML can be JSON, too."""
JSON: dict[str, list[Any]] = {"images": [{**IMAGES, "study": "0" * 64}], "settings": [SETTINGS], "earlier": EARLIER}
SUFFIXES = {"csv": ".csv", "parquet": ".parquet", "optuna": ".db"}


@cache
def exported(name: str) -> bytes:
    """Return what `make export` writes of a small study, in a format."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"exported{SUFFIXES[name]}"
        {"csv": write_csv, "parquet": write_parquet, "optuna": write_optuna}[name](STUDY, LEDGER, path)
        return path.read_bytes()


def contents() -> dict[str, bytes]:
    """Return the good files that are no JSON, by what they are."""
    return {"prices": shipped.PRICES.read_bytes(), "env": ENV, **{name: exported(name) for name in SUFFIXES}}


def _as_env(path: str) -> None:
    before = dict(os.environ)
    try:
        load_env(Path(path))
    finally:
        os.environ.clear()
        os.environ.update(before)


def _as_settings(path: str) -> None:
    known = [*VertexSettings.described(), *KfpSettings.described()]
    values, lines = read_config(Path(path), known)
    for model in (VertexSettings, KfpSettings):
        lines += model.read(values, "submit")[1]
    _show(lines)


def _as_space(path: str) -> str:
    return _show([text_of(read_space(path))])


def _as_trials(path: str) -> None:
    collect(STUDY, [path], Path())


def _show(lines: list[str]) -> str:
    """Check that a terminal may show lines."""
    for line in "\n".join(lines).splitlines():
        assert line.isprintable(), f"printed: {line!a:.200}"
    return "\n".join(lines) or "nothing"


READERS: dict[str, Callable[[str], Any]] = {
    "katib": _as_space,
    "vertex": _as_space,
    "prices": lambda path: read_prices(Path(path)),
    "images": lambda path: load_images(Path(path)),
    "settings": _as_settings,
    "env": _as_env,
    "earlier": lambda path: parse_earlier(Path(path).read_bytes(), path, STUDY.space),
    **dict.fromkeys(SUFFIXES, _as_trials),
}


# --- tables and databases that are made again -----------------------------------------------------

CELLS = [
    *("", " ", "0.3", "0.30000000000000004", "1", "1.0", "8", "32", "64", "65", "-1", "1e999", "-inf", "nan", "NaN"),
    *("1" + "0" * 400, "9" * 5000, "0." + "3" * 2000, "[" * 3000, '{"a":' * 500, "1_000", "0,5", "1,234.5", "\u0663"),
    *('[1,{"a":2}]', '{"a":1,"a":2}', "null", "true", "True", "a", "\x1b[2J\x07", "\u2028", "\x00", "\ufeff", '"', "'"),
    *('"a', "a\nb", "a\rb", "a" * 200_000, "completed", "failed", "stopped", "RUNNING", "2026-01-01T00:00:00", "12:30"),
    *("\ud7ff", "\U0010ffff", "5 %", "0x10", "=1+1"),
]
NAMES = [
    "parameter.lr",
    "lr",
    "value",
    "metric.value",
    "state",
    "metric.size",
    "x",
    "",
    "\x1b[2J",
    "a" * 100_000,
    " lr ",
]


MOST_TEXT = 3_000_000
"""In characters: a table is made within the limit of memory that it is read in."""


def damaged_table(chance: random.Random) -> bytes:
    """Return a table of text with other cells, names, rows, and ends of lines."""
    rows = [line.split(",") for line in exported("csv").decode().splitlines()]
    for _ in range(chance.choice([1, 1, 2, 5])):
        row = chance.choice(rows)
        column = chance.randrange(len(row)) if row else 0
        kind = chance.random()
        if kind < 0.5 and row:
            row[column] = chance.choice(CELLS if row is not rows[0] else CELLS + NAMES * 4)
        elif kind < 0.6 and row:
            del row[column:]
        elif kind < 0.7:
            cell = chance.choice(CELLS)
            row[column:column] = [cell] * min(chance.choice([1, 1, 20, 11_000]), 1_000_000 // (1 + len(cell)))
        elif kind < 0.8:
            rows.insert(chance.randrange(len(rows) + 1), [chance.choice(CELLS)])
        elif kind < 0.9:
            for each in rows:
                each[column : column + 1] = []
        else:
            rows += [list(row)] * min(chance.choice([1, 3, 2000]), 1_000_000 // (1 + sum(map(len, row))))
    sizes = itertools.accumulate(sum(map(len, row)) + len(row) for row in rows)
    rows = [row for row, size in zip(rows, sizes, strict=True) if size < MOST_TEXT]
    quoted = chance.random() < 0.5
    separator = chance.choice([",", ",", ",", ",", ";", "\t"])
    text = chance.choice(["\n", "\r\n", "\r", "\n\n", "\u2028"]).join(
        separator.join('"' + cell.replace('"', '""') + '"' if quoted else cell for cell in row) for row in rows
    )
    return text.encode(chance.choice(["utf-8"] * 8 + ["utf-16", "utf-8-sig"]), errors="surrogatepass")


def _column(chance: random.Random, count: int) -> Any:
    """Return a column of a random type."""
    number = chance.choice([0, 1, 8, 32, -1, 2**62, 0.3])
    makers: Sequence[Callable[[], Any]] = (
        lambda: pyarrow.array([float(number)] * count),
        lambda: pyarrow.array([chance.choice([0.3, float("nan"), float("inf"), 1e308, None])] * count),
        lambda: pyarrow.array([chance.choice(CELLS).encode(errors="replace").decode()[:1000] for _ in range(count)]),
        lambda: pyarrow.array([chance.choice(CELLS)] * count, pyarrow.large_string()).dictionary_encode(),
        lambda: pyarrow.array([b"\xff\x00"] * count),
        lambda: pyarrow.array([[1, 2], [], None][:count] + [[3]] * (count - 3)),
        lambda: pyarrow.array([["a" * chance.choice([1, 200_000])]] * count),
        lambda: pyarrow.array([{"a": {"b": 1}}] * count),
        lambda: pyarrow.array([Decimal("0.30")] * count, pyarrow.decimal256(60, 30)),
        lambda: pyarrow.array([datetime(2026, 1, 1, tzinfo=UTC)] * count),
        lambda: pyarrow.array([2**62] * count, pyarrow.timestamp("ms")),
        lambda: pyarrow.array([-(2**31)] * count, pyarrow.date32()),
        lambda: pyarrow.array([timedelta(days=1)] * count),
        lambda: pyarrow.array([2**63] * count, pyarrow.uint64()),
        lambda: pyarrow.array([True] * count),
        lambda: pyarrow.nulls(count),
        lambda: pyarrow.array([[("a", 1)]] * count, pyarrow.map_(pyarrow.string(), pyarrow.int8())),
        lambda: pyarrow.DictionaryArray.from_arrays(
            pyarrow.array([0] * count, pyarrow.int32()), pyarrow.array(["7" * 100_000])
        ),
    )
    return chance.choice(makers)()


def _many(column: Any, count: int) -> Any:
    """Return a column with its first cell many times, where that fits into memory."""
    return pyarrow.repeat(column[0], count) if column.nbytes < 100 else pyarrow.nulls(count)


def damaged_parquet(chance: random.Random) -> bytes:
    """Return a Parquet file with other columns, types, names and rows."""
    table = parquet.read_table(pyarrow.BufferReader(exported("parquet")))
    count = chance.choice([0, 1, 3, 3, 3, 500, 200_000]) if chance.random() < 0.3 else 3
    names, columns = list(table.column_names), [each.slice(0, count) for each in table.columns]
    if count > 3:
        columns = [pyarrow.repeat(each[0], count) for each in columns]
    for _ in range(chance.choice([1, 1, 2, 4])):
        place = chance.randrange(len(names))
        kind = chance.random()
        if kind < 0.6:
            columns[place] = _column(chance, min(count, 3)) if count <= 3 else _many(_column(chance, 3), count)
        elif kind < 0.8:
            names[place] = chance.choice(NAMES)
        elif len(names) > 1:
            del names[place], columns[place]
    file = io.BytesIO()
    try:
        parquet.write_table(
            pyarrow.Table.from_arrays(columns, names=names),
            file,
            compression=chance.choice(["none", "snappy", "gzip"]),
            use_dictionary=chance.random() < 0.7,
            row_group_size=chance.choice([None, 1, 1000]) if count < 1000 else None,
        )
    except (pyarrow.ArrowException, MemoryError, OSError):  # what cannot be written here is nobody's file
        return exported("parquet")[: chance.randrange(1000)]
    return file.getvalue()


def damaged_storage(chance: random.Random) -> bytes:
    """Return a storage of Optuna with other cells, and without tables, rows and columns."""
    database = sqlite3.connect(":memory:")
    database.deserialize(exported("optuna"))
    database.execute("PRAGMA foreign_keys = OFF")
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    values = [
        *(None, -1, 0, 2**62, 1.5, float("inf"), -1e308, "", "a", "COMPLETE", "FAIL", "PRUNED", "MINIMIZE", "INF_NEG"),
        *(b"\xff", "\x1b[2J", "x" * 100_000, "[" * 5000, "{}", "null", '{"name": "CategoricalDistribution"}', "lr"),
        *('{"name": "FloatDistribution", "attributes": {"low": 0, "high": 1, "step": 0, "log": false}}',
          '{"name": "IntDistribution", "attributes": {"low": 1, "high": ' + "9" * 400 + ', "step": 1, "log": true}}',
          '{"name": "CategoricalDistribution", "attributes": {"choices": [[1, {"a": 2}], null, NaN]}}', "v0"),
    ]  # fmt: skip
    for _ in range(chance.choice([1, 1, 2, 4])):
        table = chance.choice(tables)
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")] or ["dropped"]
        column, kind = chance.choice(columns), chance.random()
        where = chance.choice(["", " WHERE rowid = 1", " WHERE rowid % 2"])
        try:
            if kind < 0.7:
                database.execute(f"UPDATE {table} SET {column} = ?{where}", [chance.choice(values)])
            elif kind < 0.85:
                database.execute(f"DELETE FROM {table}{where}")
            elif kind < 0.95:
                database.execute(f"DROP TABLE {table}")
            else:
                database.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO other")
        except sqlite3.Error:  # not with what the table asks for
            continue
    database.commit()
    content = database.serialize()
    database.close()
    return content


MADE: dict[str, Callable[[random.Random], bytes]] = {
    "csv": damaged_table,
    "parquet": damaged_parquet,
    "optuna": damaged_storage,
}


def load() -> None:
    """Read a good file of each kind, so that libraries are there before time and memory are measured."""
    with tempfile.TemporaryDirectory() as folder:
        for name in SUFFIXES:
            path = Path(folder) / f"good{SUFFIXES[name]}"
            path.write_bytes(exported(name))
            READERS[name](str(path))
