"""Problems for comparing optimisers: functions from the literature, and real models on bundled data.

Half of them are for tuning the optimiser of this project, the other half only for reporting.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Function = Callable[..., float]


@dataclass(frozen=True)
class Problem:
    """A function to minimise.

    Attributes:
        name: Its name.
        half: Its purpose.
        space: Its parameters, as in a study file.
        function: Takes them as keywords and returns the true value.
        lowest: The lowest value; None if unknown.
        noise: Standard deviation of the observation noise.
    """

    name: str
    half: Literal["tuning", "reporting"]
    space: dict[str, dict[str, Any]]
    function: Function
    lowest: float | None
    noise: float = 0.0


def branin(x1: float, x2: float) -> float:
    """Return the Branin function: three equal minima."""
    bent = x2 - 5.1 / (4 * math.pi**2) * x1**2 + 5 / math.pi * x1 - 6
    return bent**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x1) + 10


def goldstein_price(x1: float, x2: float) -> float:
    """Return the Goldstein-Price function: values over six orders of magnitude."""
    first = 19 - 14 * x1 + 3 * x1**2 - 14 * x2 + 6 * x1 * x2 + 3 * x2**2
    second = 18 - 32 * x1 + 12 * x1**2 + 48 * x2 - 36 * x1 * x2 + 27 * x2**2
    return (1 + (x1 + x2 + 1) ** 2 * first) * (30 + (2 * x1 - 3 * x2) ** 2 * second)


def six_hump_camel(x1: float, x2: float) -> float:
    """Return the six-hump camel function: two equal minima among four others (Dixon and Szegö 1978)."""
    return (4 - 2.1 * x1**2 + x1**4 / 3) * x1**2 + x1 * x2 + (-4 + 4 * x2**2) * x2**2


_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_A3 = np.array([[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]])
_P3 = 1e-4 * np.array([[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]])
_A6 = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_P6 = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann(**x: float) -> float:
    """Return the Hartmann function of 3 or 6 parameters."""
    a, p = (_A3, _P3) if len(x) == 3 else (_A6, _P6)
    return -float(_ALPHA @ np.exp(-(a * (np.array(list(x.values())) - p) ** 2).sum(1)))


def ackley(**x: float) -> float:
    """Return the Ackley function: a funnel with many small holes."""
    v = np.array(list(x.values()))
    waves = np.exp(np.cos(2 * math.pi * v).mean())
    return float(-20 * np.exp(-0.2 * math.sqrt((v**2).mean())) - waves + 20 + math.e)


def levy(**x: float) -> float:
    """Return the Levy function."""
    w = 1 + (np.array(list(x.values())) - 1) / 4
    middle = ((w[:-1] - 1) ** 2 * (1 + 10 * np.sin(math.pi * w[:-1] + 1) ** 2)).sum()
    last = (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)
    return float(math.sin(math.pi * w[0]) ** 2 + middle + last)


def rosenbrock(**x: float) -> float:
    """Return the Rosenbrock function: a bent valley."""
    v = np.array(list(x.values()))
    return float((100 * (v[1:] - v[:-1] ** 2) ** 2 + (1 - v[:-1]) ** 2).sum())


def zakharov(**x: float) -> float:
    """Return the Zakharov function: one flat valley, values over eight orders of magnitude."""
    v = np.array(list(x.values()))
    tilt = float((0.5 * np.arange(1, len(v) + 1) * v).sum())
    return float((v**2).sum()) + tilt**2 + tilt**4


def michalewicz(**x: float) -> float:
    """Return the Michalewicz function: steep valleys in a plain (Michalewicz 1992), steepness 10."""
    v = np.array(list(x.values()))
    return -float((np.sin(v) * np.sin(np.arange(1, len(v) + 1) * v**2 / math.pi) ** 20).sum())


def styblinski_tang(**x: float) -> float:
    """Return the Styblinski-Tang function."""
    v = np.array(list(x.values()))
    return float((v**4 - 16 * v**2 + 5 * v).sum() / 2)


def mixed_ackley(a: float, b: float, n: int, m: int, kind: str) -> float:
    """Return an Ackley function of two real and two integer parameters, moved and scaled by a choice."""
    offset, scale = {"plain": (0.0, 1.0), "moved": (1.5, 0.8), "wide": (-1.0, 1.3), "flat": (0.5, 2.0)}[kind]
    value = ackley(a=(a - offset) * scale, b=(b + offset) * scale, n=(n - 3) / 4, m=(m - 12) / 6)
    return value + {"plain": 1.0, "moved": 0.0, "wide": 0.5, "flat": 2.0}[kind]


def made_up_network(rate: float, units: int, layers: int, kind: str, drop: float, batch: int) -> float:
    """Return a made up loss with the shape of a network's: valleys in logarithms that depend on choices."""
    best = {"adam": -3.0, "sgd": -1.3, "rmsprop": -3.5}[kind]
    speed = (math.log10(rate) - best - 0.4 * math.log2(batch / 64)) ** 2
    size = (math.log2(units) - 7.5 + 0.7 * layers) ** 2 / 8
    depth = (layers - 3) ** 2 / 10
    overfit = (drop - 0.1 * layers) ** 2 * 3
    return 0.1 + {"adam": 0.0, "sgd": 0.03, "rmsprop": 0.05}[kind] + math.log1p(speed + size + depth + overfit)


