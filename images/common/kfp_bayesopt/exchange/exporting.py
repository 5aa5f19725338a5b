"""Writes the trials of a study for other tools: a table as CSV or Parquet, or a storage for Optuna."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import sys
import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.space.goals import broken, excesses
from kfp_bayesopt.space.parameters import Categorical, Constant, Integer, Ordinal, Parameter, Real, Value
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.sources.base import VALUE
from kfp_bayesopt.study.study import Study

FIRST = ("trial", "state", "value")
LAST = ("broken", "iteration", "seconds", "cost", "started", "reason")


def write_csv(study: Study, ledger: Sequence[Record], path: Path) -> None:
    """Write a line for each trial: parameters as `parameter.NAME`, metrics as `metric.NAME`; text as in JSON."""
    if _is_there(path):
        _check_table(path, storage.read_range(str(path), 0, 100).startswith(",".join(FIRST).encode()))
    columns = _columns(study, ledger)
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(columns)
    table.writerows(zip(*columns.values(), strict=True))
    storage.replace(str(path), file.getvalue().encode())


def write_parquet(study: Study, ledger: Sequence[Record], path: Path) -> None:
    """Write the same table as `write_csv`, with a type for each column; choices of several types become JSON.

    Raises:
        UserError: pyarrow is not installed here.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            "this needs the package pyarrow: pip install pyarrow, or `make export FORMAT=parquet`"
        ) from None
    if _is_there(path):
        try:
            found = tuple(parquet.read_schema(path).names[: len(FIRST)])
        except (pyarrow.ArrowException, OSError):
            found = ()
        _check_table(path, found == FIRST)
    columns = {name: pyarrow.array(_of_one_type(cells)) for name, cells in _columns(study, ledger).items()}
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file)
    storage.replace(str(path), file.getvalue())


def _is_there(path: Path) -> bool:
    """Tell whether a file has content that would be lost."""
    return path.exists() and storage.stat(str(path)).size > 0


def _check_table(path: Path, is_ours: bool) -> None:
    """Refuse to overwrite a file that is not an export.

    Raises:
        UserError: It is not an export.
    """
    if not is_ours:
        raise UserError(f"{path}: is there already, and is no such table; move it away, or give another file: TO=file")


def _of_one_type(cells: Sequence[Value]) -> Sequence[Value]:
    """Return cells that are all text, all whole numbers or all numbers; as JSON otherwise."""
    kinds = {type(cell) for cell in cells if cell is not None}
    large = any(isinstance(cell, int) and not -(2**63) <= cell < 2**63 for cell in cells)
    if len(kinds) <= 1 and not large:
        return cells
    if kinds <= {int, float}:
        return [None if cell is None else float(cell) for cell in cells]  # type: ignore[arg-type]
    return [cell if cell is None or isinstance(cell, str) else json.dumps(cell) for cell in cells]


def _columns(study: Study, ledger: Sequence[Record]) -> dict[str, list[Value]]:
    """Return the columns of the table of a study, each with a cell for each trial."""
    metrics = sorted({name for record in ledger for name in record.values} - {VALUE})
    names = [*FIRST, *(f"parameter.{name}" for name in study.space), *(f"metric.{name}" for name in metrics), *LAST]
    rows = [
        [
            record.trial, record.state, record.value,
            *(_cell(record.parameters[name]) if name in record.parameters else None for name in study.space),
            *(record.values.get(name) for name in metrics),
            "; ".join(broken(study, record)), record.iteration, record.seconds, record.cost, record.started,
            record.reason.message if record.reason else None,
        ]
        for record in ledger
    ]  # fmt: skip
    return {name: [row[column] for row in rows] for column, name in enumerate(names)}


def _cell(value: Value) -> Value:
    """Return the cell for a value: numbers and text as they are, anything else as JSON."""
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return json.dumps(value)


def write_optuna(study: Study, ledger: Sequence[Record], path: Path) -> None:
    """Write a new SQLite file with the study in Optuna's form.

    Limits and constraints become its constraints, as its samplers and its dashboard know them. Lists, mappings and null
    become text, and constants attributes; scales other than the logarithm, and orders, are lost.

    Raises:
        UserError: The file exists, or Optuna is not installed here.
    """
    try:
        import optuna
        from sqlalchemy.pool import StaticPool
    except ImportError:
        raise UserError("this needs the package optuna: pip install optuna, or `make export FORMAT=optuna`") from None
    if path.exists():
        raise UserError(f"{path}: is there already; move it away, or give another file: TO=file")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # In memory: SQLite and SQLAlchemy give some characters of a path a meaning, and a file is created whole.
    database = sqlite3.connect(":memory:", check_same_thread=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some choices are not kept in every storage
        written = optuna.create_study(
            storage=optuna.storages.RDBStorage(
                "sqlite://", engine_kwargs={"creator": lambda: database, "poolclass": StaticPool}
            ),
            study_name=study.name,
            directions=list(study.goals.values()),
            load_if_exists=False,
        )
        written.set_user_attr("fingerprint", study.fingerprint)
        if study.objectives:
            written.set_metric_names(list(study.objectives))
        space = {
            name: _distribution(optuna, each) for name, each in study.space.items() if not isinstance(each, Constant)
        }
        written.add_trials([_trial(optuna, study, record, space) for record in ledger])
    content = database.serialize()
    database.close()
    storage.create(str(path), content)


def _distribution(optuna: Any, parameter: Parameter) -> Any:
    distributions = optuna.distributions
    match parameter:
        case Real(low=low, high=high, log=log, step=step):
            # Optuna has no logarithm with steps.
            return distributions.FloatDistribution(low, high, log=log, step=None if log else step)
        case Integer(low=low, high=high, log=log, step=step):
            return distributions.IntDistribution(low, high, log=log, step=1 if log else step)
        case Categorical(choices=values) | Ordinal(values=values):
            return distributions.CategoricalDistribution([_choice(value) for value in values])
    raise AssertionError(parameter)


def _choice(value: Value) -> Value:
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _trial(optuna: Any, study: Study, record: Record, space: dict[str, Any]) -> Any:
    states = optuna.trial.TrialState
    is_bound = bool(study.limits or study.constraints)
    begun = datetime.fromisoformat(record.started).replace(tzinfo=None)
    there = {name: each for name, each in space.items() if name in record.parameters}
    trial = optuna.trial.create_trial(
        state={"failed": states.FAIL, "stopped": states.PRUNED}.get(record.state, states.COMPLETE),
        values=None if record.state == "failed" else [record.values[name] for name in study.goals],
        params={name: _choice(record.parameters[name]) for name in there},
        distributions=there,
        user_attrs={
            "trial": record.trial,
            **{f"metric.{name}": value for name, value in record.values.items() if name != VALUE},
            **({"reason": record.reason.message} if record.reason else {}),
        },
        # Above 0 if one is broken: the name is Optuna's own.
        system_attrs={"constraints": _excesses(study, record)} if is_bound and record.state != "failed" else {},
    )
    trial.datetime_start, trial.datetime_complete = begun, begun + timedelta(seconds=record.seconds)
    return trial


def _excesses(study: Study, record: Record) -> list[float]:
    """Return the excess of a trial over each limit and constraint, within SQLite's range."""
    return [min(excess, sys.float_info.max) for excess in excesses(study, record)]
