"""The engine `gp` as a sampler of Optuna: `optuna.create_study(sampler=GpSampler(seed=1))`."""

from __future__ import annotations

import json
import logging
import math
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kfp_bayesopt import extras
from kfp_bayesopt.api.asking import study_of
from kfp_bayesopt.errors import UserError, shown, shown_name
from kfp_bayesopt.search.encoding import Encoding
from kfp_bayesopt.search.engine import new_engine
from kfp_bayesopt.search.engines.gp import GpSettings
from kfp_bayesopt.search.sampling import keeping, random_numbers
from kfp_bayesopt.space.constraints import Constraint
from kfp_bayesopt.space.earlier import Earlier
from kfp_bayesopt.space.limits import Limit
from kfp_bayesopt.space.parameters import (
    Categorical,
    Integer,
    Parameter,
    Parameters,
    Real,
    Value,
    difference_of,
    in_order,
    present,
)
from kfp_bayesopt.strict import plain

with extras.needed_by("kfp_bayesopt.optuna", "optuna"):
    import optuna
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )
    from optuna.samplers import BaseSampler, RandomSampler
    from optuna.samplers._base import _process_constraints_after_trial
    from optuna.trial import FrozenTrial, TrialState

__all__ = ["GpSampler"]

logger = logging.getLogger(__name__)

PROPOSED = "kfp_bayesopt"
"""The attributes of a trial that hold its proposed parameters, so that others see them while it runs."""
LONGEST = 2000
"""The most characters of an attribute, as a database keeps them."""
FARTHEST = 1e100
"""The most that a constraint is kept by, in its own unit."""
LARGEST_SEED = 2**32 - 1

_one_at_a_time = threading.Lock()  # the threads of `n_jobs` see each other's points, and share the threads of BLAS


