"""The engine `optuna`: a sampler of Optuna, made anew from the ledger for each batch.

Optuna is not in the images, and needs torch for the sampler `gp` and cmaes for `cmaes`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any

from bayesopt.engines.optuna import OptunaSettings
from bayesopt.errors import UserError
from bayesopt.space import Categorical, Integer, Parameter, Parameters, Real, Scalar
from bayesopt.study import Study
from bayesopt.trials import Record

try:
    import optuna
except ImportError:
    raise UserError(
        "optimizer.engine: the package optuna must be installed for the engine 'optuna', but it is not; run "
        "`pip install optuna` in the environment of the run, or add it to images/common/optimizer/requirements.in"
    ) from None


class OptunaEngine:
    """Asks a sampler of Optuna that has been told the whole ledger."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._records: list[Record] = []

    def suggest(self, count: int) -> list[Parameters]:
        """Propose the next `count` trials; those of the batch before are pending for those after."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a sampler is experimental
            study = optuna.create_study(sampler=self._sampler(), direction=self._study.direction)
            space = {name: _distribution(parameter) for name, parameter in sorted(self._study.space.items())}
            for record in self._records:
                study.add_trial(self._trial(space, record))
            asked = [study.ask(space).params for _ in range(count)]
        return [
            {name: _from_optuna(parameter, params[name]) for name, parameter in self._study.space.items()}
            for params in asked
        ]

    def learn(self, records: Sequence[Record]) -> None:
        """Keep the records."""
        self._records += records

    def _sampler(self) -> Any:
        settings = self._study.optimizer
        assert isinstance(settings, OptunaSettings)
        seed = (settings.random_state + len(self._records)) % 2**32
        match settings.sampler:
            case "tpe":
                return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
            case "gp":
                return optuna.samplers.GPSampler(seed=seed)
            case "cmaes":
                return optuna.samplers.CmaEsSampler(seed=seed)
            case "random":
                return optuna.samplers.RandomSampler(seed=seed)

    def _trial(self, space: dict[str, Any], record: Record) -> Any:
        assert record.parameters is not None
        return optuna.trial.create_trial(
            params={name: _to_optuna(self._study.space[name], record.parameters[name]) for name in space},
            distributions=space,
            value=record.value,
            state=optuna.trial.TrialState.FAIL if record.value is None else optuna.trial.TrialState.COMPLETE,
        )


def _distribution(parameter: Parameter) -> Any:
    match parameter:
        case Real():
            return optuna.distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)
        case Integer():
            return optuna.distributions.IntDistribution(
                parameter.low, parameter.high, log=parameter.log, step=parameter.step
            )
        case Categorical():
            return optuna.distributions.CategoricalDistribution([json.dumps(choice) for choice in parameter.choices])


def _to_optuna(parameter: Parameter, value: Scalar) -> Scalar:
    # As JSON, because Optuna, like Python, takes 1, 1.0 and True for equal.
    return json.dumps(value) if isinstance(parameter, Categorical) else value


def _from_optuna(parameter: Parameter, value: Any) -> Scalar:
    choice: Scalar = json.loads(value) if isinstance(parameter, Categorical) else value
    return choice
