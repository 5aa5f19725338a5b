"""Storages that Optuna opens: SQLite files."""

from __future__ import annotations

import json
import math
import sqlite3
import sys
import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kfp_bayesopt import extras, hints
from kfp_bayesopt.errors import UserError, named, shown
from kfp_bayesopt.exchange.formats.base import METRIC, Found, Functions, meant_by
from kfp_bayesopt.exchange.formats.optuna_storage import StoredStudy, read_storage
from kfp_bayesopt.exchange.formats.states import of_state
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.space.goals import excesses
from kfp_bayesopt.space.parameters import Parameter, Parameters, Value
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.sources.base import VALUE
from kfp_bayesopt.study.study import Study


def write_optuna(study: Study, ledger: Sequence[Record], path: Path) -> None:
    """Write a new SQLite file with the study in Optuna's form.

    Limits and constraints become its constraints, as its samplers and its dashboard know them. Lists, mappings and null
    become text, and constants attributes; scales other than the logarithm, and orders, are lost.

    Raises:
        UserError: The file exists, or Optuna is not installed here.
    """
    with extras.needed_by("writing trials for Optuna", "optuna"):
        import optuna
        from sqlalchemy.pool import StaticPool
    if path.exists():
        raise UserError(f"{path}: is there already; move it away, or give another file: {hints.TO}")
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
        space = {name: _distribution(optuna, each) for name, each in study.space.items() if each.is_searched}
        written.add_trials([_trial(optuna, study, record, space) for record in ledger])
    content = database.serialize()
    database.close()
    storage.create(str(path), content)


def _distribution(optuna: Any, parameter: Parameter) -> Any:
    distributions, span = optuna.distributions, parameter.span
    if span is None:
        return distributions.CategoricalDistribution([_choice(parameter, value) for value in parameter.listed])
    is_log = span.kind == "log"
    # Optuna has no logarithm with steps.
    if span.is_whole:
        return distributions.IntDistribution(span.low, span.high, log=is_log, step=1 if is_log else span.step)
    return distributions.FloatDistribution(span.low, span.high, log=is_log, step=None if is_log else span.step)


def _choice(parameter: Parameter, value: Value) -> Value:
    """Return a listed value as Optuna can keep it, which takes 1, 1.0 and True for one choice."""
    is_one_of = any(each == value and type(each) is not type(value) for each in parameter.listed)
    if is_one_of or (isinstance(value, str) and meant_by(parameter, value, is_cell=True) != value):
        return json.dumps(value)
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _meant(parameter: Parameter, value: Value) -> Value:
    """Return the value of a parameter that `_choice` has written; text of others stays as it is."""
    return meant_by(parameter, value, is_cell=True) if isinstance(value, str) else value


def _trial(optuna: Any, study: Study, record: Record, space: dict[str, Any]) -> Any:
    states = optuna.trial.TrialState
    is_bound = bool(study.limits or study.constraints)
    begun = datetime.fromisoformat(record.started).replace(tzinfo=None)
    there = {name: each for name, each in space.items() if name in record.parameters}
    trial = optuna.trial.create_trial(
        state={"failed": states.FAIL, "stopped": states.PRUNED}.get(record.state, states.COMPLETE),
        values=None if record.state == "failed" else [record.values[name] for name in study.goals],
        params={name: _choice(study.space[name], record.parameters[name]) for name in there},
        distributions=there,
        user_attrs={
            "trial": record.trial,
            **{f"{METRIC}{name}": value for name, value in record.values.items() if name != VALUE},
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


def read_optuna(study: Study, path: str, origin: str) -> Iterator[Found]:
    """Yield the trials of the only study of a storage, or of the one with the name of this study."""
    stored = read_storage(path, origin, study.name)
    places = _places(study, stored, origin)
    for trial in stored.trials:
        given = trial.values or []
        values = {
            goal: sign * given[place]
            for goal, (place, sign) in places.items()
            if place < len(given) and isinstance(given[place], int | float) and math.isfinite(given[place])
        }
        if len(values) < len(places):
            values = {}
        elif values:
            values |= {name: limited for name in study.limits if (limited := _metric(trial, name)) is not None}
        parameters: Parameters = {
            name: _meant(study.space[name], value) if name in study.space else value
            for name, value in trial.params.items()
        }
        yield of_state(Found(f"trial {trial.number}", parameters, values), trial.state.name)


def _metric(trial: Any, name: str) -> float | None:
    """Return a metric that was written beside the values."""
    found = trial.user_attrs.get(f"{METRIC}{name}")
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None


def _places(study: Study, stored: StoredStudy, origin: str) -> dict[str, tuple[int, float]]:
    """Return the place of each objective among the values of a trial, and the factor that turns its direction.

    They are matched by the names of metrics, else by directions, and never by their order.

    Raises:
        UserError: They cannot be told apart.
    """
    goals, directions = study.goals, stored.directions
    if len(directions) != len(goals):
        raise UserError(f"{origin}: has {len(directions)} objectives, and the study has {len(goals)}")
    places = dict.fromkeys(goals, 0)
    if len(goals) > 1 and stored.metrics:
        if missing := sorted(goals.keys() - set(stored.metrics)):
            raise UserError(
                f"{origin}: has no objective {shown(missing[0])}; its objectives are {named(stored.metrics)}"
            )
        places = {goal: stored.metrics.index(goal) for goal in goals}
    elif len(goals) > 1:
        if sorted(directions) != sorted(goals.values()) or len(set(directions)) < len(directions):
            raise UserError(
                f"{origin}: its objectives have no names, and their directions do not tell which is which; name them: "
                f"study.set_metric_names({list(goals)})"
            )
        places = {goal: directions.index(direction) for goal, direction in goals.items()}
    return {goal: (place, 1.0 if directions[place] == goals[goal] else -1.0) for goal, place in places.items()}


FUNCTIONS = Functions(write_optuna, read_optuna)
