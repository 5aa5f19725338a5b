"""Tables of trials, whatever file they are in: written with a column for each thing, and read within limits.

A small file may hold very many rows, and a row very much: the unpacked size counts. So there are limits on rows,
columns and cells, not only on bytes.
"""

from __future__ import annotations

import copy
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError, named, shown, shown_name
from kfp_bayesopt.exchange.foreign import decimal_of
from kfp_bayesopt.exchange.formats.base import METRIC, Found, meant_by
from kfp_bayesopt.exchange.formats.states import COMPLETED, of_state
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.space.goals import broken
from kfp_bayesopt.space.parameters import Parameter, Parameters, Value
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
_STATE = "state"

logger = logging.getLogger(__name__)

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

    def cell(name: str, value: Value) -> Value:
        return _cell(study.space[name], value) if as_text else copy.deepcopy(value)

    metrics = sorted({name for record in ledger for name in record.values} - {VALUE})
    names = [*FIRST, *(f"parameter.{name}" for name in study.space), *(f"metric.{name}" for name in metrics), *LAST]
    rows = [
        [
            record.trial, record.state, record.value,
            *(cell(name, record.parameters[name]) if name in record.parameters else None for name in study.space),
            *(record.values.get(name) for name in metrics),
            "; ".join(broken(study, record)), record.iteration, record.seconds, record.cost, record.started,
            record.reason.message if record.reason else None,
        ]
        for record in ledger
    ]  # fmt: skip
    return {name: [row[column] for row in rows] for column, name in enumerate(names)}


def _cell(parameter: Parameter, value: Value) -> Value:
    """Return the cell for a value: numbers and text as they are, and as JSON what would not be read as itself."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_text = isinstance(value, str) and value.strip() != "" and meant_by(parameter, value, is_cell=True) == value
    return value if is_number or is_text else json.dumps(value)


def found_in(study: Study, table: Table, origin: str) -> Iterator[Found]:
    """Yield the trials of a table: as we write it, or as another tool does."""
    columns = _columns(study, table.names, origin)
    for where, cells in table.rows(list(columns.values())):
        found = {name: cell for name, cell in zip(columns, cells, strict=True) if cell is not None and cell.strip()}
        parameters: Parameters = {
            name: meant_by(parameter, found[f"{_PARAMETER}{name}"], is_cell=True)
            for name, parameter in study.space.items()
            if f"{_PARAMETER}{name}" in found
        }
        state = found.get(_STATE, COMPLETED[0]).strip()
        # What a failed trial or one that runs says last is no value, and may be no number.
        values = _values(study, found, f"{origin}: {where}") if state.lower() in COMPLETED else {}
        yield of_state(Found(where, parameters, values), state)


def _forms(study: Study) -> dict[str, list[str]]:
    """Return what the column of each thing may be called, first our name: by Optuna, MLflow, Ray, W&B and people."""
    forms = {
        f"{_PARAMETER}{name}": [f"{_PARAMETER}{name}", f"params.{name}", f"params_{name}", f"config/{name}", name]
        for name in study.space
    }
    for name in (*study.goals, *study.limits):
        forms[f"{METRIC}{name}"] = [f"{METRIC}{name}", f"metrics.{name}", f"values_{name}", name]
    if VALUE in study.goals and (source := getattr(study.source, "name", None)) is not None:
        forms[f"{METRIC}{VALUE}"] += [f"metrics.{source}", f"{METRIC}{source}", source]
    return forms


def _columns(study: Study, names: Sequence[str], origin: str) -> dict[str, int]:
    """Return the index of each column that a study knows.

    Raises:
        UserError: An objective is missing, or two columns hold the same.
    """
    plain = [name.strip() for name in names]
    columns: dict[str, int] = {}
    for known, forms in _forms(study).items():
        # A name with its kind takes precedence: a parameter may be called like one of our columns.
        for form in forms:
            there = [index for index, name in enumerate(plain) if name == form and index not in columns.values()]
            if there:
                columns[known] = there[0]
                break
    for goal in study.goals:
        if f"{METRIC}{goal}" not in columns:
            hint = f"; Optuna names no objective in it: call values_0 {goal}" if "values_0" in plain else ""
            raise UserError(f"{origin}: there is no column {shown(goal)}; it has {named(names)}{hint}")
    states = {name.lower(): index for index, name in reversed([*enumerate(plain)]) if index not in columns.values()}
    for name in ("status", "state"):
        if name in states:
            columns[_STATE] = states[name]
    for name in (plain[index] for index in columns.values()):
        if plain.count(name) > 1:
            both = f"{shown_name(name)} and {shown_name(name)}"
            raise UserError(f"{origin}: the columns {both} hold the same; leave one of them out")
    _say_unknown(plain, columns, origin)
    return columns


def _say_unknown(names: Sequence[str], columns: Mapping[str, int], origin: str) -> None:
    """Say which columns are parameters that the study does not have: what they did is learnt as noise."""
    unknown = [
        name
        for index, name in enumerate(names)
        if index not in columns.values() and name.startswith((_PARAMETER, "params.", "params_", "config/"))
    ]
    if unknown:
        logger.warning(
            "%s: left out %d columns, as the study has no such parameter: %s", origin, len(unknown), named(unknown)
        )


def _values(study: Study, cells: Mapping[str, str], where: str) -> dict[str, float]:
    """Return the values of a row; none if that of an objective is missing or not finite, as for a failed trial.

    Raises:
        UserError: One is not a number.
    """
    values = {}
    for name in (*study.goals, *study.limits):
        cell = cells.get(f"{METRIC}{name}")
        if cell is None:
            continue
        number = decimal_of(cell.strip().lower())
        if number is None:
            hint = "; write it with a point" if "," in cell else ""
            raise UserError(f"{where}: {name} must be a number, but got {shown(cell)}{hint}")
        if math.isfinite(number):
            values[name] = number
    return values if all(goal in values for goal in study.goals) else {}