class GpSampler(BaseSampler):
    """Proposes the trials of an Optuna study with our engine `gp`.

    What is proposed follows from the seed, the trials that have ended and those that run, so that it is the same after
    a restart and in every process. Running trials, of this process and of others, count as points whose values are
    pending. Failed trials, those with an infinite value, and pruned ones without a value count as failed: the search
    avoids their region.

    Without a `space`, it is that of the parameters which all completed trials have in common; the others are sampled
    independently, and so are those of the first trial.

    Example:
        >>> import optuna
        >>> optuna.logging.set_verbosity(optuna.logging.ERROR)
        >>> study = optuna.create_study(sampler=GpSampler(seed=1))
        >>> study.optimize(lambda trial: (trial.suggest_float("x", -5, 10) - 2) ** 2, n_trials=15)
        >>> round(study.best_params["x"])
        2
    """

    def __init__(
        self,
        space: Mapping[str, Parameter | Mapping[str, Any]] | None = None,
        *,
        seed: int | None = None,
        n_startup_trials: int | None = None,
        noisy: bool = False,
        constraints: Sequence[str] = (),
        constraints_func: Callable[[FrozenTrial], Sequence[float]] | None = None,
        independent_sampler: BaseSampler | None = None,
        warn_independent_sampling: bool = True,
    ) -> None:
        """Make a sampler.

        Args:
            space: The parameters by name, with `when` for those that are not always there; the ranges are those that
                the objective asks for. Default: what the trials of the study show.
            seed: Seed: the same trials give the same suggestions. Default: a random one.
            n_startup_trials: Trials before the model is used. Default: by dimensions.
            noisy: Equal parameters give different values.
            constraints: Comparisons of parameters that every trial keeps, such as `low <= high`; needs a `space`.
            constraints_func: Returns, for a trial, numbers of which each is above 0 where a constraint on its results
                is broken. `trial.set_constraint` of Optuna 5 does the same.
            independent_sampler: Samples the parameters that are not in the space. Default: Optuna's `RandomSampler`.
            warn_independent_sampling: Log a warning for each parameter that is not in the space.

        Raises:
            UserError: There are mistakes; the message names all of them, one a line.
        """
        self._seed = secrets.randbelow(LARGEST_SEED + 1) if seed is None else _whole("seed", seed, 0, LARGEST_SEED)
        self._begin = None if n_startup_trials is None else _whole("n_startup_trials", n_startup_trials, 1, 10**6)
        self._noisy = noisy
        self._space = _Space.given(space, constraints) if space is not None else None
        if constraints and space is None:
            raise UserError("GpSampler: constraints: they compare the parameters of a space; give space too")
        self._constraints_func = constraints_func
        self._independent = independent_sampler or RandomSampler(seed=self._seed)
        self._warns = warn_independent_sampling
        self._warned: set[str] = set()
        self._has_proposed = False

    def reseed_rng(self) -> None:
        """Take another seed, if nothing was proposed yet, and another one for independent sampling.

        Optuna does this for trials that run side by side, so that they get different points. Here they do with the same
        seed, which the points of a start design share.
        """
        if not self._has_proposed:
            self._seed = secrets.randbelow(LARGEST_SEED + 1)
        self._independent.reseed_rng()

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the given space, or that of the parameters which all completed trials have in common."""
        if self._space is not None:
            return dict(self._space.distributions)
        common = optuna.search_space.intersection_search_space(study.get_trials(deepcopy=False))
        return {name: each for name, each in common.items() if not each.single() and not _problem_of(each)}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Propose a point of a space: a value for each of its parameters that is there."""
        if not search_space:
            return {}
        space = self._space
        if space is None or search_space.keys() != space.distributions.keys():
            space = _Space.of(search_space)
        with _one_at_a_time:
            trials = study.get_trials(deepcopy=False)
            point = self._propose(study, trials, trial, space)
            if point is None:
                return {}
            self._has_proposed = True
            found = space.outward(point)
            _remember(study, trial, {name: space.distributions[name].to_internal_repr(found[name]) for name in found})
        return found

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Sample a parameter that is not in the space."""
        if self._warns and param_name not in self._warned:
            ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if ended or self._space is not None:
                self._warned.add(param_name)
                logger.warning(self._reason(param_name, param_distribution))
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Prepare independent sampling."""
        self._independent.before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Keep the results of `constraints_func` with a trial, as Optuna's own samplers do."""
        if self._constraints_func is not None:
            _process_constraints_after_trial(self._constraints_func, study, trial, state)
        self._independent.after_trial(study, trial, state, values)

    def _propose(
        self, study: optuna.Study, trials: Sequence[FrozenTrial], trial: FrozenTrial, space: _Space
    ) -> Parameters | None:
        """Return the next point; None if there is none that keeps the constraints."""
        others = [each for each in trials if each.number != trial.number]
        ended, pending, unknown = [], [], 0
        for each in others:
            point = space.inward(_params_of(each, space))
            if each.state.is_finished():
                if point is not None:
                    ended.append((each, point))
            elif point is not None:
                pending.append(point)
            elif each.state == TrialState.RUNNING and each.number < trial.number:
                unknown += 1
        names = [f"objective {number}" for number in range(len(study.directions))]
        directions = {
            name: -1.0 if each == optuna.study.StudyDirection.MAXIMIZE else 1.0
            for name, each in zip(names, study.directions, strict=True)
        }
        told = list(_told(ended, directions))
        metrics = sorted({name for each in told for name in each.values} - directions.keys())
        problem = _Problem(
            space.parameters, space.kept, directions, [Limit(name, "<= 0", 1.0, 0.0) for name in metrics], self._noisy,
            GpSettings(random_state=self._seed, n_initial_points=self._begin),
        )  # fmt: skip
        engine = new_engine(problem)
        engine.learn([each.with_all(metrics) for each in told])
        # Each one that has begun and whose point is not known yet counts as the point that it will get.
        found = engine.suggest(unknown + 1, pending)
        encoding = Encoding(space.parameters, space.kept)
        if len(found) > unknown:
            point = found[unknown]
        else:  # every point of the space has been tried
            rows = keeping(encoding, 1, random_numbers(problem, len(trials)))
            if not len(rows):
                return None
            point = encoding.decode(rows[0])
        fixed = trial.system_attrs.get("fixed_params") or {}
        return encoding.complete({**point, **space.partly(fixed)})

    def _reason(self, name: str, distribution: BaseDistribution) -> str:
        if self._space is not None and name in self._space.distributions:
            reason = "its value in the space does not fit the range that the objective asks for, or its `when`"
        elif self._space is not None:
            reason = "it is not in the space"
        else:
            reason = _problem_of(distribution) or (
                "not every completed trial has it with this range; give GpSampler a space, with `when`"
            )
        return (
            f"GpSampler: {shown_name(name)} is sampled independently: {reason}; "
            "for no warning, say warn_independent_sampling=False"
        )


