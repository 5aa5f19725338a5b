"""What the trials of a study say about its objective: a Gaussian process of plain values, not of those a search likes.

A search cares about which good point is best, and compresses the bad ones. A person asks what the objective depends on,
so that here values are only shifted and scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import ndtr
from threadpoolctl import threadpool_limits

from optimizer.encoding import Encoding, Floats
from optimizer.gaussian_process import GaussianProcess, fit
from optimizer.sampling import perturb
from optimizer.values import standardise

FEWEST_TRIALS = 5
"""With fewer completed trials a model says nothing."""

# Time grows with the cube of them: all of a study of usual size, half of the best and half of any of a large one.
MOST_FITTED = 200
MOST_COVARIANCES = 4_000_000


@dataclass(frozen=True)
class Model:
    """A Gaussian process of the completed trials.

    Attributes:
        encoding: The search space.
        process: It has seen the values less `centre`, by `spread`; lower is better.
        centre: Mean of the values, where lower is better.
        spread: Their standard deviation.
        best: (d,) point of the best trial.
        values: (n,) of the trials that it has seen; lower is better.
    """

    encoding: Encoding
    process: GaussianProcess
    centre: float
    spread: float
    best: Floats
    values: Floats

    @classmethod
    def of(cls, encoding: Encoding, points: Floats, values: Floats) -> Self | None:
        """Fit the model.

        Args:
            encoding: The search space.
            points: (n, d) of the completed trials.
            values: (n,) lower is better.

        Returns:
            None where too few have completed, or all have the same value.
        """
        if len(values) < FEWEST_TRIALS:
            return None
        # By the largest, so that no difference overflows.
        scale = max(float(np.abs(values).max()), float(np.finfo(float).tiny))
        plain = values / scale
        centre, spread = float(plain.mean()), float(plain.std())
        if spread <= 1e-12:
            return None
        best = points[int(np.argmin(values))]
        chosen = _some(values)
        try:
            with threadpool_limits(1):
                process = _fitted(points[chosen], (plain[chosen] - centre) / spread, encoding)
        except FloatingPointError:
            return None
        return cls(encoding, process, centre * scale, spread * scale, best, values[chosen])

    def without(self, part: int, parts: int) -> GaussianProcess:
        """Return the process of all trials but one part of them, with a kernel of its own."""
        kept = np.arange(len(self.process.values)) % parts != part
        return _fitted(self.process.points[kept], self.process.values[kept], self.encoding)

    def expected_gain(self, trials: int, rng: np.random.Generator) -> float:
        """Return by how much more trials are expected to improve the best value, in its units.

        The trials are those with the highest expected improvement, each chosen as if those before had come out as
        expected (Ginsbourger et al. 2010, kriging believer); the gain is the mean over joint samples of their values.
        The model is that of the engine `gp`, which sees more of the differences between good points.
        """
        standard = standardise(self.values)
        with threadpool_limits(1):
            process = _fitted(self.process.points, standard, self.encoding)
        order = np.argsort(self.values, kind="stable")
        low, middle = order[0], order[len(order) // 2]
        # Between the best value and the median the one is a straight line of the other.
        unit = (self.values[middle] - self.values[low]) / max(standard[middle] - standard[low], 1e-12)
        means = process.predict(process.points).mean
        around = perturb(self.encoding, process.points[np.argsort(means)[:5]], 1024, rng)
        candidates = np.vstack([self.encoding.from_cube(rng.random((1024, len(self.encoding)))), around])
        candidates = candidates[self.encoding.keeps(candidates)]
        if not len(candidates):
            return 0.0
        lowest = float(means.min())
        believed, predicted = process, process.predict(candidates)
        chosen: list[Floats] = []
        for _ in range(trials):
            gains = _expected_improvement(predicted.mean, predicted.deviation, lowest)
            chosen.append(candidates[int(np.argmax(gains))])
            expected = float(believed.predict(chosen[-1][None]).mean[0])
            believed, predicted = believed.extend(chosen[-1], expected, predicted)
        points = np.array(chosen)
        samples = joint_samples(process, points, 4096, rng)
        return float(np.maximum(lowest - samples.min(1), 0.0).mean() * unit)

    def mean(self, rows: Floats) -> Floats:
        """Return what the model expects at rows, (m, d), in the units of the values; lower is better."""
        return predicted_means(self.process, rows) * self.spread + self.centre


def predicted_means(process: GaussianProcess, rows: Floats) -> Floats:
    """Return what a process expects at rows, (m, d), in blocks that need little memory."""
    block = max(MOST_COVARIANCES // len(process.points), 1)
    return np.concatenate([process.predict(rows[at : at + block]).mean for at in range(0, len(rows), block)])


def joint_samples(process: GaussianProcess, points: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return samples, (count, m), of what a process says of points, (m, d), together."""
    at = process.predict(points)
    covariances = process.kernel(points, points)[0] - at.projections.T @ at.projections
    # Points may be equal, and rounding makes the smallest eigenvalues negative.
    jitter = 1e-8 * process.kernel.variance
    while True:
        try:
            factor = np.linalg.cholesky(covariances + jitter * np.eye(len(points)))
        except np.linalg.LinAlgError:
            jitter *= 10
        else:
            return np.asarray(at.mean + rng.standard_normal((count, len(points))) @ factor.T)


def _fitted(points: Floats, values: Floats, encoding: Encoding) -> GaussianProcess:
    return GaussianProcess.condition(fit(points, values, encoding.categorical), points, values)


def _some(values: Floats) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the indices of the trials that are seen, in an order at random, so that parts of them are alike."""
    rng = np.random.default_rng(0)
    if len(values) <= MOST_FITTED:
        return rng.permutation(len(values))
    order = np.argsort(values, kind="stable")
    half = MOST_FITTED // 2
    return rng.permutation(np.concatenate([order[:half], rng.choice(order[half:], MOST_FITTED - half, replace=False)]))


def _expected_improvement(mean: Floats, deviation: Floats, lowest: float) -> Floats:
    """Return the expected improvement (Jones, Schonlau and Welch 1998, equation 15)."""
    z = (lowest - mean) / deviation
    return np.asarray(deviation * (z * ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)))
