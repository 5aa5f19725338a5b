"""The engine `optuna`: a sampler of Optuna, which learns the whole ledger for each batch.

Optuna is not in the images, and needs torch for the sampler `gp` and cmaes for `cmaes`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from kfp_bayesopt import extras
from kfp_bayesopt.search.engines.base import EngineSettings, RandomState
from kfp_bayesopt.space.parameters import Parameter

if TYPE_CHECKING:
    from kfp_bayesopt.search.encoding import Encoding, Floats
    from kfp_bayesopt.search.engine import Engine
    from kfp_bayesopt.search.ledger_engine import View
    from kfp_bayesopt.space.problem import Problem


class OptunaSettings(EngineSettings):
    """A sampler of Optuna, which must be installed separately: it is not in the images."""

    knows_objectives = False

    engine: Literal["optuna"]
    random_state: RandomState = 0
    sampler: Literal["tpe", "gp", "cmaes", "random"] = Field("tpe", description="Which sampler.")

    def new_engine(self, study: Problem) -> Engine:
        """Return the engine of a study, before its first suggestion.

        Raises:
            UserError: Optuna is not installed.
        """
        _import_optuna()
        return super().new_engine(study)

    def propose(self, view: View, count: int) -> Iterator[Floats]:
        """Yield the sampler's suggestions, each pending for those after it, then random points."""
        from kfp_bayesopt.search.sampling import remaining

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a sampler is experimental
            yield from self._ask(view, count)
        yield from remaining(view.encoding, view.tried, view.rng)

    def _ask(self, view: View, count: int) -> list[Floats]:
        import numpy as np

        optuna = _import_optuna()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        encoding = view.encoding
        distributions = [_distribution(optuna, parameter) for parameter in encoding.parameters]
        space = dict(zip(encoding.names, distributions, strict=True))
        study = optuna.create_study(sampler=self._sampler(optuna, view.begun))
        states = optuna.trial.TrialState
        seen = [*zip(view.points, view.values, strict=True), *((row, None) for row in view.pending)]
        for row, value in seen:
            completed = value is not None and bool(np.isfinite(value))
            study.add_trial(
                optuna.trial.create_trial(
                    params={
                        name: _to_optuna(encoding, column, float(row[column])) for column, name in enumerate(space)
                    },
                    distributions=space,
                    value=float(value) if completed else None,
                    state=states.COMPLETE if completed else states.RUNNING if value is None else states.FAIL,
                )
            )
        asked = [study.ask(space).params for _ in range(count)]
        return [
            np.array([_from_optuna(encoding, column, params[name]) for column, name in enumerate(space)])
            for params in asked
        ]

    def _sampler(self, optuna: Any, trials: int) -> Any:
        seed = (self.random_state + trials) % 2**32
        match self.sampler:
            case "tpe":
                return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
            case "gp":
                return optuna.samplers.GPSampler(seed=seed)
            case "cmaes":
                return optuna.samplers.CmaEsSampler(seed=seed)
            case "random":
                return optuna.samplers.RandomSampler(seed=seed)


def _distribution(optuna: Any, parameter: Parameter) -> Any:
    """Return the Optuna distribution of a parameter: of positions on its axis, or of indices of its levels."""
    levels, axis = parameter.levels, parameter.axis
    if levels is None:
        return optuna.distributions.FloatDistribution(0.0, 1.0)
    if axis is None:
        return optuna.distributions.CategoricalDistribution(range(levels))
    if not axis.counts:
        return optuna.distributions.FloatDistribution(0.0, 1.0)
    return optuna.distributions.IntDistribution(int(axis.first), int(axis.first) + levels - 1, log=axis.log)


def _to_optuna(encoding: Encoding, column: int, x: float) -> float:
    first = _first(encoding.parameters[column])
    return x if first is None else encoding.index(column, x) + first


def _from_optuna(encoding: Encoding, column: int, x: float) -> float:
    first = _first(encoding.parameters[column])
    if first is not None:
        return encoding.level(column, int(x) - first)
    return encoding.level(column, encoding.index(column, x)) if encoding.levels[column] else x


def _first(parameter: Parameter) -> int | None:
    """Return the number of the first level; None if Optuna sees positions on the axis."""
    if parameter.levels is None or (parameter.axis is not None and not parameter.axis.counts):
        return None
    return int(parameter.axis.first) if parameter.axis else 0


def _import_optuna() -> Any:
    with extras.needed_by("optimizer.engine: optuna", "optuna"):
        import optuna
    return optuna
