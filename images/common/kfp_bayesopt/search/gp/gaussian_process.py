"""A Gaussian process with a Matérn 5/2 kernel: its fit, its predictions, and the gradients of both.

Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapters 2 and 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from scipy.linalg import cholesky, lapack
from scipy.optimize import minimize

from kfp_bayesopt.search.encoding import Booleans, Floats

# Normal priors of the logarithms of the fitted numbers: mean and standard deviation. Length scales grow with the square
# root of the dimension (Hvarfner, Hellsten and Nardi 2024, Vanilla Bayesian Optimization Performs Great in High
# Dimensions, section 5); they are shorter than there, which was better on the tuning half of our problems. Values are
# standardised, so that their variance is about 1.
VARIANCE_PRIOR = (0.0, 0.5)
LOWEST_NOISE = 1e-6
# The least share of the variance that remains at an observed point; rounding would leave less than nothing.
LOWEST_SHARE = 1e-12


@dataclass(frozen=True)
class Prior:
    """The prior of a function: mean and standard deviation of logarithms.

    Attributes:
        noise: Of the variance of the noise.
        length_scale: Of the length scales, minus that of the square root of the dimension.
    """

    noise: tuple[float, float] = (-6.0, 2.0)
    length_scale: tuple[float, float] = (math.log(0.5), 1.0)


SOME_NOISE = Prior()
# For values declared free of noise: a rugged function must not be mistaken for a smooth one with much noise, which is
# as likely. Undeclared strong noise is then mistaken for ruggedness.
LITTLE_NOISE = Prior(noise=(-9.0, 1.0))
# For values declared noisy: a narrow optimum under strong noise looks like a smooth function with more noise, and would
# never be searched again.
STRONG_NOISE = Prior(length_scale=(math.log(0.3), 0.7))


@dataclass(frozen=True)
class Kernel:
    """A Matérn 5/2 kernel with a length scale for each column.

    Attributes:
        length_scales: (d,).
        variance: Of the function's values.
        noise: Variance of the observation noise.
        categorical: (d,) mask of columns whose distance is 0 if equal, else 1.
    """

    length_scales: Floats
    variance: float
    noise: float
    categorical: Booleans

    def squared_distances(self, a: Floats, b: Floats) -> Floats:
        """Return the squared distances, (n, m), of rows (n, d) and (m, d), each column in its length scale."""
        numeric = ~self.categorical
        a_, b_ = (x[:, numeric] / self.length_scales[numeric] for x in (a, b))
        squares = (a_**2).sum(1)[:, None] + (b_**2).sum(1) - 2 * a_ @ b_.T
        for column in np.flatnonzero(self.categorical):
            squares += (a[:, column, None] != b[:, column]) / self.length_scales[column] ** 2
        return np.asarray(np.maximum(squares, 0.0))

    def __call__(self, a: Floats, b: Floats) -> tuple[Floats, Floats]:
        """Return the covariances of rows (n, d) and (m, d), and their derivatives by the squared distance: (n, m)."""
        scaled = np.sqrt(5 * self.squared_distances(a, b))
        decay = self.variance * np.exp(-scaled)
        return (1 + scaled + scaled**2 / 3) * decay, -5 / 6 * (1 + scaled) * decay


@dataclass(frozen=True)
class Prediction:
    """The predictions of a Gaussian process at m points.

    Attributes:
        points: (m, d).
        mean: (m,).
        deviation: (m,) standard deviation of the function, without the noise.
        slopes: (n, m) derivatives of the covariances by the squared distance.
        projections: (n, m) covariances divided by the Cholesky factor.
    """

    points: Floats
    mean: Floats
    deviation: Floats
    slopes: Floats
    projections: Floats


class Trend(Protocol):
    """The prior mean of a function."""

    def mean(self, points: Floats) -> Floats:
        """Return the trend at points (m, d): (m,)."""

    def gradient(self, points: Floats) -> Floats:
        """Return its gradients, (m, d)."""


@dataclass(frozen=True)
class GaussianProcess:
    """A Gaussian process conditioned on the values of n points.

    Attributes:
        kernel: Its covariances.
        mean: Of the difference between function and trend, far from all points.
        points: (n, d).
        values: (n,).
        inverse_factor: (n, n) inverse of the lower Cholesky factor of the covariances of the points.
        residuals: (n,) values minus the mean, divided by the Cholesky factor.
        trend: The prior mean; None for 0.
    """

    kernel: Kernel
    mean: float
    points: Floats
    values: Floats
    inverse_factor: Floats
    residuals: Floats
    trend: Trend | None = None

    @classmethod
    def condition(cls, kernel: Kernel, points: Floats, values: Floats, trend: Trend | None = None) -> Self:
        """Return the process conditioned on points (n, d) with values (n,)."""
        covariances, _ = kernel(points, points)
        inverse, noise = _inverse_factor(covariances, kernel.noise)
        above = values if trend is None else values - trend.mean(points)
        mean = _mean(inverse, above)
        return cls(replace(kernel, noise=noise), mean, points, values, inverse, inverse @ (above - mean), trend)

    def predict(self, points: Floats) -> Prediction:
        """Predict the function at points (m, d)."""
        covariances, slopes = self.kernel(self.points, points)
        projections = self.inverse_factor @ covariances
        variance = self.kernel.variance - (projections**2).sum(0)
        deviation = np.sqrt(np.maximum(variance, LOWEST_SHARE * self.kernel.variance))
        mean = self.mean + projections.T @ self.residuals
        if self.trend is not None:
            mean = mean + self.trend.mean(points)
        return Prediction(points, mean, deviation, slopes, projections)

    def gradient(self, at: Prediction, by_mean: Floats, by_deviation: Floats) -> Floats:
        """Return the gradients, (m, d), of a function of a prediction; 0 in categorical columns.

        Args:
            at: The prediction.
            by_mean: (m,) derivatives of that function by the means.
            by_deviation: (m,) derivatives of it by the standard deviations.
        """
        weights = np.outer(self.residuals, by_mean) - at.projections * (by_deviation / at.deviation)
        weights = 2 * (self.inverse_factor.T @ weights) * at.slopes
        gradient = (at.points * weights.sum(0)[:, None] - weights.T @ self.points) / self.kernel.length_scales**2
        if self.trend is not None:
            gradient = gradient + by_mean[:, None] * self.trend.gradient(at.points)
        return np.where(self.kernel.categorical, 0.0, gradient)

    def extend(self, point: Floats, value: float, at: Prediction) -> tuple[Self, Prediction]:
        """Return the process with one more point, and its predictions: factors gain a row, nothing is fitted again.

        Args:
            point: (d,).
            value: Observed there.
            at: The predictions of this process at any points. Their slopes are left unchanged: an extended process
                serves to compare points, not to climb.
        """
        new = self.predict(point[None])
        projection = new.projections[:, 0]
        pivot = math.sqrt(float(new.deviation[0]) ** 2 + self.kernel.noise)
        residual = (value - float(new.mean[0])) / pivot
        n = len(self.points)
        inverse = np.zeros((n + 1, n + 1))
        inverse[:n, :n] = self.inverse_factor
        inverse[n, :n] = -(projection @ self.inverse_factor) / pivot
        inverse[n, n] = 1 / pivot
        extended = replace(
            self,
            points=np.vstack([self.points, point]),
            values=np.append(self.values, value),
            inverse_factor=inverse,
            residuals=np.append(self.residuals, residual),
        )
        row = (self.kernel(point[None], at.points)[0][0] - projection @ at.projections) / pivot
        variance = np.maximum(at.deviation**2 - row**2, LOWEST_SHARE * self.kernel.variance)
        return extended, replace(
            at,
            mean=at.mean + row * residual,
            deviation=np.sqrt(variance),
            projections=np.vstack([at.projections, row]),
        )

    def means_of_points(self) -> Floats:
        """Return the means of the function at the observed points, (n,): their values without the noise."""
        means: Floats = self.values - self.kernel.noise * (self.inverse_factor.T @ self.residuals)
        return means


def fit(points: Floats, values: Floats, categorical: Booleans, prior: Prior = SOME_NOISE) -> Kernel:
    """Return the kernel with the highest posterior density, given points (n, d) with values (n,)."""
    d = points.shape[1]
    length_scale = math.log(0.5) + 0.5 * math.log(d)
    low = np.array([math.log(0.01)] * d + [math.log(0.01), math.log(LOWEST_NOISE)])
    high = np.array([math.log(1e3)] * d + [math.log(100.0), 0.0])
    best: tuple[float, Floats] | None = None
    for start in ([length_scale] * d + [0.0, -6.0], [length_scale + 1.5] * d + [0.0, -3.0]):
        found = minimize(
            negative_log_posterior,
            np.array(start),
            (points, values, categorical, prior),
            method="L-BFGS-B",
            jac=True,
            bounds=np.column_stack([low, high]),
            options={"maxiter": 60},
        )
        if best is None or found.fun < best[0]:
            best = (float(found.fun), np.clip(found.x, low, high))
    assert best is not None
    return _kernel(best[1], categorical)


def evidence_against(kernel: Kernel, points: Floats, values: Floats, prior: Prior) -> float:
    """Return the negative logarithm of the posterior density of a kernel, given points (n, d) with values (n,)."""
    logarithms = np.log([*kernel.length_scales, kernel.variance, kernel.noise])
    return negative_log_posterior(logarithms, points, values, kernel.categorical, prior)[0]


def negative_log_posterior(
    logarithms: Floats,
    points: Floats,
    values: Floats,
    categorical: Booleans,
    prior: Prior = SOME_NOISE,
) -> tuple[float, Floats]:
    """Return the negative logarithm of marginal likelihood times priors, and its gradient.

    Rasmussen and Williams 2006, equations 5.8 and 5.9; the mean is the most probable one (equation 2.43).

    Args:
        logarithms: (d + 2,) of the length scales, the variance and the noise.
        points: (n, d).
        values: (n,).
        categorical: (d,) mask of the columns that hold an index.
        prior: The prior of the kernel.
    """
    kernel = _kernel(logarithms, categorical)
    covariances, slopes = kernel(points, points)
    inverse, noise = _inverse_factor(covariances, kernel.noise)
    mean = _mean(inverse, values)
    whitened = inverse @ (values - mean)
    weights = inverse.T @ whitened
    outer = inverse.T @ inverse - np.outer(weights, weights)  # twice the derivative by the covariances

    gradient = np.empty_like(logarithms)
    by_square = outer * slopes
    rows = by_square.sum(1)
    numeric = points - 0.5
    squares = 2 * (rows @ numeric**2) - 2 * (numeric * (by_square @ numeric)).sum(0)
    for column in np.flatnonzero(categorical):
        squares[column] = by_square[points[:, column, None] != points[:, column]].sum()
    gradient[:-2] = -squares / kernel.length_scales**2
    gradient[-2] = (outer * covariances).sum() / 2
    gradient[-1] = noise * np.trace(outer) / 2
    loss = whitened @ whitened / 2 - np.log(np.diag(inverse)).sum() + mean**2 / 2

    centres, widths = _priors(points.shape[1], prior)
    scores = (logarithms - centres) / widths
    return float(loss + scores @ scores / 2), gradient + scores / widths


def _priors(d: int, prior: Prior) -> tuple[Floats, Floats]:
    centre, width = prior.length_scale
    centres = [centre + math.log(d) / 2] * d + [VARIANCE_PRIOR[0], prior.noise[0]]
    return np.array(centres), np.array([width] * d + [VARIANCE_PRIOR[1], prior.noise[1]])


def _kernel(logarithms: Floats, categorical: Booleans) -> Kernel:
    *length_scales, variance, noise = np.exp(logarithms)
    return Kernel(np.array(length_scales), float(variance), float(noise), categorical)


def _inverse_factor(covariances: Floats, noise: float) -> tuple[Floats, float]:
    """Return the inverse of the lower Cholesky factor, and the noise, raised if the matrix would be indefinite."""
    for more in (0.0, 1e-6, 1e-4, 1e-2):
        try:
            factor = cholesky(covariances + (noise + more) * np.eye(len(covariances)), lower=True)
        except np.linalg.LinAlgError:
            continue
        inverse, _ = lapack.dtrtri(factor, lower=1)
        return np.asarray(inverse), noise + more
    raise FloatingPointError(f"covariances must be positive definite, but those of {len(covariances)} points are not")


def _mean(inverse: Floats, values: Floats) -> float:
    """Return the most probable mean, with mean 0 and variance 1 a priori."""
    ones = inverse.sum(1)
    return float(ones @ (inverse @ values) / (ones @ ones + 1.0))
