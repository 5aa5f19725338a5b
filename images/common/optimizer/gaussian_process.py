"""A Gaussian process with a Matérn 5/2 kernel, one length scale for each parameter, fitted by MAP.

Kernel and likelihood: Rasmussen and Williams 2006, sections 4.2 and 5.4. A prior of the length scales that
grows with the number of dimensions: Hvarfner, Hellsten and Nardi 2024, "Vanilla Bayesian Optimization Performs
Great in High Dimensions", section 4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize

Array = NDArray[np.float64]

SQRT5 = np.sqrt(5.0)
JITTER = 1e-7
# The hyperparameters are fitted to no more points than this; the model itself uses all of them.
MOST_POINTS_TO_FIT = 250


@dataclass(frozen=True)
class Hyperparameters:
    """What is fitted: the logarithms of length scales, signal variance and noise variance."""

    length_scales: Array  # one for each parameter
    variance: float
    noise: float

    def scales(self, owners: NDArray[np.int_]) -> Array:
        """Return the length scale of each coordinate."""
        return np.asarray(np.exp(self.length_scales)[owners])


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted model of standardised values.

    Attributes:
        coordinates: Points that were observed, shape (n, coordinates).
        values: Their values, shape (n,).
        owners: The parameter of each coordinate.
        hyperparameters: What was fitted.
        inverse: Inverse of the covariance of the values, shape (n, n).
        weights: The inverse times the values, shape (n,).
    """

    coordinates: Array
    values: Array
    owners: NDArray[np.int_]
    hyperparameters: Hyperparameters
    inverse: Array
    weights: Array

    @property
    def variance(self) -> float:
        """Variance of the signal."""
        return float(np.exp(self.hyperparameters.variance))

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of the noiseless value at points of shape (m, coordinates)."""
        cross = self._covariance(points)[0]
        variance = self.variance - np.einsum("ij,ij->i", cross @ self.inverse, cross)
        return cross @ self.weights, np.sqrt(np.maximum(variance, 1e-12))

    def predict_with_gradient(self, point: Array) -> tuple[float, float, Array, Array]:
        """Return mean, standard deviation and the gradients of both at one point of shape (coordinates,)."""
        cross, slope = self._covariance(point[None])
        inverse_scales = np.exp(-2 * self.hyperparameters.length_scales)[self.owners]
        # d k(x, x_i) / d x = slope_i * (x - x_i) / l^2
        jacobian = slope[0][:, None] * (point - self.coordinates) * inverse_scales
        solved = self.inverse @ cross[0]
        mean = float(cross[0] @ self.weights)
        deviation = float(np.sqrt(max(self.variance - float(cross[0] @ solved), 1e-12)))
        return mean, deviation, jacobian.T @ self.weights, -(jacobian.T @ solved) / deviation

    def observe(self, point: Array, value: float) -> GaussianProcess:
        """Return the model with one more value, by a block inverse: O(n^2) instead of the O(n^3) of a new fit."""
        count = len(self.values)
        cross = self._covariance(point[None])[0][0]
        solved = self.inverse @ cross
        noise = np.exp(self.hyperparameters.noise) + JITTER
        rest = max(self.variance + noise - float(cross @ solved), noise)
        inverse = np.empty((count + 1, count + 1))
        inverse[:count, :count] = self.inverse + np.outer(solved, solved) / rest
        inverse[count, :count] = inverse[:count, count] = -solved / rest
        inverse[count, count] = 1 / rest
        values = np.append(self.values, value)
        coordinates = np.vstack([self.coordinates, point])
        return replace(self, coordinates=coordinates, values=values, inverse=inverse, weights=inverse @ values)

    def _covariance(self, points: Array) -> tuple[Array, Array]:
        """Return k(points, observed) and its slope by half the squared distance, both of shape (m, n)."""
        scales = self.hyperparameters.scales(self.owners)
        distance = np.sqrt(_squared_distances(points / scales, self.coordinates / scales))
        decay = self.variance * np.exp(-SQRT5 * distance)
        return decay * (1 + SQRT5 * distance + 5 / 3 * distance**2), -5 / 3 * decay * (1 + SQRT5 * distance)


def fit(coordinates: Array, values: Array, owners: NDArray[np.int_], rng: np.random.Generator) -> GaussianProcess:
    """Fit a model by maximising the posterior of its hyperparameters.

    Args:
        coordinates: Points, shape (n, coordinates), mostly between 0 and 1.
        values: Values of mean 0 and variance about 1, shape (n,).
        owners: The parameter of each coordinate, shape (coordinates,).
        rng: Chooses the points to fit to when there are many, and where the search starts.
    """
    parameters = int(owners[-1]) + 1
    chosen = np.arange(len(values))
    if len(values) > MOST_POINTS_TO_FIT:
        # The best half, which matters most, and others at random.
        order = np.argsort(values)
        half = MOST_POINTS_TO_FIT // 2
        chosen = np.concatenate([order[:half], rng.choice(order[half:], half, replace=False)])
    objective = _Posterior(coordinates[chosen], values[chosen], owners)
    center = np.log(0.5) + 0.5 * np.log(parameters)
    starts = [np.concatenate([np.full(parameters, center + shift), [0.0, -6.0]]) for shift in (0.0, -1.0)]
    bounds = [(np.log(0.01), np.log(100.0))] * parameters + [(-3.0, 3.0), (np.log(1e-6), np.log(1.0))]
    found = [
        minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60})
        for start in starts
    ]
    best = min(found, key=lambda result: float(result.fun)).x
    hyperparameters = Hyperparameters(best[:parameters], float(best[-2]), float(best[-1]))
    return _condition(coordinates, values, owners, hyperparameters)


def _condition(
    coordinates: Array, values: Array, owners: NDArray[np.int_], hyperparameters: Hyperparameters
) -> GaussianProcess:
    scaled = coordinates / hyperparameters.scales(owners)
    distance = np.sqrt(_squared_distances(scaled, scaled))
    covariance = (
        np.exp(hyperparameters.variance) * np.exp(-SQRT5 * distance) * (1 + SQRT5 * distance + 5 / 3 * distance**2)
    )
    covariance[np.diag_indices_from(covariance)] += np.exp(hyperparameters.noise) + JITTER
    factor = cholesky(covariance, lower=True, check_finite=False)
    inverse = cho_solve((factor, True), np.eye(len(values)), check_finite=False)
    return GaussianProcess(coordinates, values, owners, hyperparameters, inverse, inverse @ values)


class _Posterior:
    """The negative logarithm of the posterior of the hyperparameters, and its gradient."""

    def __init__(self, coordinates: Array, values: Array, owners: NDArray[np.int_]) -> None:
        self._values = values
        # Squared distances for each parameter, shape (parameters, n, n).
        parts = [coordinates[:, owners == owner] for owner in range(int(owners[-1]) + 1)]
        self._squares = np.stack([_squared_distances(part, part) for part in parts])
        parameters = len(self._squares)
        # It grows with the root of the dimensions as that of Hvarfner et al., from a shorter scale and with less
        # spread, which served better on the problems that this was tried on.
        self._location = np.log(0.5) + 0.5 * np.log(parameters)
        self._spread = 1.0

    def __call__(self, logs: Array) -> tuple[float, Array]:
        inverse = np.exp(-2 * logs[:-2])
        variance, noise = np.exp(logs[-2:])
        distance = np.sqrt(np.tensordot(inverse, self._squares, 1))
        decay = variance * np.exp(-SQRT5 * distance)
        signal = decay * (1 + SQRT5 * distance + 5 / 3 * distance**2)
        covariance = signal.copy()
        covariance[np.diag_indices_from(covariance)] += noise + JITTER
        try:
            factor = cholesky(covariance, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return 1e25, np.zeros_like(logs)
        weights = cho_solve((factor, True), self._values, check_finite=False)
        inner = np.outer(weights, weights) - cho_solve((factor, True), np.eye(len(weights)), check_finite=False)
        # d k / d log l = 5/3 * decay * (1 + sqrt(5) r) * d^2 / l^2
        slope = inner * (5 / 3 * decay * (1 + SQRT5 * distance))
        gradient = np.empty_like(logs)
        gradient[:-2] = -0.5 * np.einsum("kij,ij->k", self._squares, slope) * inverse
        gradient[-2] = -0.5 * float(np.sum(inner * signal))
        gradient[-1] = -0.5 * float(np.trace(inner)) * noise
        value = 0.5 * float(self._values @ weights) + float(np.log(np.diag(factor)).sum())
        # Log-normal priors: of the length scales below, of the noise around e^-6, of the variance around 1.
        location = np.append(np.full(len(inverse), self._location), [0.0, -6.0])
        spread = np.append(np.full(len(inverse), self._spread), [0.5, 2.0])
        deviation = (logs - location) / spread
        return value + 0.5 * float(deviation @ deviation), gradient + deviation / spread


def _squared_distances(one: Array, other: Array) -> Array:
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    return np.asarray(np.maximum(squares, 0.0))
