"""The logarithm of expected improvement: its value, its gradient, and a value's transformation before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr

from optimizer.gaussian_process import GaussianProcess

Array = NDArray[np.float64]

LOG_SQRT_TAU = 0.5 * np.log(2 * np.pi)


def log_expected_improvement(model: GaussianProcess, points: Array, best: float) -> Array:
    """Return log EI at points of shape (m, coordinates); lower values are better.

    Far from improvement EI itself is 0 to every digit, its logarithm is not (Ament et al. 2023, "Unexpected
    Improvements to Expected Improvement", section 4.1).
    """
    mean, deviation = model.predict(points)
    return np.log(deviation) + _log_h((best - mean) / deviation)


def log_expected_improvement_with_gradient(model: GaussianProcess, point: Array, best: float) -> tuple[float, Array]:
    """Return log EI and its gradient at one point of shape (coordinates,)."""
    mean, deviation, mean_slope, deviation_slope = model.predict_with_gradient(point)
    z = (best - mean) / deviation
    log_h = float(_log_h(np.array([z]))[0])
    # h'(z) is the normal distribution function.
    ratio = np.exp(float(log_ndtr(z)) - log_h)
    z_slope = (-mean_slope - z * deviation_slope) / deviation
    return np.log(deviation) + log_h, deviation_slope / deviation + ratio * z_slope


def _log_h(z: Array) -> Array:
    """Return log(pdf(z) + z cdf(z)) for the standard normal distribution, without loss for negative z."""
    result = np.empty_like(z)
    near = z > -1
    result[near] = np.log(np.exp(-0.5 * z[near] ** 2 - LOG_SQRT_TAU) + z[near] * np.exp(log_ndtr(z[near])))
    far = np.maximum(z[~near], -1e6)
    # cdf / pdf = sqrt(pi / 2) erfcx(-z / sqrt(2)); 1 + z cdf / pdf tends to 1 / z^2.
    tail = np.where(far < -1e3, -2 * np.log(-far), np.log1p(far * np.sqrt(np.pi / 2) * erfcx(-far / np.sqrt(2))))
    result[~near] = -0.5 * far**2 - LOG_SQRT_TAU + tail
    return result


def standardize(values: Array) -> Array:
    """Return values as a model likes them: mean 0, variance 1, and no long tail.

    The Yeo-Johnson power (2000) that makes them most like normally distributed ones is chosen from a grid. The order
    stays the same. Values that are all equal become 0.
    """
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    spread = high - low if high > low else values.max() - values.min()
    if not spread > 0:
        return np.zeros_like(values)
    # Farther than this nothing is learnt from how far it is.
    centered = np.clip((values - middle) / spread, -1e3, 1e3)
    candidates = [_yeo_johnson(centered, power) for power in np.linspace(-0.5, 2, 26)]
    scores = [
        -0.5 * len(values) * np.log(np.var(changed) + 1e-300)
        + (power - 1) * float((np.sign(centered) * np.log1p(np.abs(centered))).sum())
        for changed, power in zip(candidates, np.linspace(-0.5, 2, 26), strict=True)
    ]
    chosen = candidates[int(np.argmax(scores))]
    return np.asarray((chosen - chosen.mean()) / (chosen.std() or 1.0))


def _yeo_johnson(values: Array, power: float) -> Array:
    positive, negative = np.maximum(values, 0), np.minimum(values, 0)
    up = np.log1p(positive) if abs(power) < 1e-9 else ((positive + 1) ** power - 1) / power
    down = np.log1p(-negative) if abs(power - 2) < 1e-9 else ((1 - negative) ** (2 - power) - 1) / (2 - power)
    return np.asarray(up - down)
