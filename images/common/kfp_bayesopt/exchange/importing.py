"""Collects trials of other studies for a search: from study folders, tables and storages of Optuna."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import from_json

from kfp_bayesopt.errors import UserError, named, shown, shown_name
from kfp_bayesopt.exchange import tables
from kfp_bayesopt.exchange.foreign import decimal_of
from kfp_bayesopt.exchange.optuna_storage import read_storage
from kfp_bayesopt.folder.roots import study_folder
from kfp_bayesopt.space.decimals import canonical, canonical_point
from kfp_bayesopt.space.earlier import Earlier
from kfp_bayesopt.space.parameters import LARGEST_INTEGER, Constant, Parameter, Parameters, Value, difference_of
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study

MOST_TRIALS = 1000
_PARAMETER = "parameter."
_METRIC = "metric."
_STATE = "state"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """A trial in a source, not yet compared with a study.

    Attributes:
        where: Its name in messages: `line 2`, `trial 7`.
        parameters: Its parameters.
        values: Its values; empty if it failed.
        same: Whether it has the same objective.
    """

    where: str
    parameters: Parameters
    values: dict[str, float]
    same: bool = True


def check_engine(study: Study) -> None:
    """Check that the engine of a study learns from trials of other ones.

    Raises:
        UserError: It does not.
    """
    if not study.optimizer.knows_earlier:
        engine = study.optimizer.engine
        raise UserError(f"the engine {engine!r} knows no trials of other studies; say optimizer: {{engine: gp}}")


def said_of(trials: Sequence[Earlier]) -> str:
    """Return a summary of the trials of other studies that one begins with."""
    own = sum(each.same for each in trials)
    origins = ", ".join(dict.fromkeys(each.origin for each in trials))
    return (
        f"begins with {len(trials)} trials of {origins}: {own} as its own, {len(trials) - own} as a hint where to look"
    )


def collect(study: Study, sources: Sequence[str], folder: Path) -> list[Earlier]:
    """Return the trials of sources that have parameters of a study, at most 1,000 of each: the best and some others.

    Args:
        study: The study that begins with them.
        sources: Study folders here or in a bucket, .csv and .parquet files, and .db files of Optuna.
        folder: The folder of the study file, which relative paths start from.

    Raises:
        UserError: One cannot be read, or has no trial with parameters of the study.
    """
    found: list[Earlier] = []
    for source in sources:
        path = str(folder / source) if storage.is_local(source) else source
        suffix = Path(path).suffix.lower()
        read = {".csv": _of_csv, ".parquet": _of_parquet, ".db": _of_optuna}.get(suffix, _of_folder)
        origin = f"warm_start: {shown_name(source)}"
        trials: list[Earlier] = []
        left_out: list[str] = []
        for each in read(study, path, origin):
            trial = _earlier(study, source, each)
            if trial.parameters:
                trials.append(trial)
            else:
                left_out.append(f"{each.where}: {_why_unknown(study, each)}")
        if not trials:
            raise UserError(f"{origin}: no trial in it has a parameter of the study: {', '.join(study.space)}")
        if left_out:
            count = len(trials) + len(left_out)
            logger.warning("%s: left out %d of %d trials; %s", origin, len(left_out), count, left_out[0])
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


def _of_folder(study: Study, path: str, _: str) -> Iterator[Found]:
    """Yield the trials of a study folder; with the same objective they are as good as trials of the study itself."""
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
        yield Found(f"trial {record.trial}", record.parameters, values, same)


def _of_csv(study: Study, path: str, origin: str) -> Iterator[Found]:
    """Yield the trials of a table: as `make export` writes it, or with a column for each parameter and objective."""
    yield from _of_table(study, tables.of_csv(storage.read(path, limit=tables.MOST_BYTES), origin), origin)


def _of_parquet(study: Study, path: str, origin: str) -> Iterator[Found]:
    """Yield the trials of the same table as Parquet."""
    yield from _of_table(study, tables.of_parquet(storage.read(path, limit=tables.MOST_BYTES), origin), origin)


def _of_table(study: Study, table: tables.Table, origin: str) -> Iterator[Found]:
    places = _places(study, table.names, origin)
    for where, cells in table.rows(list(places.values())):
        found = {name: cell.strip() for name, cell in zip(places, cells, strict=True) if cell and cell.strip()}
        state = found.get(_STATE, "").lower()
        if state not in {"stopped", "pruned"}:
            values = {} if state in {"failed", "fail"} else _values(study, found, f"{origin}: {where}")
            parameters = {
                name: _value(parameter, found[f"{_PARAMETER}{name}"])
                for name, parameter in study.space.items()
                if f"{_PARAMETER}{name}" in found
            }
            yield Found(where, parameters, values)


def _places(study: Study, names: Sequence[str], origin: str) -> dict[str, int]:
    """Return the index of each column that a study knows.

    Raises:
        UserError: An objective is missing, or two columns hold the same.
    """
    plain = [name.strip() for name in names]
    metrics = {*study.goals, *study.limits}
    wanted = {_STATE, *(f"{_PARAMETER}{each}" for each in study.space), *(f"{_METRIC}{each}" for each in metrics)}
    places: dict[str, int] = {}
    for place, name in enumerate(plain):
        # A name with its kind takes precedence: a study may have a parameter with the name of one of our columns.
        if name in study.space and f"{_PARAMETER}{name}" not in plain:
            known = f"{_PARAMETER}{name}"
        elif name in metrics and f"{_METRIC}{name}" not in plain:
            known = f"{_METRIC}{name}"
        else:
            known = name
        if known in places and known in wanted:
            both = f"{shown_name(plain[places[known]])} and {shown_name(name)}"
            raise UserError(f"{origin}: the columns {both} hold the same; leave one of them out")
        if known in wanted:
            places[known] = place
    for goal in study.goals:
        if f"{_METRIC}{goal}" not in places:
            raise UserError(f"{origin}: there is no column {shown(goal)}; it has {named(names)}")
    return places


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


def _value(parameter: Parameter, cell: str) -> Value:
    """Return the value of a parameter that a cell means: of listed values the one written like it."""
    try:
        read: Value = from_json(cell, allow_inf_nan=False)
    except ValueError:
        read = cell
    meant: list[Value] = [read, cell]
    if isinstance(read, int | float) and not isinstance(read, bool) and abs(read) < LARGEST_INTEGER:
        meant += [float(read), int(read)] if read == int(read) else []
    return next((value for value in meant if parameter.problem_with(canonical(parameter, value)) is None), cell)


def _of_optuna(study: Study, path: str, origin: str) -> Iterator[Found]:
    """Yield the trials of the only study of a storage, or of the one with the name of this study."""
    stored = read_storage(path, origin, study.name)
    wanted = list(study.goals.values())
    if len(stored.directions) != len(wanted):
        raise UserError(f"{origin}: has {len(stored.directions)} objectives, and the study has {len(wanted)}")
    signs = [1.0 if one == other else -1.0 for one, other in zip(stored.directions, wanted, strict=True)]
    for trial in stored.trials:
        if trial.state.name not in {"COMPLETE", "FAIL"}:
            continue
        given = (trial.values or []) if trial.state.name == "COMPLETE" else []
        values = {
            goal: sign * value
            for goal, sign, value in zip(study.goals, signs, given, strict=False)
            if isinstance(value, int | float) and math.isfinite(value)
        }
        parameters = {
            name: _known(study.space[name], value) for name, value in trial.params.items() if name in study.space
        }
        yield Found(f"trial {trial.number}", parameters, values if len(values) == len(wanted) else {})


def _known(parameter: Parameter, value: Value) -> Value:
    """Return the value of a parameter that a storage of Optuna means; some are kept as text."""
    if isinstance(value, str) and parameter.problem_with(value) is not None:
        return _value(parameter, value)
    return value


def _earlier(study: Study, origin: str, found: Found) -> Earlier:
    """Return a trial reduced to the study's parameters; it is a point of the space, or only a hint at good ones."""
    space, parameters = study.space, canonical_point(study.space, found.parameters)
    fitting = {
        name: value for name, value in parameters.items() if name in space and space[name].problem_with(value) is None
    }
    constants = {name: each.value for name, each in space.items() if isinstance(each, Constant)}
    is_point = (
        found.same and len(fitting) == len(parameters.keys() & space.keys()) and not parameters.keys() - space.keys()
    )
    whole = {**constants, **fitting}
    is_point = is_point and difference_of(space, whole) is None and study.keeps(whole)
    searched = {name: value for name, value in fitting.items() if name not in constants}
    known = whole if searched and is_point else searched
    return Earlier(origin=origin, same=is_point, parameters=known, values=found.values)


def _why_unknown(study: Study, found: Found) -> str:
    """Return the reason a trial tells nothing about a study."""
    for name, value in found.parameters.items():
        if name in study.space and (problem := study.space[name].problem_with(value)):
            return f"{name}={shown(value)} {problem}"
    return "has none of its parameters"
