"""The Gaussian process and the acquisition: their gradients, and that rows added are a refit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import norm

from kfp_bayesopt.search.encoding import Booleans, Floats
from kfp_bayesopt.search.gp.acquisition import Acquisition, Condition, Improvement, OnTheBest, log_improvement
from kfp_bayesopt.search.gp.gaussian_process import LITTLE_NOISE, GaussianProcess, Kernel, fit, negative_log_posterior
from kfp_bayesopt.search.gp.hypervolume import OnTheFront, directions
from kfp_bayesopt.search.gp.values import standardise
from kfp_bayesopt.space.front import hypervolume

RNG = np.random.default_rng(0)
CATEGORICAL: Booleans = np.array([False, False, True])
POINTS: Floats = np.column_stack([RNG.random((12, 2)), RNG.integers(3, size=12)])
VALUES: Floats = np.sin(5 * POINTS[:, 0]) + POINTS[:, 1] + 0.3 * POINTS[:, 2]
KERNEL = Kernel(np.array([0.4, 0.7, 1.3]), 1.2, 1e-3, CATEGORICAL)
NEW: Floats = np.column_stack([RNG.random((5, 2)), RNG.integers(3, size=5)])


@pytest.mark.parametrize("logarithms", [[-1.0, 0.5, 0.2, 0.1, -4.0], [0.3, -2.0, 1.0, -1.0, -1.0]])
def test_the_gradient_of_the_fit_is_that_of_finite_differences(logarithms: list[float]) -> None:
    arguments = (POINTS, VALUES, CATEGORICAL)
    error = check_grad(
        lambda x: negative_log_posterior(x, *arguments)[0],
        lambda x: negative_log_posterior(x, *arguments)[1],
        np.array(logarithms),
    )
    assert error < 1e-4


@pytest.mark.parametrize("conditions", [0, 1, 2])
@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_gradient_of_the_acquisition_is_that_of_finite_differences(objectives: int, conditions: int) -> None:
    columns = (VALUES, np.cos(3 * VALUES), POINTS[:, 1] ** 2)[:objectives]
    models = tuple(GaussianProcess.condition(KERNEL, POINTS, column) for column in columns)
    labels = (np.where(POINTS[:, 0] < 0.5, 1.0, -1.0), POINTS[:, 1] - 0.4)[:conditions]
    holds = tuple(Condition(GaussianProcess.condition(KERNEL, POINTS, each), 0.5) for each in labels)
    over: Callable[[Floats], Improvement | None] = OnTheBest.over
    if objectives > 1:
        towards = directions(objectives, np.random.default_rng(0))
        over = partial(OnTheFront.over, reference=np.full(objectives, 1.5), directions=towards)
    acquisition = Acquisition(models, holds, over=over)
    scores, gradients = acquisition.with_gradient(NEW)
    assert scores == pytest.approx(acquisition.at(NEW))
    for column in (0, 1):
        shift = np.zeros(3)
        shift[column] = 1e-6
        slopes = (acquisition.at(NEW + shift) - acquisition.at(NEW - shift)) / 2e-6
        assert gradients[:, column] == pytest.approx(slopes, rel=1e-3, abs=1e-5)
    assert not gradients[:, 2].any()


def test_a_point_added_by_a_row_is_the_same_as_a_new_factor() -> None:
    model = GaussianProcess.condition(KERNEL, POINTS, VALUES)
    extended, prediction = model.extend(NEW[0], 0.7, model.predict(NEW[1:]))
    anew = GaussianProcess.condition(KERNEL, np.vstack([POINTS, NEW[0]]), np.append(VALUES, 0.7))
    expected = replace(anew, mean=model.mean, residuals=anew.inverse_factor @ (anew.values - model.mean)).predict(
        NEW[1:]
    )
    assert extended.inverse_factor == pytest.approx(anew.inverse_factor)
    assert prediction.mean == pytest.approx(expected.mean)
    assert prediction.deviation == pytest.approx(expected.deviation)
    assert extended.predict(NEW[1:]).mean == pytest.approx(expected.mean)


def test_the_means_of_the_points_are_what_is_predicted_there() -> None:
    model = GaussianProcess.condition(replace(KERNEL, noise=0.1), POINTS, VALUES)
    assert model.means_of_points() == pytest.approx(model.predict(POINTS).mean)


def test_the_fit_finds_the_noise_and_the_parameter_that_does_not_matter() -> None:
    points = RNG.random((80, 2))
    values = np.sin(6 * points[:, 0]) + 0.2 * RNG.standard_normal(80)
    kernel = fit(points, values, np.array([False, False]))
    assert 0.02 < kernel.noise < 0.08
    assert kernel.length_scales[1] > 3 * kernel.length_scales[0]


@pytest.mark.parametrize("trials", [16, 32, 48])
@pytest.mark.parametrize("seed", range(4))
def test_a_rugged_function_without_noise_is_not_taken_for_noise(seed: int, trials: int) -> None:
    points = np.random.default_rng(seed).random((trials, 2))
    waves = [0.5**k * np.cos(2 * np.pi * 3**k * (10 * points + [0.37, 0.11])).sum(1) for k in range(3)]
    values = (3.5 - sum(waves)) ** 2 + 0.05 * ((10 * points - [6, 3]) ** 2).sum(1)
    kernel = fit(points, standardise(values), np.array([False, False]), LITTLE_NOISE)
    assert kernel.noise < 0.01


@pytest.mark.parametrize("seed", range(4))
def test_a_little_noise_that_nobody_has_said_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.random((60, 2))
    values = np.sin(6 * points[:, 0]) + points[:, 1] + 0.1 * rng.standard_normal(60)
    kernel = fit(points, standardise(values), np.array([False, False]), LITTLE_NOISE)
    assert 0.003 < kernel.noise < 0.1


def test_the_logarithm_of_the_improvement_is_exact_near_and_far() -> None:
    z = np.array([-3.0, -1.0, -0.5, 0.0, 2.0, 8.0])
    assert log_improvement(z) == pytest.approx(np.log(norm.pdf(z) + z * norm.cdf(z)), rel=1e-6)
    far = np.array([-50.0, -1e3, -1e6])
    # pdf(z) / z**2 is what it tends to.
    assert log_improvement(far) == pytest.approx(norm.logpdf(far) - 2 * np.log(-far), rel=1e-3)
    assert (np.diff(log_improvement(np.linspace(-100, 10, 1000))) > 0).all()


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_the_improvement_of_the_front_is_that_of_the_volume(objectives: int) -> None:
    rng = np.random.default_rng(1)
    reference = np.full(objectives, 1.0)
    known = rng.random((6, objectives))
    many = np.abs(rng.normal(size=(4000, objectives)))
    many /= np.linalg.norm(many, axis=1, keepdims=True)
    over = OnTheFront.over(known.T, reference, many)
    means, deviation = rng.random((objectives, 5)), np.full((objectives, 5), 0.4)
    before = hypervolume([tuple(row) for row in known], tuple(reference))
    expected = []
    for mean in means.T:
        drawn = mean + 0.4 * rng.normal(size=(1500, objectives))
        after = [hypervolume([*map(tuple, known), tuple(row)], tuple(reference)) for row in drawn]
        expected.append(np.mean(after) - before)
    ratios = np.exp(over.score(means, deviation)) / np.array(expected)
    # The same constant for all points, but for the drawing of values and directions.
    assert ratios / ratios.mean() == pytest.approx(np.ones(5), rel=0.25)
