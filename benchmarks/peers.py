"""The optimisers in the comparison: ours, and peers behind the same two calls."""

from __future__ import annotations

import functools
import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Protocol

from benchmarks import ROOT
from benchmarks.problems import Problem
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.search.engine import new_engine
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.version import __version__

PACKAGE = ROOT / "images" / "common" / "kfp_bayesopt"
GP_MODULES = (
    "space/parameters", "search/engines/gp", "search/gp/acquisition", "search/encoding",
    "search/gp/gaussian_process", "search/gp/hypervolume", "search/ledger_engine", "search/sampling",
    "search/gp/proposal", "search/gp/trust_region", "search/gp/values",
)  # fmt: skip


class Method(Protocol):
    """Proposes batches and learns the values."""

    def ask(self, count: int) -> list[Parameters]:
        """Propose parameters."""

    def tell(self, parameters: Sequence[Parameters], values: Sequence[float]) -> None:
        """Learn the values of the last batch."""


class Ours:
    """An engine of this project."""

    def __init__(self, problem: Problem, seed: int, batch: int, **settings: Any) -> None:
        self._study = a_study(problem, batch, {"random_state": seed, **settings})
        self._engine = new_engine(self._study)
        self._trials = 0

    def ask(self, count: int) -> list[Parameters]:
        """Propose parameters."""
        return self._engine.suggest(count)

    def tell(self, parameters: Sequence[Parameters], values: Sequence[float]) -> None:
        """Teach the engine the values."""
        self._engine.learn(records_of(self._study, parameters, values, self._trials))
        self._trials += len(values)


class Optuna:
    """Optuna: a whole batch is asked for before any of its values is known."""

    def __init__(self, problem: Problem, seed: int, batch: int, sampler: str) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        samplers: dict[str, Callable[[], Any]] = {
            "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=True, multivariate=True),
            "gp": lambda: optuna.samplers.GPSampler(seed=seed),
        }
        if sampler == "gp":
            _use_one_thread()
        self._space = {name: _distribution(optuna, each) for name, each in problem.space.items()}
        self._study = optuna.create_study(sampler=samplers[sampler]())
        self._asked: list[Any] = []

    def ask(self, count: int) -> list[Parameters]:
        """Propose parameters."""
        self._asked = [self._study.ask(self._space) for _ in range(count)]
        return [dict(trial.params) for trial in self._asked]

    def tell(self, parameters: Sequence[Parameters], values: Sequence[float]) -> None:
        """Tell each trial's value."""
        for trial, value in zip(self._asked, values, strict=True):
            self._study.tell(trial, value)


class Ax:
    """Ax with its own choice of generation strategy."""

    def __init__(self, problem: Problem, seed: int, batch: int) -> None:
        import logging

        from ax.api.client import Client

        _use_one_thread()
        logging.disable(logging.WARNING)
        warnings.simplefilter("ignore")
        self._client = Client(random_seed=seed)
        self._client.configure_experiment(parameters=[_ax_parameter(name, p) for name, p in problem.space.items()])
        self._client.configure_optimization(objective="-value")
        self._asked: list[int] = []

    def ask(self, count: int) -> list[Parameters]:
        """Propose parameters; Ax may propose fewer at a time, and is then asked again."""
        trials: dict[int, Any] = {}
        while len(trials) < count:
            trials.update(self._client.get_next_trials(max_trials=count - len(trials)))
        self._asked = list(trials)
        return [dict(parameters) for parameters in trials.values()]

    def tell(self, parameters: Sequence[Parameters], values: Sequence[float]) -> None:
        """Tell each trial's value."""
        for trial, value in zip(self._asked, values, strict=True):
            self._client.complete_trial(trial_index=trial, raw_data={"value": value})


def a_study(problem: Problem, batch: int, settings: dict[str, Any]) -> Study:
    """Return a study of a problem."""
    data = {
        "name": "benchmark",
        "objective": {"python": "benchmarks.problems:problem"},
        "iterations": 16,
        "parallel_trials": batch,
        "space": problem.space,
        "noisy": problem.noise > 0,
        "optimizer": settings,
    }
    return Study.from_text(json.dumps(data).encode())


def records_of(study: Study, parameters: Sequence[Parameters], values: Sequence[float], done: int = 0) -> list[Record]:
    """Return the records of trials that completed, numbered after those that are done."""
    return [
        Record(
            study=study.name, fingerprint=study.fingerprint, iteration=1, trial=trial, parameters=point,
            state="completed", values={"value": value}, started="2026-01-01T00:00:00+00:00", seconds=0.0,
        )
        for trial, (point, value) in enumerate(zip(parameters, values, strict=True), done + 1)
    ]  # fmt: skip


def new_method(name: str, problem: Problem, seed: int, batch: int) -> Method:
    """Return a new method by its name: an engine of ours, `optuna-tpe`, `optuna-gp` or `ax`."""
    if name == "ax":
        return Ax(problem, seed, batch)
    if name.startswith("optuna-"):
        return Optuna(problem, seed, batch, name.removeprefix("optuna-"))
    return Ours(problem, seed, batch, engine=name)


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@functools.cache
def version_of(method: str) -> str:
    """Return the name and installed version of a method; of `gp` a digest of its code."""
    match method:
        case "gp":
            code = b"".join((PACKAGE / f"{module}.py").read_bytes() for module in GP_MODULES)
            return f"gp {hashlib.sha256(code).hexdigest()[:8]}"
        case "random":
            return f"bayesopt {__version__}"
        case _:
            package = {"ax": "ax-platform", "skopt": "scikit-optimize"}.get(method, method.partition("-")[0])
            return f"{package} {version(package)}"


def _distribution(optuna: Any, parameter: dict[str, Any]) -> Any:
    if parameter["type"] == "categorical":
        return optuna.distributions.CategoricalDistribution(parameter["choices"])
    if parameter["type"] == "real":
        return optuna.distributions.FloatDistribution(parameter["low"], parameter["high"], log=parameter["log"])
    return optuna.distributions.IntDistribution(
        parameter["low"], parameter["high"], log=parameter["log"], step=parameter["step"]
    )


def _ax_parameter(name: str, parameter: dict[str, Any]) -> Any:
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    if parameter["type"] == "categorical":
        kind = {str: "str", int: "int", float: "float", bool: "bool"}[type(parameter["choices"][0])]
        return ChoiceParameterConfig(name=name, parameter_type=kind, values=parameter["choices"], is_ordered=False)
    real = parameter["type"] == "real"
    return RangeParameterConfig(
        name=name,
        parameter_type="float" if real else "int",
        bounds=(parameter["low"], parameter["high"]),
        scaling="log" if parameter["log"] else "linear",
        step_size=None if real or parameter["step"] == 1 else parameter["step"],
    )
