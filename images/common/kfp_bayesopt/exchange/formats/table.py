"""Tables of trials, whatever file they are in: written with a column for each thing, and read within limits.

A small file may hold very many rows, and a row very much: the unpacked size counts. So there are limits on rows,
columns and cells, not only on bytes.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError, named, shown, shown_name
from kfp_bayesopt.exchange.foreign import decimal_of
from kfp_bayesopt.exchange.formats.base import Found, meant_by
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.space.goals import broken
from kfp_bayesopt.space.parameters import Value
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.sources.base import VALUE
from kfp_bayesopt.study.study import Study

FIRST = ("trial", "state", "value")
LAST = ("broken", "iteration", "seconds", "cost", "started", "reason")
MOST_BYTES = 100_000_000
MOST_ROWS = 100_000
MOST_COLUMNS = 10_000
MOST_VALUES = 1_000_000
"""The most values of a column, including those in its lists."""
LONGEST_CELL = 131_072

_PARAMETER = "parameter."
_METRIC = "metric."
_STATE = "state"

Row = tuple[str, list[str | None]]
"""The position, such as `line 2`, and the cells in the form of a text table."""


@dataclass(frozen=True)
class Table:
    """A table with its header read.

    Attributes:
        names: The names of its columns.
        rows: Yields the cells of some columns, by their indices, row by row.
    """

    names: Sequence[str]
    rows: Callable[[Sequence[int]], Iterator[Row]]


def check_rows(number: int, source: str) -> None:
    """Refuse a table that has too many rows."""
    if number > MOST_ROWS:
        raise UserError(f"{source}: has more than {MOST_ROWS:,} rows; keep the best of them, and some others")


def is_there(path: Path) -> bool:
    """Tell whether a file has content that would be lost."""
    return path.exists() and storage.stat(str(path)).size > 0


def check_table(path: Path, is_ours: bool) -> None:
    """Refuse to overwrite a file that is not an export.

    Raises:
        UserError: It is not an export.
    """
    if not is_ours:
        raise UserError(
            f"{path}: is there already, and is no such table; move it away, or give another file: {hints.TO}"
        )


def columns_of(study: Study, ledger: Sequence[Record], as_text: bool = True) -> dict[str, list[Value]]:
    """Return the columns of the table of a study, each with a cell for each trial.

    Args:
        study: The study.
        ledger: Its records.
        as_text: Values of parameters that are neither numbers nor texts are JSON, as a file can hold them.
    """
    cell = _cell if as_text else copy.deepcopy
    metrics = sorted({name for record in ledger for name in record.values} - {VALUE})
    names = [*FIRST, *(f"parameter.{name}" for name in study.space), *(f"metric.{name}" for name in metrics), *LAST]
    rows = [
        [
            record.trial, record.state, record.value,
            *(cell(record.parameters[name]) if name in record.parameters else None for name in study.space),
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


def found_in(study: Study, table: Table, origin: str) -> Iterator[Found]:
    """Yield the trials of a table: as we write it, or with a column for each parameter and objective."""
    columns = _columns(study, table.names, origin)
    for where, cells in table.rows(list(columns.values())):
        found = {name: cell.strip() for name, cell in zip(columns, cells, strict=True) if cell and cell.strip()}
        state = found.get(_STATE, "").lower()
        if state not in {"stopped", "pruned"}:
            values = {} if state in {"failed", "fail"} else _values(study, found, f"{origin}: {where}")
            parameters = {
                name: meant_by(parameter, found[f"{_PARAMETER}{name}"])
                for name, parameter in study.space.items()
                if f"{_PARAMETER}{name}" in found
            }
            yield Found(where, parameters, values)


def _columns(study: Study, names: Sequence[str], origin: str) -> dict[str, int]:
    """Return the index of each column that a study knows.

    Raises:
        UserError: An objective is missing, or two columns hold the same.
    """
    plain = [name.strip() for name in names]
    metrics = {*study.goals, *study.limits}
    wanted = {_STATE, *(f"{_PARAMETER}{each}" for each in study.space), *(f"{_METRIC}{each}" for each in metrics)}
    columns: dict[str, int] = {}
    for index, name in enumerate(plain):
        # A name with its kind takes precedence: a study may have a parameter with the name of one of our columns.
        if name in study.space and f"{_PARAMETER}{name}" not in plain:
            known = f"{_PARAMETER}{name}"
        elif name in metrics and f"{_METRIC}{name}" not in plain:
            known = f"{_METRIC}{name}"
        else:
            known = name
        if known in columns and known in wanted:
            both = f"{shown_name(plain[columns[known]])} and {shown_name(name)}"
            raise UserError(f"{origin}: the columns {both} hold the same; leave one of them out")
        if known in wanted:
            columns[known] = index
    for goal in study.goals:
        if f"{_METRIC}{goal}" not in columns:
            raise UserError(f"{origin}: there is no column {shown(goal)}; it has {named(names)}")
    return columns


def _values(study: Study, cells: Mapping[str, str], where: str) -> dict[str, float]:
    """Return the values of a row; none if that of an objective is missing or not finite, as for a failed trial.

    Raises:
        UserError: One is not a number.
    """
    values = {}
    for name in (*study.goals, *study.limits):
        cell = cells.get(f"{_METRIC}{name}")
        if cell is None:
            continue
        number = decimal_of(cell.lower())
        if number is None:
            hint = "; write it with a point" if "," in cell else ""
            raise UserError(f"{where}: {name} must be a number, but got {shown(cell)}{hint}")
        if math.isfinite(number):
            values[name] = number
    return values if all(goal in values for goal in study.goals) else {}
