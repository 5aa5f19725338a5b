"""Collects trials of other studies for a search: from study folders, tables and storages of Optuna."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from kfp_bayesopt.errors import UserError, shown, shown_name
from kfp_bayesopt.exchange.formats import FORMATS
from kfp_bayesopt.exchange.formats.base import Found
from kfp_bayesopt.folder.data import Data
from kfp_bayesopt.folder.jobs import with_other_data
from kfp_bayesopt.folder.roots import study_folder
from kfp_bayesopt.space.decimals import canonical_point
from kfp_bayesopt.space.earlier import Earlier
from kfp_bayesopt.space.parameters import difference_of
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study

MOST_TRIALS = 1000

logger = logging.getLogger(__name__)


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


def collect(study: Study, sources: Sequence[str], folder: Path, data: Data | None = None) -> list[Earlier]:
    """Return the trials of sources that have parameters of a study, at most 1,000 of each: the best and some others.

    Args:
        study: The study that begins with them.
        sources: Study folders here or in a bucket, .csv and .parquet files, and .db files of Optuna.
        folder: The folder of the study file, which relative paths start from.
        data: What its objective is given; trials with other data are no more than a hint.

    Raises:
        UserError: One cannot be read, or has no trial with parameters of the study.
    """
    found: list[Earlier] = []
    for source in sources:
        path = str(folder / source) if storage.is_local(source) else source
        suffix = Path(path).suffix.lower()
        of_folder = functools.partial(_of_folder, data=data)
        read = next((form.functions.read for form in FORMATS.values() if form.suffix == suffix), of_folder)
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


def _of_folder(study: Study, path: str, _: str, *, data: Data | None) -> Iterator[Found]:
    """Yield the trials of a study folder.

    With the same objective and the same data they are as good as trials of the study itself.
    """
    found = study_folder(path)
    other = found.study
    same = other.objective.identity == study.objective.identity and other.goals == study.goals
    same = same and with_other_data(path, data) is None
    turned = -1.0 if len(study.goals) == 1 and len(other.goals) == 1 and other.direction != study.direction else 1.0
    for record in found.read().ended:
        if record.state == "stopped":  # what it would have come to nobody knows
            continue
        values = {} if record.state == "failed" else dict(record.values)
        if turned < 0 and values:
            values = {name: -value if name in study.goals else value for name, value in values.items()}
        yield Found(f"trial {record.trial}", record.parameters, values, same)


def _earlier(study: Study, origin: str, found: Found) -> Earlier:
    """Return a trial reduced to the study's parameters; it is a point of the space, or only a hint at good ones."""
    space, parameters = study.space, canonical_point(study.space, found.parameters)
    fitting = {
        name: value for name, value in parameters.items() if name in space and space[name].problem_with(value) is None
    }
    constants = {name: each.value_at(0) for name, each in space.items() if not each.is_searched}
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