@dataclass(frozen=True)
class _Space:
    """A search space, as Optuna and as we know it.

    Attributes:
        parameters: The parameters by name; unordered values are indices, unless the space was given in our words.
        distributions: Those that Optuna samples.
        kept: The constraints that every point keeps.
    """

    parameters: Mapping[str, Parameter]
    distributions: Mapping[str, BaseDistribution]
    kept: Sequence[Constraint] = ()

    @classmethod
    def of(cls, distributions: Mapping[str, BaseDistribution]) -> _Space:
        """Take a space of Optuna."""
        known = {name: each for name, each in distributions.items() if not each.single() and not _problem_of(each)}
        return cls({name: _parameter(each) for name, each in known.items()}, known)

    @classmethod
    def given(cls, space: Mapping[str, Parameter | Mapping[str, Any]], constraints: Sequence[str]) -> _Space:
        """Take a space in our words.

        Raises:
            UserError: It has mistakes.
        """
        study = study_of(space, {"constraints": list(constraints)} if constraints else {}, "GpSampler")
        searched = {name: _distribution(each) for name, each in study.space.items() if each.is_searched}
        return cls(study.space, {name: each for name, each in searched.items() if not each.single()}, study.kept)

    def inward(self, params: Mapping[str, Any]) -> Parameters | None:
        """Return the point that the parameters of a trial are; None if they are none, or not all are known."""
        values = {name: each.value_at(0) for name, each in self.parameters.items() if name not in self.distributions}
        try:
            point = present(self.parameters, {**values, **self.partly(params)}, in_order(self.parameters))
        except KeyError:
            return None
        return None if difference_of(self.parameters, point) else point

    def partly(self, params: Mapping[str, Any]) -> Parameters:
        """Return the values of the parameters that are in the space, as far as they are values of it."""
        found = {}
        for name, value in params.items():
            if name in self.distributions:
                meant = _value(self.parameters[name], self.distributions[name], value)
                if meant is not None and self.parameters[name].problem_with(meant[0]) is None:
                    found[name] = meant[0]
        return found

    def outward(self, point: Parameters) -> dict[str, Any]:
        """Return a point as Optuna samples it."""
        found = {}
        for name, each in self.distributions.items():
            if name in point:
                is_listed = isinstance(each, CategoricalDistribution)
                index = self.parameters[name].index_of(point[name]) if is_listed else None
                found[name] = point[name] if index is None else each.to_external_repr(index)
        return found


@dataclass(frozen=True)
class _Told:
    """An ended trial, as engines learn it."""

    trial: int
    parameters: Parameters
    state: str
    values: Mapping[str, float]
    iteration: int | None = None
    learnt: str = ""

    def with_all(self, metrics: Sequence[str]) -> _Told:
        """Return it with all metrics that have limits: what it does not have is unknown."""
        if self.state == "failed":
            return self
        values = {**dict.fromkeys(metrics, math.nan), **self.values}
        return _Told(self.trial, self.parameters, self.state, values)


@dataclass(frozen=True)
class _Problem:
    """What the engine knows of an Optuna study."""

    space: Mapping[str, Parameter]
    kept: Sequence[Constraint]
    signs: Mapping[str, float]
    bounds: Sequence[Limit]
    noisy: bool
    optimizer: GpSettings
    parallel_trials: int = 1
    reference: Mapping[str, float] = field(default_factory=dict)
    first_points: Sequence[Parameters] = ()
    earlier: Sequence[Earlier] = ()

    @property
    def said(self) -> str:
        """A text with all of these."""
        return repr(self)


def _told(ended: Sequence[tuple[FrozenTrial, Parameters]], signs: Mapping[str, float]) -> Iterator[_Told]:
    """Yield ended trials in the order of their numbers.

    A value that is infinitely good counts as the best finite one.
    """
    best = {}
    for column, (name, sign) in enumerate(signs.items()):
        finite = [sign * each.values[column] for each, _ in ended if each.values and math.isfinite(each.values[column])]
        best[name] = sign * min(finite, default=math.nan)
    for each, point in ended:
        values = {}
        for (name, sign), value in zip(signs.items(), each.values or [], strict=False):
            values[name] = best[name] if sign * value == -math.inf else value
        is_known = len(values) == len(signs) and all(map(math.isfinite, values.values()))
        if each.state == TrialState.FAIL or not is_known:
            yield _Told(each.number + 1, point, "failed", {})
        else:
            state = "stopped" if each.state == TrialState.PRUNED else "completed"
            yield _Told(each.number + 1, point, state, {**values, **_constraints_of(each)})


