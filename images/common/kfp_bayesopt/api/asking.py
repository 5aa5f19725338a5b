"""Ask and tell: a search in memory, for a loop of one's own, without files and processes."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, SupportsFloat, TypedDict, Unpack, get_args, overload

from kfp_bayesopt.errors import UserError, listed, named, shown, shown_name
from kfp_bayesopt.search.engine import Engine, batches, new_engine, suggest, with_initial
from kfp_bayesopt.search.engines import OptimizerSettings
from kfp_bayesopt.space.decimals import canonical_point
from kfp_bayesopt.space.goals import Standing
from kfp_bayesopt.space.parameters import Parameter, Parameters, difference_of
from kfp_bayesopt.strict import plain
from kfp_bayesopt.study.schedules.batches import MOST_ITERATIONS
from kfp_bayesopt.study.sources.base import VALUE, Direction
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.wording import nearest

State = Literal["pending", "completed", "failed", "stopped"]


_INSTEAD = {
    "optimizer": "engine",
    "seed": "random_state",
    "maximize": "direction='maximize'",
    "minimize": "direction='minimize'",
    "parallel": "parallel_trials",
}
"""What an argument of others is called here."""


_OURS = {
    ": optimizer.random_state: ": ": random_state: ",
    ": optimizer.engine: ": ": engine: ",
    ": optimizer.": ": engine.",
    ": optimizer: ": ": engine: ",
    "say optimizer: {engine: gp}": "say engine='gp'",
}
"""What is called otherwise in a study file."""


class Rules(TypedDict, total=False):
    """What else a search knows: keys of a study file."""

    objectives: Mapping[str, Direction]
    reference: Mapping[str, float]
    constraints: Sequence[str]
    limits: Mapping[str, str]
    initial_trials: Sequence[Mapping[str, Any]]
    noisy: bool
    warm_start: Sequence[str]


@dataclass(frozen=True)
class Trial:
    """A trial of a search.

    Attributes:
        number: Its number, from 1.
        parameters: Its parameters by name, as JSON has them: numbers, texts, booleans, None, lists and mappings.
        state: `pending` until it is told, then `completed`, `failed` or `stopped`.
        values: What was told: `value`, or the objectives, and other metrics.
    """

    number: int
    parameters: dict[str, Any]
    state: State = "pending"
    values: Mapping[str, float] = field(default_factory=dict)

    @property
    def value(self) -> float | None:
        """The value of a single objective; None if it is pending or failed, or there are several."""
        return self.values.get(VALUE)


@dataclass(frozen=True)
class _Told:
    """An ended trial, as engines learn it."""

    trial: int
    iteration: int | None
    parameters: Parameters
    state: str
    values: Mapping[str, float]
    learnt: str


class Search:
    """Proposes trials and learns what they are worth, in memory.

    The suggestions are those of a study: asked for in batches, and told before the next one, they equal those of
    `bayesopt run` bit for bit; asked for while others are pending, those of an asynchronous study.

    Example:
        >>> from kfp_bayesopt import Real, Search
        >>> search = Search({"x": Real(-5, 10)})
        >>> for _ in range(15):
        ...     trial = search.ask()
        ...     told = search.tell(trial, (trial.parameters["x"] - 2) ** 2)
        >>> round(search.best.parameters["x"])
        2
    """

    def __init__(
        self,
        space: Mapping[str, Parameter | Mapping[str, Any]] | Study,
        *,
        engine: str | Mapping[str, Any] | OptimizerSettings | None = None,
        random_state: int | None = None,
        direction: Direction | None = None,
        parallel_trials: int | None = None,
        **rules: Unpack[Rules],
    ) -> None:
        """Begin a search.

        Args:
            space: The parameters by name, such as `{"lr": Real(1e-4, 1, log=True)}`; or a study, which says
                everything else too, so that no other argument is given.
            engine: What proposes trials: `gp` (the default), `skopt`, `random`, `sobol`, `grid` or `optuna`; with
                settings, a mapping such as `{"engine": "gp", "n_initial_points": 8}`.
            random_state: Seed: the same search gives the same suggestions. Default: 0.
            direction: `minimize` (the default) or `maximize`.
            parallel_trials: How many trials are asked for at a time; the start design has whole batches. Default: 1.
            **rules: `objectives`, `reference`, `constraints`, `limits`, `initial_trials`, `noisy` and `warm_start`, as
                in a study file.

        Raises:
            UserError: There are mistakes; the message names all of them by their keys, one a line.
        """
        options: dict[str, Any] = {
            "engine": engine, "random_state": random_state, "direction": direction, "parallel_trials": parallel_trials,
        }  # fmt: skip
        given = {name: value for name, value in options.items() if value is not None} | rules
        known = [*options, *Rules.__annotations__]
        if mistakes := [_unknown(name, known) for name in rules if name not in known]:
            raise UserError(listed("Search", mistakes))
        if isinstance(space, Study):
            if given:
                raise UserError(f"Search: the study says its {named(given)}; leave it out, or give a space alone")
            study = space
        else:
            study = study_of(space, given, "Search")
        if study.warm_start:
            from kfp_bayesopt.exchange.importing import collect

            study = study.with_earlier(tuple(collect(study, study.warm_start, Path(study.folder or "."))))
        self._study = study
        self._told: dict[int, _Told] = {}
        self._pending: dict[int, Parameters] = {}
        self._batches: dict[int, int] = {}
        self._engine: Engine | None = None
        self._learnt: list[_Told] = []
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy, or a file of pickle, holds: the engine learns the trials again."""
        with self._lock:
            return {name: copy.copy(each) for name, each in vars(self).items() if name != "_lock"} | {
                "_engine": None, "_learnt": [],
            }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"Search({self._study.optimizer.engine}, {len(self._told)} told, {len(self._pending)} pending)"

    @overload
    def ask(self) -> Trial: ...

    @overload
    def ask(self, count: int) -> list[Trial]: ...

    def ask(self, count: int | None = None) -> Trial | list[Trial]:
        """Propose a trial, or several at once.

        Args:
            count: How many; without it one trial is returned, and no list.

        Returns:
            The trials, pending until they are told; fewer than asked for if the points of a finite space run out.

        Raises:
            UserError: Every point of the space has been tried, or the engine cannot propose while trials are pending.
        """
        wanted = plain(count) if count is not None else 1
        if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
            raise UserError(f"Search.ask: count must be a whole number of 1 or more, but got {shown(count)}")
        with self._lock:
            points = self._beside(wanted) if self._pending else self._batch(wanted)
            if not points:
                raise UserError(f"Search.ask: every point of the space has been tried, {len(self._told)} trials")
            batch = max(self._batches.values(), default=0) + 1
            for number, parameters in points.items():
                self._pending[number] = parameters
                self._batches[number] = batch
            trials = [self._trial(number) for number in points]
        return trials if count is not None else trials[0]

    def tell(
        self,
        trial: Trial | int | Mapping[str, Any],
        value: SupportsFloat | Mapping[str, SupportsFloat] | None = None,
        *,
        state: Literal["completed", "failed", "stopped", "pending"] = "completed",
    ) -> Trial:
        """Say what a trial is worth, or that it runs.

        Args:
            trial: The trial, its number, or its parameters. Parameters that were not asked for are a new trial.
            value: Its value; of several objectives, or with metrics that have limits, a mapping of numbers by name,
                where a single objective is called `value`.
            state: `failed` if the objective failed, and then without a value; `stopped` if it was stopped early;
                `pending`, also without a value, for parameters that somebody has begun to evaluate without asking.

        Returns:
            The trial, as it is now.

        Raises:
            UserError: There is no such trial, it was told already, its parameters are no point of the space, or the
                value is not a finite number. Nothing has changed then.
        """
        with self._lock:
            number, parameters = self._meant(trial)
            who = f"Search.tell: trial {number}"
            values = self._values(who, value, state)
            if number not in self._batches:
                self._batches[number] = max(self._batches.values(), default=0) + 1
                self._make_room(number)
            if state == "pending":
                self._pending[number] = parameters
                return self._trial(number)
            told = {
                "iteration": self._batches[number], "trial": number, "parameters": parameters, "state": state,
                "values": values,
            }  # fmt: skip
            learnt = json.dumps(told, separators=(",", ":"))
            self._told[number] = _Told(number, self._batches[number], parameters, state, values, learnt)
            self._pending.pop(number, None)
            return self._trial(number)

    @property
    def trials(self) -> list[Trial]:
        """All trials by their numbers, the pending ones too."""
        with self._lock:
            return [self._trial(number) for number in sorted({*self._told, *self._pending})]

    @property
    def best(self) -> Trial | None:
        """The best completed trial that keeps all limits and constraints; None without one.

        Raises:
            UserError: There are several objectives; `front` has their best compromises.
        """
        if self._study.objectives:
            raise UserError("Search.best: of several objectives no trial is the best; front has the best compromises")
        return next(iter(self.front), None)

    @property
    def front(self) -> list[Trial]:
        """The completed trials than which none is better in all objectives, by their numbers; of one, the best."""
        with self._lock:
            standing = Standing[_Told](self._study)
            for number in sorted(self._told):
                standing.add(self._told[number])
            return [self._trial(record.trial) for _, record in standing.best]

    def _trial(self, number: int) -> Trial:
        told = self._told.get(number)
        if told is None:
            return Trial(number, copy.deepcopy(self._pending[number]))
        state: Any = told.state
        return Trial(number, copy.deepcopy(told.parameters), state, dict(told.values))

    def _make_room(self, number: int) -> None:
        """Let a trial that was not asked for take none of the initial ones from those that are."""
        initial = self._study.initial_trials
        if number <= len(initial):
            rest = [*initial[: number - 1], {}, *initial[number - 1 :]]
            self._study = self._study.model_copy(update={"initial_trials": rest})

    def _batch(self, count: int) -> dict[int, Parameters]:
        """Return the points of a batch, as a study that runs in batches proposes them."""
        ledger = self._ledger()
        return suggest(self._taught(ledger), self._study, ledger, {}, len(ledger) + count)

    def _beside(self, count: int) -> dict[int, Parameters]:
        """Return points beside the pending ones, as the workers of an asynchronous study propose them."""
        if reason := self._study.optimizer.no_pending:
            raise UserError(
                f"Search.ask: {len(self._pending)} trials are pending: {reason}; tell them first, or take engine='gp'"
            )
        pending = [self._pending[number] for number in sorted(self._pending)]
        points = self._taught(self._ledger()).suggest(count, pending)
        first = len(self._told) + len(self._pending) + 1
        return {number: with_initial(self._study, number, point) for number, point in enumerate(points, first)}

    def _ledger(self) -> list[_Told]:
        return [self._told[number] for number in sorted(self._told)]

    def _taught(self, ledger: list[_Told]) -> Engine:
        """Return the engine that has learnt a ledger: the one at hand where that only grew."""
        is_longer = len(ledger) >= len(self._learnt)
        if self._engine is None or not (is_longer and all(a is b for a, b in zip(ledger, self._learnt, strict=False))):
            self._engine, self._learnt = new_engine(self._study), []
        for batch in batches(ledger[len(self._learnt) :]):
            self._engine.learn(batch)
        self._learnt = ledger
        return self._engine

    def _meant(self, trial: Trial | int | Mapping[str, Any]) -> tuple[int, Parameters]:
        """Return number and parameters of the trial that a person means.

        Raises:
            UserError: There is none, or it was told already.
        """
        if isinstance(trial, Mapping):
            parameters: Parameters = canonical_point(self._study.space, plain(trial))
            if found := difference_of(self._study.space, parameters):
                raise UserError(f"Search.tell: these parameters are no point of the space: {found}")
            number = next((each for each in sorted(self._pending) if _same(self._pending[each], parameters)), None)
            if number is not None:
                return number, self._pending[number]
            twice = next((each for each in self._told.values() if _same(each.parameters, parameters)), None)
            if twice is None or self._study.noisy:
                ordered = {name: parameters[name] for name in self._study.space if name in parameters}
                return len(self._told) + len(self._pending) + 1, copy.deepcopy(ordered)
            number = twice.trial
        else:
            given: Any = trial.number if isinstance(trial, Trial) else plain(trial)
            if isinstance(given, bool) or not isinstance(given, int):
                raise UserError(f"Search.tell: must be a trial, its number or its parameters, but got {shown(trial)}")
            number = given
        if number in self._told:
            told = self._told[number]
            said = ", ".join(f"{name} {each!r}" for name, each in told.values.items()) or told.state
            raise UserError(f"Search.tell: trial {number} was told already: {said}")
        if number not in self._pending:
            raise UserError(
                f"Search.tell: trial {number} was never asked for; pending: {named(map(str, sorted(self._pending)))}"
            )
        return number, self._pending[number]

    def _values(self, who: str, value: Any, state: str) -> dict[str, float]:
        """Return the values of a trial by name.

        Raises:
            UserError: One is missing or is no finite number.
        """
        if state not in get_args(State):
            raise UserError(
                f"{who}: state must be 'completed', 'failed', 'stopped' or 'pending', but got {shown(state)}"
            )
        if state in ("failed", "pending"):
            if value is not None:
                raise UserError(f"{who}: a {state} trial has no value, but got {shown(value)}")
            return {}
        goals = self._study.goals
        if value is None:
            raise UserError(f"{who}: the value is missing; of a trial that failed say state='failed'")
        # A trial that was stopped may have ended before its metrics were there.
        needed = [*goals, *(name for name in self._study.limits if state == "completed" and name not in goals)]
        if not isinstance(value, Mapping):
            if len(needed) > 1:
                asked = f"{', '.join(needed[:-1])} and {needed[-1]}"
                raise UserError(f"{who}: must be a mapping with {asked}, but got {shown(value)}")
            return {VALUE: _number(f"{who}: the value", value)}
        if missing := [name for name in needed if name not in value]:
            raise UserError(f"{who}: {missing[0]} is missing; there are {named(map(str, value))}")
        return {str(name): _number(f"{who}: {name}", each) for name, each in value.items()}


