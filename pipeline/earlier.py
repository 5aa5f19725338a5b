"""Collects trials of other studies for the search of one: from study folders, tables and storages of Optuna."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from bayesopt import storage
from bayesopt.decimals import canonical, canonical_point
from bayesopt.earlier import Earlier, write_earlier
from bayesopt.errors import UserError, shown
from bayesopt.folder import StudyFolder
from bayesopt.space import Constant, Parameter, Parameters, Value, difference_of
from bayesopt.study import Study
from pipeline.activity import study_folder

MOST_TRIALS = 1000
MOST_BYTES = 200_000_000
_PARAMETER = "parameter."
_METRIC = "metric."


def prepare(folder: StudyFolder, beside: Path, kept: str | None = None) -> str | None:
    """Write the trials of other studies that a study begins with into its folder, once; say how many there are.

    Args:
        folder: The study folder.
        beside: Folder of the study file.
        kept: Another folder whose trials are taken too: that of the study before it was changed.

    Raises:
        UserError: A source cannot be read, or the study is one of them.
    """
    study = folder.study
    sources = [*study.warm_start, *([str(Path(kept).resolve()) if storage.is_local(kept) else kept] if kept else [])]
    if not sources or folder.searched.earlier:
        return None
    return bring(folder, sources, beside)


def check_engine(study: Study) -> None:
    """Check that the engine of a study learns trials of other ones.

    Raises:
        UserError: It does not.
    """
    if not study.optimizer.knows_earlier:
        engine = study.optimizer.engine
        raise UserError(f"the engine {engine!r} knows no trials of other studies; say optimizer: {{engine: gp}}")


def bring(folder: StudyFolder, sources: Sequence[str], beside: Path) -> str | None:
    """Write the trials of sources into a study folder, and say how many there are; None where it has some already.

    Raises:
        UserError: A source cannot be read.
    """
    check_engine(folder.study)
    trials = collect(folder.study, sources, beside)
    if not write_earlier(folder.root, trials):
        return None
    del folder.searched  # it was read before they were there
    own = sum(each.same for each in trials)
    origins = ", ".join(dict.fromkeys(each.origin for each in trials))
    return (
        f"begins with {len(trials)} trials of {origins}: {own} as its own, {len(trials) - own} as a hint where to look"
    )


def collect(study: Study, sources: Sequence[str], folder: Path) -> list[Earlier]:
    """Return the trials of sources that have parameters of a study, at most 1,000 of each: the best and some others.

    Args:
        study: The study that they are for.
        sources: Study folders here or in a bucket, .csv and .parquet files, and .db files of Optuna.
        folder: Of the study file: relative paths begin here.

    Raises:
        UserError: One cannot be read, or has no trial with parameters of the study.
    """
    found: list[Earlier] = []
    for source in sources:
        path = str(folder / source) if storage.is_local(source) else source
        suffix = Path(path).suffix.lower()
        read = {".csv": _of_table, ".parquet": _of_parquet, ".db": _of_optuna}.get(suffix, _of_folder)
        trials = [each for each in read(study, path, source) if each.parameters]
        if not trials:
            raise UserError(
                f"warm_start: {source}: no trial in it has a parameter of the study: {', '.join(study.space)}"
            )
        found += _some(study, trials)
    return found


def _some(study: Study, trials: list[Earlier]) -> list[Earlier]:
    """Return at most 1,000 trials: half of them the best, the others evenly from the rest; each point once."""
    once = list({str(sorted(each.parameters.items())): each for each in trials}.values())
    if len(once) <= MOST_TRIALS:
        return once
    name, sign = next(iter(study.signs.items()))
    ordered = sorted(once, key=lambda each: sign * each.values[name] if name in each.values else math.inf)
    rest = ordered[MOST_TRIALS // 2 :]
    step = len(rest) / (MOST_TRIALS - MOST_TRIALS // 2)
    return ordered[: MOST_TRIALS // 2] + [rest[int(number * step)] for number in range(MOST_TRIALS - MOST_TRIALS // 2)]


def _of_folder(study: Study, path: str, origin: str) -> Iterator[Earlier]:
    """Yield the trials of a study folder; of the same objective they are as good as trials of the study itself."""
    found = study_folder(path)
    other = found.study
    same = other.objective.identity == study.objective.identity and other.goals == study.goals
    turned = -1.0 if len(study.goals) == 1 and len(other.goals) == 1 and other.direction != study.direction else 1.0
    for record in found.read().ended:
        if record.state == "stopped":  # what it would have come to nobody knows
            continue
        values = {} if record.state == "failed" else dict(record.values)
        if turned < 0 and values:
            values = {name: -value if name in study.goals else value for name, value in values.items()}
        yield _earlier(study, origin, same, record.parameters, values)


def _of_table(study: Study, path: str, origin: str) -> Iterator[Earlier]:
    """Yield the trials of a table: as `make export` writes it, or with a column for each parameter and objective."""
    try:
        text = storage.read(path, limit=MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"warm_start: {origin}: is not UTF-8; save the table as UTF-8") from None
    rows = csv.DictReader(io.StringIO(text), strict=True)
    columns = _known_columns(study, rows.fieldnames or [], origin)
    try:
        for line, row in enumerate(rows, 2):
            yield from _of_row(
                study, origin, line, {columns[name]: cell for name, cell in row.items() if name in columns}
            )
    except csv.Error as error:
        raise UserError(f"warm_start: {origin}: line {rows.line_num}: {error}") from None


def _of_parquet(study: Study, path: str, origin: str) -> Iterator[Earlier]:
    """Yield the trials of the same table as Parquet."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            f"warm_start: {origin}: reading it needs the package pyarrow, which `make import` has"
        ) from None
    try:
        table = parquet.read_table(pyarrow.BufferReader(storage.read(path, limit=MOST_BYTES)))
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"warm_start: {origin}: is no Parquet file: {error}") from None
    columns = _known_columns(study, table.column_names, origin)
    for line, row in enumerate(table.to_pylist(), 1):
        cells = {columns[name]: None if cell is None else _text(cell) for name, cell in row.items()}
        yield from _of_row(study, origin, line, cells)


