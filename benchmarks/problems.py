"""Problems with a known minimum of 0, none of them in the middle of its space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Space = dict[str, dict[str, Any]]
Problem = tuple[Space, Callable[[dict[str, Any]], float]]


def problems() -> dict[str, Problem]:
    """Return the problems by name: a search space as in a study file, and a function of its parameters."""
    return {
        "Branin": _continuous(_branin, [(-5.0, 10.0), (0.0, 15.0)]),
        "Hartmann 6": _continuous(_hartmann, [(0.0, 1.0)] * 6),
        "Ackley 4, shifted": _continuous(_ackley, [(-20.0, 32.0)] * 4),
        "Levy 4, shifted": _continuous(_levy, [(-6.0, 12.0)] * 4),
        "Rosenbrock 3": _continuous(_rosenbrock, [(-2.0, 2.5)] * 3),
        "mixed 4": (_MIXED, _mixed),
    }


def _continuous(function: Callable[[Array], float], bounds: list[tuple[float, float]]) -> Problem:
    space: Space = {f"x{i}": {"type": "real", "low": low, "high": high} for i, (low, high) in enumerate(bounds)}
    return space, lambda parameters: float(function(np.array([parameters[name] for name in space])))


def _branin(x: Array) -> float:
    """Dixon and Szegö 1978."""
    slope = x[1] - 5.1 / (4 * np.pi**2) * x[0] ** 2 + 5 / np.pi * x[0] - 6
    return float(slope**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x[0]) + 10 - 0.397887357729739)


def _hartmann(x: Array) -> float:
    """Dixon and Szegö 1978."""
    scales = np.array(
        [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    )
    centers = 1e-4 * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    )
    return float(3.322368011391339 - np.array([1, 1.2, 3, 3.2]) @ np.exp(-(scales * (x - centers) ** 2).sum(axis=1)))


def _ackley(x: Array) -> float:
    """Ackley 1987."""
    return float(-20 * np.exp(-0.2 * np.sqrt(np.mean(x**2))) - np.exp(np.mean(np.cos(2 * np.pi * x))) + 20 + np.e)


def _levy(x: Array) -> float:
    """Laguna and Martí 2005."""
    w = 1 + (x - 1) / 4
    middle = ((w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)).sum()
    return float(np.sin(np.pi * w[0]) ** 2 + middle + (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2))


def _rosenbrock(x: Array) -> float:
    """Rosenbrock 1960."""
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


_MIXED: Space = {
    "rate": {"type": "real", "low": 1e-5, "high": 1.0, "log": True},
    "width": {"type": "integer", "low": 1, "high": 1000, "log": True},
    "layers": {"type": "integer", "low": 1, "high": 8},
    "kind": {"type": "categorical", "choices": ["a", "b", "c", "d"]},
}


def _mixed(parameters: dict[str, Any]) -> float:
    """A bowl in the logarithms of rate and width, moved and raised by the kind."""
    shift, floor = {"a": (0.0, 0.6), "b": (0.5, 0.0), "c": (-0.5, 1.0), "d": (1.0, 0.3)}[parameters["kind"]]
    rate = np.log10(parameters["rate"]) + 3 - shift
    width = np.log10(parameters["width"]) - np.log10(50)
    return float(rate**2 + 2 * width**2 + 0.1 * (parameters["layers"] - 3) ** 2 + floor)
