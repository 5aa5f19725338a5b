"""Where to look next: the logarithm of the expected improvement, and the search for its maximum."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import erfcx, log_ndtr

from optimizer.encoding import Encoding, Floats
from optimizer.gaussian_process import GaussianProcess, Prediction

HALF_LOG_2_PI = math.log(2 * math.pi) / 2
# Of the label of a trial, 1 or -1: where one has failed, one of 40 would succeed.
LABEL_NOISE = 0.5
# Power of the probability of success: a trial that fails costs as much as others and tells less.
SUCCESS_POWER = 2.0
# How many discrete columns are changed to find neighbours of a point, and how many choices of each are tried.
MOST_COLUMNS = 100
MOST_CHOICES = 12


def log_improvement(z: Floats) -> Floats:
    """Return log(pdf(z) + z cdf(z)) of the standard normal distribution, exact far below 0 too.

    Ament et al. 2023, Unexpected Improvements to Expected Improvement for Bayesian Optimization, equation 9.
    """
    near = np.maximum(z, -1.0)
    direct = np.log(np.exp(-(near**2) / 2 - HALF_LOG_2_PI) + near * np.exp(log_ndtr(near)))
    far = np.minimum(z, -1.0)
    # 1 - |z| times Mills' ratio; the series takes over where the difference loses its digits.
    ratio = math.sqrt(math.pi / 2) * erfcx(-far / math.sqrt(2)) * -far
    rest = np.where(far > -1e4, np.log1p(-np.minimum(ratio, 1 - 1e-15)), -2 * np.log(-far))
    return np.where(z > -1.0, direct, -(far**2) / 2 - HALF_LOG_2_PI + rest)


@dataclass(frozen=True)
class Acquisition:
    """The logarithm of the expected improvement times a power of the probability of success.

    What is improved on is the lowest mean at a point that was seen, not the lowest value, which noise may have
    favoured (Gramacy and Lee 2011). Success: Gelbart, Snoek and Adams 2014, equation 5.

    Attributes:
        model: Of the values.
        success: Of 1 where a trial completed and -1 where it failed; None when none has failed.
    """

    model: GaussianProcess
    success: GaussianProcess | None = None

    def score(self, values: Prediction, success: Prediction | None) -> Floats:
        """Return the acquisition, (m,), of points of which this was predicted."""
        z = (self._incumbent() - values.mean) / values.deviation
        score = np.log(values.deviation) + log_improvement(z)
        if success is not None:
            score = score + SUCCESS_POWER * log_ndtr(success.mean / np.hypot(LABEL_NOISE, success.deviation))
        return np.asarray(score)

    def at(self, points: Floats) -> Floats:
        """Return the acquisition, (m,), of points (m, d)."""
        return self.score(self.model.predict(points), None if self.success is None else self.success.predict(points))

    def with_gradient(self, points: Floats) -> tuple[Floats, Floats]:
        """Return the acquisition, (m,), of points (m, d), and its gradients, (m, d)."""
        values = self.model.predict(points)
        success = None if self.success is None else self.success.predict(points)
        z = (self._incumbent() - values.mean) / values.deviation
        by_mean = -np.exp(log_ndtr(z) - log_improvement(z)) / values.deviation
        by_deviation = 1 / values.deviation + by_mean * z
        gradient = self.model.gradient(values, by_mean, by_deviation)
        if self.success is not None and success is not None:
            width = np.hypot(LABEL_NOISE, success.deviation)
            ratio = success.mean / width
            by_ratio = SUCCESS_POWER * np.exp(-(ratio**2) / 2 - HALF_LOG_2_PI - log_ndtr(ratio))
            by_deviation = -by_ratio * ratio * success.deviation / width**2
            gradient = gradient + self.success.gradient(success, by_ratio / width, by_deviation)
        return self.score(values, success), gradient

    def _incumbent(self) -> float:
        return float(self.model.means_of_points().min())


def climb(
    acquisition: Acquisition, encoding: Encoding, starts: Floats, bounds: tuple[Floats, Floats], steps: int
) -> Floats:
    """Improve points, (m, d), by L-BFGS on their real columns, all at once: the sum has no terms across points."""
    free = ~encoding.discrete
    if not free.any():
        return starts

    def negative(flat: Floats) -> tuple[float, Floats]:
        points = starts.copy()
        points[:, free] = flat.reshape(len(starts), -1)
        scores, gradients = acquisition.with_gradient(points)
        return -float(scores.sum()), -gradients[:, free].ravel()

    low, high = (np.tile(corner[free], len(starts)) for corner in bounds)
    begin = np.clip(starts[:, free].ravel(), low, high)
    found = minimize(
        negative, begin, method="L-BFGS-B", jac=True, bounds=np.column_stack([low, high]), options={"maxiter": steps}
    )
    points = starts.copy()
    points[:, free] = np.clip(found.x, low, high).reshape(len(starts), -1)
    return points


def step(acquisition: Acquisition, encoding: Encoding, points: Floats, rng: np.random.Generator) -> Floats:
    """Move each of points, (m, d), to the best of itself and its neighbours in one discrete column."""
    everyone = [(point, neighbours(encoding, point, rng)) for point in points]
    sizes = [len(near) for _, near in everyone]
    if not sum(sizes):
        return points
    rows = np.vstack([points, *(near for _, near in everyone)])
    scores = acquisition.at(rows)
    moved = points.copy()
    ends = len(points) + np.cumsum(sizes)
    for i, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        own = [i, *range(end - size, end)]
        moved[i] = rows[own[int(np.argmax(scores[own]))]]
    return moved


def neighbours(encoding: Encoding, point: Floats, rng: np.random.Generator) -> Floats:
    """Return points, (m, d), that differ from one in one discrete column, of very many columns in some of them.

    Of an integer the next values and some further off; of a categorical the other choices, or some of them.
    """
    near: list[Floats] = []
    columns = np.flatnonzero(encoding.discrete)
    if len(columns) > MOST_COLUMNS:
        columns = rng.choice(columns, MOST_COLUMNS, replace=False)
    for column in columns:
        levels, here = encoding.levels[column], encoding.index(int(column), float(point[column]))
        if encoding.categorical[column]:
            others = [i for i in range(levels) if i != here]
            if len(others) > MOST_CHOICES:
                others = list(rng.choice(others, MOST_CHOICES, replace=False))
        else:
            jumps = {1, 2, 4, max(levels // 8, 1)}
            others = sorted({here + sign * jump for jump in jumps for sign in (-1, 1)})
            others = [index for index in others if 0 <= index < levels]
        for index in others:
            row = point.copy()
            row[column] = encoding.level(int(column), int(index))
            near.append(row)
    return np.array(near).reshape(-1, len(point))