def _text(cell: object) -> str:
    """Return what a table of text has for a cell."""
    return cell if isinstance(cell, str) else json.dumps(cell, default=str)


def _known_columns(study: Study, names: Sequence[str], origin: str) -> dict[str, str]:
    """Return what each column holds.

    Raises:
        UserError: One of the objectives is missing.
    """
    columns = {name: _column(study, name) for name in names}
    for goal in study.goals:
        if goal not in columns.values():
            raise UserError(
                f"warm_start: {origin}: there is no column {shown(goal)}; it has {', '.join(columns) or 'none'}"
            )
    return columns


def _column(study: Study, name: str) -> str:
    """Return what a column holds: the name of a parameter after `parameter.`, or of a value."""
    plain = name.strip()
    if plain in study.space:
        return f"{_PARAMETER}{plain}"
    return plain if plain.startswith(_PARAMETER) else plain.removeprefix(_METRIC)


def _of_row(study: Study, origin: str, line: int, cells: dict[str, str | None]) -> Iterator[Earlier]:
    state = (cells.get("state") or "").strip().lower()
    if state in {"stopped", "pruned"}:
        return
    values = {}
    failed = state in {"failed", "fail"}
    for name in (*study.goals, *study.limits):
        cell = (cells.get(name) or "").strip()
        if failed or not cell:
            continue
        try:
            values[name] = float(cell)
        except ValueError:
            hint = "; write it with a point" if "," in cell else ""
            raise UserError(
                f"warm_start: {origin}: line {line}: {name} must be a number, but got {shown(cell)}{hint}"
            ) from None
        if not math.isfinite(values[name]):
            del values[name]
    parameters: Parameters = {}
    for name, parameter in study.space.items():
        cell = (cells.get(f"{_PARAMETER}{name}") or "").strip()
        if cell:
            parameters[name] = _value(parameter, cell)
    whole = values if all(goal in values for goal in study.goals) else {}
    yield _earlier(study, origin, True, parameters, whole)


def _value(parameter: Parameter, cell: str) -> Value:
    """Return the value of a parameter that a cell means: of those that are listed the one that is written so."""
    try:
        read = json.loads(cell)
    except ValueError:
        read = cell
    for value in (read, cell, float(read) if isinstance(read, int) and not isinstance(read, bool) else read):
        if parameter.problem_with(canonical(parameter, value)) is None:
            return value
    return cell


def _of_optuna(study: Study, path: str, origin: str) -> Iterator[Earlier]:
    """Yield the trials of the only study of a storage, or of the one that is called as this one."""
    try:
        import optuna
    except ImportError:
        raise UserError(f"warm_start: {origin}: reading it needs the package optuna, which `make import` has") from None
    if not Path(path).is_file():
        raise UserError(f"warm_start: {origin}: is missing")
    url = f"sqlite:///{path}"
    names = optuna.get_all_study_names(url)
    name = study.name if study.name in names else names[0] if len(names) == 1 else None
    if name is None:
        raise UserError(
            f"warm_start: {origin}: has several studies, and none is called {study.name}: {', '.join(names)}"
        )
    stored = optuna.load_study(study_name=name, storage=url)
    wanted = list(study.goals.values())
    theirs = [direction.name.lower() for direction in stored.directions]
    if len(theirs) != len(wanted):
        raise UserError(f"warm_start: {origin}: has {len(theirs)} objectives, and the study has {len(wanted)}")
    signs = [1.0 if one == other else -1.0 for one, other in zip(theirs, wanted, strict=True)]
    for trial in stored.trials:
        values: dict[str, float] = {}
        if trial.state == optuna.trial.TrialState.COMPLETE:
            values = {goal: sign * value for goal, sign, value in zip(study.goals, signs, trial.values, strict=True)}
        elif trial.state != optuna.trial.TrialState.FAIL:
            continue
        parameters = {
            name: _known(study.space[name], value) for name, value in trial.params.items() if name in study.space
        }
        yield _earlier(study, origin, True, parameters, values)


def _known(parameter: Parameter, value: Value) -> Value:
    """Return the value of a parameter that a storage of Optuna means, where some are kept as text."""
    if isinstance(value, str) and parameter.problem_with(value) is not None:
        return _value(parameter, value)
    return value


def _earlier(study: Study, origin: str, same: bool, parameters: Parameters, values: dict[str, float]) -> Earlier:
    """Return a trial with what the study knows of it; it is a point of the space, or tells only where good ones are."""
    space, parameters = study.space, canonical_point(study.space, parameters)
    fitting = {
        name: value for name, value in parameters.items() if name in space and space[name].problem_with(value) is None
    }
    constants = {name: each.value for name, each in space.items() if isinstance(each, Constant)}
    is_point = same and len(fitting) == len(parameters.keys() & space.keys()) and not parameters.keys() - space.keys()
    whole = {**constants, **fitting}
    is_point = is_point and difference_of(space, whole) is None and study.keeps(whole)
    searched = {name: value for name, value in fitting.items() if name not in constants}
    return Earlier(origin=origin, same=is_point, parameters=whole if searched and is_point else searched, values=values)