def _constraints_of(trial: FrozenTrial) -> dict[str, float]:
    """Return the constraints on the results of a trial, by name: above 0 where one is broken."""
    kept: Any = getattr(trial, "constraints", None)  # since Optuna 5
    if kept is None:
        kept = dict(enumerate(trial.system_attrs.get("constraints") or ()))
    return {f"constraint {name}": max(float(value), -FARTHEST) for name, value in kept.items()}


def _params_of(trial: FrozenTrial, space: _Space) -> dict[str, Any]:
    """Return the parameters of a trial: those that it has, that are set, or that it will get."""
    if trial.state.is_finished() and trial.state != TrialState.FAIL:
        return trial.params
    number, text = 0, ""
    while part := trial.system_attrs.get(f"{PROPOSED}:{number}"):
        text, number = text + part, number + 1
    proposed = {
        name: space.distributions[name].to_external_repr(value)
        for name, value in (json.loads(text) if text else {}).items()
        if name in space.distributions and _has(space.distributions[name], value)
    }
    return {**proposed, **(trial.system_attrs.get("fixed_params") or {}), **trial.params}


def _remember(study: optuna.Study, trial: FrozenTrial, proposed: Mapping[str, float]) -> None:
    """Keep what is proposed for a trial, by Optuna's own numbers for values, where other processes see it."""
    text = json.dumps(proposed, separators=(",", ":"))
    for number, start in enumerate(range(0, len(text), LONGEST)):
        part = text[start : start + LONGEST]
        study._storage.set_trial_system_attr(trial._trial_id, f"{PROPOSED}:{number}", part)


def _has(distribution: BaseDistribution, internal: float) -> bool:
    return not isinstance(distribution, CategoricalDistribution) or 0 <= internal < len(distribution.choices)


def _value(parameter: Parameter, distribution: BaseDistribution, value: Any) -> tuple[Value] | None:
    """Return what a value of Optuna's is here, in a tuple as it may be None; None if it is none of the parameter."""
    try:
        number = distribution.to_internal_repr(value)
    except (ValueError, TypeError):
        return None
    if isinstance(distribution, CategoricalDistribution):
        return (parameter.value_at(int(number)),)
    if parameter.levels is None:
        return (float(number),)
    if not math.isfinite(number):
        return None
    span = parameter.span
    return (parameter.value_at(parameter.index_of(int(number) if span is None or span.is_whole else number)),)


def _parameter(distribution: BaseDistribution) -> Parameter:
    """Return a distribution in our words.

    Raises:
        UserError: It has no such form.
    """
    if isinstance(distribution, CategoricalDistribution):
        return Categorical(list(range(len(distribution.choices))))
    if isinstance(distribution, IntDistribution):
        return Integer(distribution.low, distribution.high, log=distribution.log, step=distribution.step)
    assert isinstance(distribution, FloatDistribution)
    return Real(distribution.low, distribution.high, log=distribution.log, step=distribution.step)


def _problem_of(distribution: BaseDistribution) -> str | None:
    """Return the reason that the engine cannot search a distribution."""
    if distribution.single():
        return None
    try:
        _parameter(distribution)
    except UserError as error:
        return error.message
    return None


def _distribution(parameter: Parameter) -> BaseDistribution:
    """Return a parameter of ours as Optuna samples it."""
    span = parameter.span
    if span is None:
        choices: Any = parameter.listed  # Optuna takes anything, and warns of what a database cannot hold
        return CategoricalDistribution(choices)
    log = span.kind == "log"
    if span.is_whole:
        return IntDistribution(int(span.low), int(span.high), log=log, step=1 if log else int(span.step or 1))
    return FloatDistribution(span.low, span.high, log=log, step=None if log else span.step)


def _whole(name: str, value: Any, low: int, high: int) -> int:
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
        raise UserError(f"GpSampler: {name}: must be a whole number from {low} to {high}, but got {shown(value)}")
    return number
