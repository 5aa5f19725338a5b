"""How much parameters matter, by functions of which that is known.

The method was chosen by other functions: Branin, Friedman's of seven, borehole, piston, OTL circuit, Sobol's g. Those
here were only used to report.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import spearmanr

from kfp_bayesopt.report.importance import importances
from kfp_bayesopt.report.model import Model
from kfp_bayesopt.search.encoding import Encoding, Floats
from tests.builders import a_study

SEEDS = 10
TRIALS = 60

Function = Callable[[Floats], Floats]


def wing_weight(u: Floats) -> Floats:
    """Return the weight of a light aircraft's wing (Forrester, Sóbester and Keane 2008, section 1.4)."""
    low = np.array([150, 220, 6, -10, 16, 0.5, 0.08, 2.5, 1700, 0.025])
    high = np.array([200, 300, 10, 10, 45, 1, 0.18, 6, 2500, 0.08])
    s, wf, a, sweep, q, taper, thick, nz, gross, paint = (low + u * (high - low)).T
    cosine = np.cos(np.radians(sweep))
    return np.asarray(
        0.036 * s**0.758 * wf**0.0035 * (a / cosine**2) ** 0.6 * q**0.006 * taper**0.04
        * (100 * thick / cosine) ** -0.3 * (nz * gross) ** 0.49
        + s * paint
    )  # fmt: skip


def robot_arm(u: Floats) -> Floats:
    """Return how far the hand of an arm of four segments is from its shoulder (An and Owen 2001)."""
    angles = np.cumsum(2 * np.pi * u[:, :4], axis=1)
    lengths = u[:, 4:]
    return np.asarray(np.hypot((lengths * np.cos(angles)).sum(1), (lengths * np.sin(angles)).sum(1)))


def curved(u: Floats) -> Floats:
    """Return a function that is highly curved in some of its eight variables (Dette and Pepelyshev 2010)."""
    x1, x2, x3 = u[:, 0], u[:, 1], u[:, 2]
    sums = sum(np.log1p(u[:, 2 : at + 1].sum(1)) for at in range(3, 8))
    return np.asarray(
        4 * (x1 - 2 + 8 * x2 - 8 * x2**2) ** 2 + (3 - 4 * x2) ** 2 + 16 * np.sqrt(x3 + 1) * (2 * x3 - 1) ** 2 + sums
    )


def loeppky(u: Floats) -> Floats:
    """Return a sum with interactions, whose last variables hardly matter (Loeppky, Moore and Williams 2013)."""
    x = u.T
    return np.asarray(
        6 * x[0] + 4 * x[1] + 5.5 * x[2] + 3 * x[0] * x[1] + 2.2 * x[0] * x[2] + 1.4 * x[1] * x[2]
        + x[3] + 0.5 * x[4] + 0.2 * x[5] + 0.1 * x[6]
    )  # fmt: skip


def product(u: Floats) -> Floats:
    """Return a product of five factors, and a sixth added: each parameter works through the others."""
    factors = (1 + np.array([0.05, 0.3, 0.6, 0.8, 0.1, 0.4]) * (2 * u - 1)).T
    return np.asarray(factors[0] * (1 - factors[1] / 2) * factors[2] * factors[3] * (2 - factors[4]) + factors[5])


FUNCTIONS: dict[str, tuple[Function, int]] = {
    "wing weight": (wing_weight, 10),
    "robot arm": (robot_arm, 8),
    "curved": (curved, 8),
    "loeppky": (loeppky, 7),
    "product": (product, 6),
}


def encoding_of(d: int) -> Encoding:
    return Encoding(
        a_study(
            space={f"x{number:02}": {"type": "real", "low": 0.0, "high": 1.0} for number in range(d)},
            objective={"python": "a:b"},
        ).space
    )


def true_shares(function: Function, d: int) -> Floats:
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 100_000, d))
    base = function(one)
    shares = []
    for column in range(d):
        changed = one.copy()
        changed[:, column] = other[:, column]
        shares.append(((base - function(changed)) ** 2).mean() / 2 / base.var())
    return np.array(shares)


def searched(function: Function, encoding: Encoding, seed: int) -> tuple[Floats, Floats]:
    """Return rows and values as a search leaves them: half of them anywhere, half around the best so far."""
    rng = np.random.default_rng(seed)
    rows = rng.random((TRIALS, len(encoding)))
    for number in range(TRIALS // 2, TRIALS):
        best = rows[int(np.argmin(function(rows[:number])))]
        rows[number] = np.clip(best + rng.normal(size=len(encoding)) * 0.15, 0, 1)
    return rows, function(rows)


def agreement(name: str) -> float:
    """Return the median of the rank correlations of known and found importances."""
    function, d = FUNCTIONS[name]
    encoding, truth = encoding_of(d), true_shares(function, d)
    found = []
    for seed in range(SEEDS):
        model = Model.of(encoding, *searched(function, encoding, seed))
        assert model is not None
        shares = {each.name: each.share for each in importances(model)}
        found.append(spearmanr(truth, [shares[each] for each in encoding.names]).statistic)
    return float(np.median(found))


@pytest.mark.long
def test_the_order_of_parameters_is_that_of_the_truth() -> None:
    found = {name: agreement(name) for name in FUNCTIONS}
    assert np.median(list(found.values())) >= 0.8, found


@pytest.mark.parametrize("name", ["robot arm", "curved", "product"])
def test_the_interval_holds_the_truth_mostly(name: str) -> None:
    function, d = FUNCTIONS[name]
    encoding, truth = encoding_of(d), true_shares(function, d)
    inside = []
    for seed in range(3):
        model = Model.of(encoding, *searched(function, encoding, seed))
        assert model is not None
        for each in importances(model):
            known = truth[encoding.names.index(each.name)]
            assert 0 <= each.low <= each.share <= each.high <= 1
            inside.append(each.low - 0.01 <= known <= each.high + 0.01)
    assert np.mean(inside) >= 0.75


def test_a_parameter_that_does_nothing_has_no_share() -> None:
    encoding = encoding_of(3)
    rows = np.random.default_rng(0).random((40, 3))
    model = Model.of(encoding, rows, rows[:, 0] + rows[:, 1] ** 2)
    assert model is not None
    *_, last = importances(model)
    assert last.name == "x02"
    assert last.high < 0.01


@pytest.mark.parametrize("values", [[1.0] * 10, [1.0, 2.0, 3.0]])
def test_without_differences_or_with_few_trials_there_is_no_model(values: list[float]) -> None:
    rows = np.random.default_rng(0).random((len(values), 2))
    assert Model.of(encoding_of(2), rows, np.array(values)) is None


def test_huge_values_do_not_overflow() -> None:
    rows = np.random.default_rng(0).random((20, 2))
    values = np.where(rows[:, 0] > 0.5, 1e300, -1e300) * (1 + rows[:, 1])
    model = Model.of(encoding_of(2), rows, values)
    assert model is not None
    assert importances(model)[0].name == "x00"
    assert np.isfinite(model.expected_gain(10, np.random.default_rng(0)))
