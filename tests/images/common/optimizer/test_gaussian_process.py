"""The model: gradients against finite differences, updates against fits, values of any size."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import approx_fprime
from scipy.special import log_ndtr

from optimizer.acquisition import (
    log_expected_improvement,
    log_expected_improvement_with_gradient,
    standardize,
)
from optimizer.gaussian_process import GaussianProcess, _condition, _Posterior, fit

OWNERS = np.array([0, 1, 2, 2])


@pytest.fixture
def data() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    coordinates = rng.random((20, 4))
    return coordinates, standardize(np.sin(5 * coordinates[:, 0]) + coordinates[:, 1] ** 2)


@pytest.fixture
def model(data: tuple[NDArray[np.float64], NDArray[np.float64]]) -> GaussianProcess:
    return fit(*data, OWNERS, np.random.default_rng(0))


def test_the_gradient_of_the_posterior_is_that_of_finite_differences(
    data: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    posterior = _Posterior(*data, OWNERS)
    logs = np.array([-0.5, 0.3, 0.1, 0.2, -4.0])
    measured = approx_fprime(logs, lambda x: posterior(x)[0], 1e-6)
    assert posterior(logs)[1] == pytest.approx(measured, rel=1e-3, abs=1e-4)


def test_the_gradient_of_log_expected_improvement_is_that_of_finite_differences(model: GaussianProcess) -> None:
    for point in np.random.default_rng(1).random((5, 4)):
        value, gradient = log_expected_improvement_with_gradient(model, point, -1.0)
        assert value == pytest.approx(float(log_expected_improvement(model, point[None], -1.0)[0]), rel=1e-6)

        def at(x: NDArray[np.float64]) -> float:
            return float(log_expected_improvement(model, x[None], -1.0)[0])

        assert gradient == pytest.approx(approx_fprime(point, at, 1e-6), rel=1e-2, abs=1e-3)


def test_log_expected_improvement_is_exact_where_the_improvement_itself_is_zero(model: GaussianProcess) -> None:
    far = log_expected_improvement(model, model.coordinates[:3], -1e3)
    assert np.isfinite(far).all()
    mean, deviation = model.predict(np.full((1, 4), 0.5))
    z = (-1.0 - mean) / deviation
    plain = deviation * (np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) + z * np.exp(log_ndtr(z)))
    assert log_expected_improvement(model, np.full((1, 4), 0.5), -1.0) == pytest.approx(np.log(plain), rel=1e-6)


def test_an_observation_gives_the_model_that_a_whole_inverse_gives(model: GaussianProcess) -> None:
    point = np.array([0.2, 0.9, 0.4, 0.1])
    updated = model.observe(point, 0.7)
    whole = _condition(updated.coordinates, updated.values, OWNERS, model.hyperparameters)
    elsewhere = np.random.default_rng(2).random((10, 4))
    assert updated.predict(elsewhere)[0] == pytest.approx(whole.predict(elsewhere)[0], rel=1e-4, abs=1e-5)
    assert updated.predict(elsewhere)[1] == pytest.approx(whole.predict(elsewhere)[1], rel=1e-3, abs=1e-4)


def test_the_model_finds_which_parameters_matter(model: GaussianProcess) -> None:
    first, _, last = np.exp(model.hyperparameters.length_scales)
    assert last > 2 * first


@pytest.mark.parametrize(
    "values",
    [[1.0, 2.0, 3.0, 1e300], [1e-300, 2e-300, 3e-300], [-1e300, 0.0, 1e300], [5.0] * 6, [1.0, 1.0, 1.0, 2.0]],
)
def test_values_of_any_size_become_standard_in_the_same_order(values: list[float]) -> None:
    clipped = np.clip(np.array(values), -1e150, 1e150)
    standard = standardize(clipped)
    assert np.isfinite(standard).all()
    assert abs(standard.mean()) < 1e-6
    assert (np.diff(standard[np.argsort(clipped, kind="stable")]) >= -1e-12).all()
