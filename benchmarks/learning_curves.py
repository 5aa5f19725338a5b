"""Trainings on bundled data that report a value after each step, and tables of their learning curves.

    python -m benchmarks.learning_curves

trains each of 60 random settings of each training for 27 steps, and writes the curves as `curves/NAME.json`: a few
minutes. Errors are measured on validation data.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

STEPS = 27
SETTINGS = 60
FOLDER = Path(__file__).parent / "curves"

Space = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Training:
    """A model that is trained in steps.

    Attributes:
        name: Its name, and that of its file.
        half: Its purpose: to choose defaults, or only to report.
        space: Its parameters, as in a study file.
        steps: Takes them as keywords, and yields the error after each step.
    """

    name: str
    half: Literal["tuning", "reporting"]
    space: Space
    steps: Callable[..., Iterator[float]]


@cache
def _split(name: str) -> tuple[Any, Any, Any, Any]:
    """Return scaled training and validation data: inputs, inputs, answers, answers."""
    from sklearn import datasets, model_selection, preprocessing

    data = getattr(datasets, f"load_{name}")()
    target = data.target if name != "diabetes" else (data.target - data.target.mean()) / data.target.std()
    first, second, one, other = model_selection.train_test_split(data.data, target, test_size=0.4, random_state=0)
    scaler = preprocessing.StandardScaler().fit(first)
    return scaler.transform(first), scaler.transform(second), one, other


def _epochs(model: Any, name: str) -> Iterator[float]:
    """Train a model for an epoch at a time; the error is the log loss, or the squared error of a number."""
    from sklearn import metrics

    first, second, one, other = _split(name)
    is_number = name == "diabetes"
    for _ in range(STEPS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.partial_fit(first, one, **({} if is_number else {"classes": np.unique(one)}))
            if is_number:
                error = float(np.mean((model.predict(second) - other) ** 2))
            else:
                error = float(metrics.log_loss(other, np.nan_to_num(model.predict_proba(second), nan=0.5)))
        yield min(error, 1e6) if np.isfinite(error) else 1e6


def network(name: str, solver: str, rate: float, alpha: float, units: int, momentum: float) -> Iterator[float]:
    """Train a network with one layer."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    make = MLPRegressor if name == "diabetes" else MLPClassifier
    model = make(
        hidden_layer_sizes=(units,), solver=solver, learning_rate_init=rate, alpha=alpha, momentum=momentum,
        batch_size=64, random_state=0,
    )  # fmt: skip
    return _epochs(model, name)


def linear(name: str, rate: float, alpha: float, share: float) -> Iterator[float]:
    """Train a linear classifier by stochastic gradient descent with a constant rate."""
    from sklearn.linear_model import SGDClassifier

    model = SGDClassifier(
        loss="log_loss", penalty="elasticnet", alpha=alpha, l1_ratio=share, learning_rate="constant", eta0=rate,
        random_state=0,
    )  # fmt: skip
    return _epochs(model, name)


def boosting(name: str, rate: float, depth: int, share: float, leaf: int) -> Iterator[float]:
    """Train boosted trees: a step adds three of them."""
    from sklearn import ensemble, metrics

    first, second, one, other = _split(name)
    settings = {"learning_rate": rate, "max_depth": depth, "subsample": share, "min_samples_leaf": leaf}
    if name == "diabetes":
        model = ensemble.GradientBoostingRegressor(n_estimators=3 * STEPS, random_state=0, **settings)
        errors = [float(np.mean((found - other) ** 2)) for found in model.fit(first, one).staged_predict(second)]
    else:
        model = ensemble.GradientBoostingClassifier(n_estimators=3 * STEPS, random_state=0, **settings)
        errors = [float(metrics.log_loss(other, found)) for found in model.fit(first, one).staged_predict_proba(second)]
    yield from (min(error, 1e6) for error in errors[2::3])


def _real(low: float, high: float, log: bool = False) -> dict[str, Any]:
    return {"type": "real", "low": low, "high": high, "log": log}


def _integer(low: int, high: int, log: bool = False) -> dict[str, Any]:
    return {"type": "integer", "low": low, "high": high, "log": log}


NETWORK: Space = {
    "rate": _real(1e-4, 1.0, log=True), "alpha": _real(1e-6, 10.0, log=True), "units": _integer(4, 256, log=True),
    "momentum": _real(0.0, 0.99),
}  # fmt: skip
LINEAR: Space = {"rate": _real(1e-5, 1.0, log=True), "alpha": _real(1e-7, 0.1, log=True), "share": _real(0.0, 1.0)}
BOOSTING: Space = {
    "rate": _real(0.01, 1.0, log=True), "depth": _integer(1, 6), "share": _real(0.3, 1.0), "leaf": _integer(1, 30),
}  # fmt: skip


def _of(function: Callable[..., Iterator[float]], *first: str) -> Callable[..., Iterator[float]]:
    return lambda **parameters: function(*first, **parameters)


TRAININGS = (
    Training("network on digits", "tuning", NETWORK, _of(network, "digits", "sgd")),
    Training("linear on digits", "tuning", LINEAR, _of(linear, "digits")),
    Training("network on wine", "reporting", NETWORK, _of(network, "wine", "sgd")),
    Training("network on diabetes", "reporting", NETWORK, _of(network, "diabetes", "adam")),
    Training("boosting on diabetes", "reporting", BOOSTING, _of(boosting, "diabetes")),
    Training("boosting on breast cancer", "reporting", BOOSTING, _of(boosting, "breast_cancer")),
)


def file_of(training: Training) -> Path:
    """Return the file of the curves of a training."""
    return FOLDER / f"{training.name.replace(' ', '-')}.json"


def read_curves(training: Training) -> list[list[float]]:
    """Return the curves of a training: a list of errors for each of the settings."""
    found: list[list[float]] = json.loads(file_of(training).read_text())
    return found


def main() -> None:
    """Train everything, and write the curves."""
    from benchmarks.engine_runs import study_of

    FOLDER.mkdir(exist_ok=True)
    for training in TRAININGS:
        study = study_of(1, "random", 0, space=training.space)
        from kfp_bayesopt.search.engine import new_engine

        with threadpool_limits(1):
            settings = new_engine(study).suggest(SETTINGS)
            curves = [[float(f"{error:.5g}") for error in training.steps(**each)] for each in settings]
        file_of(training).write_text(json.dumps(curves, separators=(",", ":")).replace("],[", "],\n[") + "\n")
        print(training.name, flush=True)


if __name__ == "__main__":
    main()