def study_of(space: Mapping[str, Any], given: Mapping[str, Any], who: str) -> Study:
    """Return the study that a search stands for.

    Args:
        space: The parameters by name.
        given: The other arguments of a search, without those that are left out.
        who: Begins messages.

    Raises:
        UserError: It has mistakes.
    """
    if not isinstance(space, Mapping):
        words = "a mapping of names to parameters" + (", or a Study" if who == "Search" else "")
        raise UserError(f"{who}: space: must be {words}, but got {shown(space)}")
    keys = {name: plain(value) for name, value in given.items()}
    engine, random_state = keys.pop("engine", {}), keys.pop("random_state", None)
    settings = {"engine": engine} if isinstance(engine, str) else engine
    if random_state is not None:
        settings = {**(settings if isinstance(settings, dict) else settings.to_data()), "random_state": random_state}
    source = {"source": "returned"} if "objectives" in keys else {"source": "returned", "name": VALUE}
    data = {
        "name": "search",
        "objective": {"python": "search:ask", "args": "dict", "value": source},
        "space": dict(space),
        "optimizer": settings,
        "iterations": MOST_ITERATIONS,  # a search has no end of its own
        "parallel_trials": 1,
    }
    try:
        return Study.checked(data | keys, who)
    except UserError as error:
        message = error.message
        for theirs, ours in _OURS.items():
            message = message.replace(theirs, ours)
        raise UserError(message) from None


def _unknown(name: str, known: Sequence[str]) -> str:
    """Return what is wrong with an argument that a search does not have."""
    if name in _INSTEAD:
        return f"{name}: say {_INSTEAD[name]}"
    if name in Study.model_fields:
        return f"{name}: is a key of a study that runs trials, which a search does not; leave it out"
    near = nearest(name, [*known])
    return f"{shown_name(name)}: unknown argument" + (f"; {near}" if near else f"; known: {named(known)}")


def _same(one: Parameters, other: Parameters) -> bool:
    # Compared as JSON, because 1, 1.0 and True are equal in Python.
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _number(what: str, value: Any) -> float:
    """Return a number, also one of numpy or of a tensor library, as a plain one."""
    number = None
    if not isinstance(value, str | bytes | bool) and hasattr(value, "__float__"):
        with contextlib.suppress(TypeError, ValueError, OverflowError, RuntimeError):
            number = float(value)
    if number is None or not math.isfinite(number):
        raise UserError(f"{what} must be a finite number, but got {shown(value)}; of a failed trial say state='failed'")
    return number
