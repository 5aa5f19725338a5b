"""Values as the model sees them: the order is kept, and no value is too large, too small or too equal."""

from __future__ import annotations

import numpy as np
import pytest

from kfp_bayesopt.search.gp.values import standardise


@pytest.mark.parametrize(
    "values",
    [
        [3.0, 1.0, 2.0, 10.0],
        [1e300, -1e300, 0.0, 1.0],
        [1e-300, 2e-300, 5e-300],
        [1.7e308, -1.7e308],
        [1.0, 1.0, 1.0, 2.0],
        [1.0, 1.0, 1.0, 0.0],
        [1e300, 1e-300, 3.0, 4.0, 5.0],
    ],
)
def test_the_order_is_kept_and_the_values_are_about_normal(values: list[float]) -> None:
    standard = standardise(np.array(values))
    assert np.isfinite(standard).all()
    assert standard.mean() == pytest.approx(0, abs=1e-9)
    assert standard.std() == pytest.approx(1)
    assert (np.diff(standard[np.argsort(values)]) >= -1e-12).all()
    assert standard.argmin() == np.argmin(values)


@pytest.mark.parametrize("values", [[0.0, 0.0], [5.0], [1e300, 1e300, 1e300], [5e-324, 0.0]])
def test_values_that_tell_nothing_are_finite(values: list[float]) -> None:
    assert np.isfinite(standardise(np.array(values))).all()


def test_the_good_values_are_told_apart_beside_one_of_1e300() -> None:
    standard = standardise(np.array([1.0, 2.0, 3.0, 4.0, 1e300]))
    assert (np.diff(standard[:4]) > 0.01).all()


def test_under_noise_the_bad_values_are_told_apart_as_the_good_ones() -> None:
    values = np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
    steps = np.diff(standardise(values, even=True))
    assert steps == pytest.approx(np.full(6, steps[0]))
    assert np.diff(standardise(values))[-1] < 0.6 * np.diff(standardise(values))[0]