@functools.cache
def _data(name: str) -> tuple[Any, ...]:
    from sklearn import datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    parts = train_test_split(StandardScaler().fit_transform(x), y, test_size=0.4, random_state=0)
    if name == "digits":
        parts = [part[:500] for part in parts]
    return tuple(parts)


def _loss(name: str, model: Any) -> float:
    """Return the error of a model on validation data: log loss of classes, 1 - R2 of numbers."""
    from sklearn.metrics import log_loss

    x, x_test, y, y_test = _data(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fits that do not converge are what bad parameters do
        model.fit(x, y)
        if name == "diabetes":
            return float(1 - model.score(x_test, y_test))
        return float(log_loss(y_test, np.clip(model.predict_proba(x_test), 1e-6, 1), labels=np.unique(y)))


def mlp_wine(rate: float, units: int, alpha: float, activation: str, momentum: float) -> float:
    """Return the log loss of a small network on the wine data."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        (units,), activation=activation, solver="sgd", alpha=alpha, learning_rate_init=rate, momentum=momentum,
        max_iter=30, random_state=0,
    )  # fmt: skip
    return _loss("wine", model)


def kernel_ridge_diabetes(alpha: float, gamma: float, kernel: str, degree: int) -> float:
    """Return 1 - R2 of a kernel ridge regression on the diabetes data."""
    from sklearn.kernel_ridge import KernelRidge

    return min(_loss("diabetes", KernelRidge(alpha=alpha, gamma=gamma, kernel=kernel, degree=degree)), 1e6)


def boosting_diabetes(rate: float, trees: int, depth: int, share: float, leaf: int, features: float) -> float:
    """Return 1 - R2 of gradient boosting on the diabetes data."""
    from sklearn.ensemble import GradientBoostingRegressor

    model = GradientBoostingRegressor(
        learning_rate=rate, n_estimators=trees, max_depth=depth, subsample=share, min_samples_leaf=leaf,
        max_features=features, random_state=0,
    )  # fmt: skip
    return _loss("diabetes", model)


def tree_cancer(depth: int, leaf: int, split: int, criterion: str, features: float, pruning: float) -> float:
    """Return the log loss of extremely randomised trees on the breast cancer data."""
    from sklearn.ensemble import ExtraTreesClassifier

    model = ExtraTreesClassifier(
        8, max_depth=depth, min_samples_leaf=leaf, min_samples_split=split, criterion=criterion, max_features=features,
        ccp_alpha=pruning, random_state=0,
    )  # fmt: skip
    return _loss("breast_cancer", model)


def svc_cancer(c: float, gamma: float, kernel: str, coef0: float) -> float:
    """Return the hinge-like loss of a support vector machine on the breast cancer data."""
    from sklearn.svm import SVC

    x, x_test, y, y_test = _data("breast_cancer")
    margin = SVC(C=c, gamma=gamma, kernel=kernel, coef0=coef0).fit(x, y).decision_function(x_test) * (2 * y_test - 1)
    return float(np.log1p(np.exp(-np.clip(margin, -50, 50))).mean())


def _reals(number: int, low: float, high: float) -> dict[str, dict[str, Any]]:
    return {f"x{i}": _real(low, high) for i in range(1, number + 1)}


def _real(low: float, high: float, log: bool = False) -> dict[str, Any]:
    return {"type": "real", "low": low, "high": high, "log": log}


def _integer(low: int, high: int, log: bool = False, step: int = 1) -> dict[str, Any]:
    return {"type": "integer", "low": low, "high": high, "log": log, "step": step}


def _choice(*choices: Any) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(choices)}


BRANIN = {"x1": _real(-5.0, 10.0), "x2": _real(0.0, 15.0)}

# None has its minimum in the middle of its space, where some methods begin.
PROBLEMS = [
    Problem("branin", "tuning", BRANIN, branin, 0.39788735772973816),
    Problem("goldstein-price", "tuning", _reals(2, -2.0, 2.0), goldstein_price, 3.0),
    Problem("hartmann 6", "tuning", _reals(6, 0.0, 1.0), hartmann, -3.3223680114155152),
    Problem("hartmann 3 noisy", "tuning", _reals(3, 0.0, 1.0), hartmann, -3.8627797869493365, noise=0.1),
    Problem("ackley 4", "tuning", _reals(4, -32.0, 20.0), ackley, 0.0),
    Problem("levy 4", "tuning", _reals(4, -6.0, 12.0), levy, 0.0),
    Problem("rosenbrock 5", "tuning", _reals(5, -1.5, 2.5), rosenbrock, 0.0),
    Problem("mixed ackley", "tuning",
            {"a": _real(-5.0, 5.0), "b": _real(-5.0, 5.0), "n": _integer(0, 20), "m": _integer(0, 60, step=3),
             "kind": _choice("plain", "moved", "wide", "flat")}, mixed_ackley, 0.0),
    Problem("network on wine", "tuning",
            {"rate": _real(1e-4, 1.0, log=True), "units": _integer(2, 64, log=True),
             "alpha": _real(1e-6, 10.0, log=True), "activation": _choice("relu", "tanh", "logistic"),
             "momentum": _real(0.0, 0.99)}, mlp_wine, None),
    Problem("boosting on diabetes", "tuning",
            {"rate": _real(1e-3, 1.0, log=True), "trees": _integer(5, 80), "depth": _integer(1, 6),
             "share": _real(0.3, 1.0), "leaf": _integer(1, 40, log=True), "features": _real(0.1, 1.0)},
            boosting_diabetes, None),
    Problem("six-hump camel", "reporting", {"x1": _real(-2.0, 3.0), "x2": _real(-1.0, 2.0)}, six_hump_camel,
            -1.031628453489877),
    Problem("zakharov 4", "reporting", _reals(4, -5.0, 10.0), zakharov, 0.0),
    Problem("michalewicz 5 noisy", "reporting", _reals(5, 0.0, math.pi), michalewicz, -4.687658179, noise=0.1),
    Problem("styblinski-tang 10", "reporting", _reals(10, -5.0, 5.0), styblinski_tang, -391.6616570377142),
    Problem("made up network", "reporting",
            {"rate": _real(1e-5, 1.0, log=True), "units": _integer(8, 512, log=True), "layers": _integer(1, 6),
             "kind": _choice("adam", "sgd", "rmsprop"), "drop": _real(0.0, 0.6), "batch": _choice(16, 32, 64, 128)},
            made_up_network, None),
    Problem("kernel ridge on diabetes", "reporting",
            {"alpha": _real(1e-4, 1e3, log=True), "gamma": _real(1e-5, 10.0, log=True),
             "kernel": _choice("rbf", "laplacian", "polynomial"), "degree": _integer(1, 4)},
            kernel_ridge_diabetes, None),
    Problem("trees on breast cancer", "reporting",
            {"depth": _integer(1, 20), "leaf": _integer(1, 50, log=True), "split": _integer(2, 50),
             "criterion": _choice("gini", "entropy"), "features": _real(0.05, 1.0),
             "pruning": _real(1e-5, 0.1, log=True)}, tree_cancer, None),
    Problem("vector machine on breast cancer", "reporting",
            {"c": _real(1e-3, 1e3, log=True), "gamma": _real(1e-5, 1.0, log=True),
             "kernel": _choice("rbf", "poly", "sigmoid"), "coef0": _real(-1.0, 1.0)}, svc_cancer, None),
]  # fmt: skip
