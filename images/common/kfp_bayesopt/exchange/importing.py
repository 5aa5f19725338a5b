"""Collects trials of other studies for a search: from study folders, tables and storages of Optuna."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kfp_bayesopt.errors import UserError, shown, shown_name
from kfp_bayesopt.exchange.formats import read_by
from kfp_bayesopt.exchange.formats.base import Found, meant_by
from kfp_bayesopt.exchange.formats.states import of_state
from kfp_bayesopt.folder.data import Data
from kfp_bayesopt.folder.jobs import with_other_data
from kfp_bayesopt.folder.roots import study_folder
from kfp_bayesopt.space.decimals import canonical_point
from kfp_bayesopt.space.earlier import Earlier
from kfp_bayesopt.space.parameters import Parameters, difference_of
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study

MOST_TRIALS = 1000

logger = logging.getLogger(__name__)


@dataclass
class LeftOut:
    """What is not taken from a source, by its kind: how often, and the first one with its reason.

    Attributes:
        total: The number of trials in the source.
    """

    total: int = 0
    _kinds: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, what: str, first: str) -> None:
        """Count one more of a kind."""
        count, known = self._kinds.get(what, (0, first))
        self._kinds[what] = (count + 1, known)

    @property
    def first(self) -> str:
        """The first one and its reason; empty if nothing is left out."""
        return next((first for _, first in self._kinds.values()), "")

    def lines(self) -> Iterator[str]:
        """Yield a line for each kind."""
        for what, (count, first) in self._kinds.items():
            yield f"left out {count} of {self.total} {what}; {first}"


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
        of_folder = functools.partial(_of_folder, data=data)
        form = read_by(path)
        read = form.functions.read if form is not None else of_folder
        origin = f"warm_start: {shown_name(source)}"
        left_out, trials = LeftOut(), list[Earlier]()
        for each in read(study, path, origin):
            left_out.total += 1
            if each.unusable is not None:
                left_out.add("trials", f"{each.where}: {each.unusable}")
                continue
            meant = replace(each, parameters=_meant(study, each.parameters))
            trial = _earlier(study, source, meant)
            mismatches = dict(_mismatches(study, meant.parameters))
            if not trial.parameters:
                why = next(iter(mismatches.values()), "has none of its parameters")
                left_out.add("trials", f"{each.where}: {why}")
                continue
            trials.append(trial)
            for name, why in mismatches.items():
                left_out.add(f"values of {shown_name(name)}", f"{each.where}: {why}")
        if not trials:
            why = f"; {left_out.first}" if left_out.first else ""
            raise UserError(f"{origin}: no trial in it has a parameter of the study: {', '.join(study.space)}{why}")
        for line in left_out.lines():
            logger.warning("%s: %s", origin, line)
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
        values = {} if record.state == "failed" else dict(record.values)
        if turned < 0 and values:
            values = {name: -value if name in study.goals else value for name, value in values.items()}
        yield of_state(Found(f"trial {record.trial}", record.parameters, values, same), record.state)


def _earlier(study: Study, origin: str, found: Found) -> Earlier:
    """Return a trial reduced to the study's parameters; it is a point of the space, or only a hint at good ones."""
    space, parameters = study.space, found.parameters
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


def _meant(study: Study, parameters: Parameters) -> Parameters:
    """Return the parameters that another tool's values mean."""
    return canonical_point(
        study.space,
        {
            name: meant_by(study.space[name], value) if name in study.space else value
            for name, value in parameters.items()
        },
    )


def _mismatches(study: Study, parameters: Parameters) -> Iterator[tuple[str, str]]:
    """Yield each parameter whose value is none of the study's, and why."""
    for name, value in parameters.items():
        if name in study.space and (problem := study.space[name].problem_with(value)):
            yield name, f"{name}={shown(value)} {problem}"
