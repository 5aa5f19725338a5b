"""The acquisition: the logarithm of the expected improvement, and the search for its maximum."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import erfcx, log_ndtr

from kfp_bayesopt.search.encoding import Booleans, Encoding, Floats
from kfp_bayesopt.search.gp.gaussian_process import GaussianProcess, Prediction

HALF_LOG_2_PI = math.log(2 * math.pi) / 2
# Noise of the label of a trial, 1 or -1: at the point of a failed trial one of 40 would succeed.
LABEL_NOISE = 0.5
# Power of the probability that a trial succeeds and keeps a limit: one that does not costs as much and tells less.
SUCCESS_POWER = 2.0
# The most discrete columns that are changed to find neighbours of a point, and the most choices tried of each.
MOST_COLUMNS = 100
MOST_CHOICES = 12


def log_improvement(z: Floats) -> Floats:
    """Return log(pdf(z) + z cdf(z)) of the standard normal distribution, exact far below 0 too.

    Ament et al. 2023, Unexpected Improvements to Expected Improvement for Bayesian Optimization, equation 9.
    """
    near = np.maximum(z, -1.0)
    direct = np.log(np.exp(-(near**2) / 2 - HALF_LOG_2_PI) + near * np.exp(log_ndtr(near)))
    far = np.minimum(z, -1.0)
    # 1 - |z| times Mills' ratio; the series takes over when the difference loses its digits.
    ratio = math.sqrt(math.pi / 2) * erfcx(-far / math.sqrt(2)) * -far
    rest = np.where(far > -1e4, np.log1p(-np.minimum(ratio, 1 - 1e-15)), -2 * np.log(-far))
    return np.where(z > -1.0, direct, -(far**2) / 2 - HALF_LOG_2_PI + rest)


class Improvement(Protocol):
    """The expected improvement over the incumbent, from means and deviations (k, m)."""

    def score(self, mean: Floats, deviation: Floats) -> Floats:
        """Return the logarithm of the expected improvement, (m,)."""

    def slopes(self, mean: Floats, deviation: Floats) -> tuple[Floats, Floats]:
        """Return its derivatives with respect to the means and the deviations, (k, m) each."""


@dataclass(frozen=True)
class OnTheBest:
    """The expected improvement over the best value of a single objective.

    The incumbent is the lowest mean at an observed point, not the lowest value, which noise may have favoured (Gramacy
    and Lee 2011).

    Attributes:
        best: That mean.
    """

    best: float

    @classmethod
    def over(cls, means: Floats) -> Self | None:
        """Return the improvement over points with these means, (1, n); None without points."""
        return cls(float(means.min())) if means.size else None

    def score(self, mean: Floats, deviation: Floats) -> Floats:
        """Return the logarithm of the expected improvement, (m,)."""
        return np.asarray(np.log(deviation[0]) + log_improvement((self.best - mean[0]) / deviation[0]))

    def slopes(self, mean: Floats, deviation: Floats) -> tuple[Floats, Floats]:
        """Return its derivatives with respect to the means and the deviations, (1, m) each."""
        z = (self.best - mean) / deviation
        by_mean = -np.exp(log_ndtr(z) - log_improvement(z)) / deviation
        return by_mean, 1 / deviation + by_mean * z


@dataclass(frozen=True)
class Condition:
    """A power of the probability that a trial succeeds, or that it keeps a limit.

    Gelbart, Snoek and Adams 2014, Bayesian Optimization with Unknown Constraints, equation 5.

    Attributes:
        model: A process whose function is above 0 if the condition holds.
        width: Standard deviation of the noise added to that function.
    """

    model: GaussianProcess
    width: float

    def score(self, at: Prediction) -> Floats:
        """Return the logarithm of the power of the probability, (m,)."""
        return np.asarray(SUCCESS_POWER * log_ndtr(at.mean / np.hypot(self.width, at.deviation)))

    def gradient(self, at: Prediction) -> Floats:
        """Return its gradients, (m, d)."""
        width = np.hypot(self.width, at.deviation)
        ratio = at.mean / width
        by_ratio = SUCCESS_POWER * np.exp(-(ratio**2) / 2 - HALF_LOG_2_PI - log_ndtr(ratio))
        return self.model.gradient(at, by_ratio / width, -by_ratio * ratio * at.deviation / width**2)


@dataclass(frozen=True)
class Acquisition:
    """The logarithm of the expected improvement times powers of the probabilities of the conditions.

    As long as no point counts, only those probabilities.

    Attributes:
        models: One for each objective, (k,), fitted to the same n points.
        conditions: The success of a trial, and the limits.
        counted: (n,) mask of the points that keep all limits and can be best; None for all.
        over: The improvement on points with means (k, m).
    """

    models: tuple[GaussianProcess, ...]
    conditions: tuple[Condition, ...] = ()
    counted: Booleans | None = None
    over: Callable[[Floats], Improvement | None] = OnTheBest.over

    @cached_property
    def means(self) -> Floats:
        """(k, n) means of the objectives at the observed points."""
        return np.array([model.means_of_points() for model in self.models])

    @cached_property
    def improvement(self) -> Improvement | None:
        """The improvement over the points that count."""
        return self.over(self.means if self.counted is None else self.means[:, self.counted])

    def predict(self, points: Floats) -> list[Prediction]:
        """Return the predictions at points (m, d) by the models of the objectives, then by those of the conditions."""
        return [model.predict(points) for model in (*self.models, *(each.model for each in self.conditions))]

    def score(self, predicted: Sequence[Prediction]) -> Floats:
        """Return the acquisition, (m,), of points with these predictions."""
        values, kept = predicted[: len(self.models)], predicted[len(self.models) :]
        score = np.zeros_like(values[0].mean)
        if self.improvement is not None:
            score = self.improvement.score(*_stacked(values))
        for condition, at in zip(self.conditions, kept, strict=True):
            score = score + condition.score(at)
        return score

    def at(self, points: Floats) -> Floats:
        """Return the acquisition, (m,), of points (m, d)."""
        return self.score(self.predict(points))

    def with_gradient(self, points: Floats) -> tuple[Floats, Floats]:
        """Return the acquisition, (m,), of points (m, d), and its gradients, (m, d)."""
        predicted = self.predict(points)
        values, kept = predicted[: len(self.models)], predicted[len(self.models) :]
        gradient = np.zeros_like(points)
        if self.improvement is not None:
            slopes = self.improvement.slopes(*_stacked(values))
            for model, at, by_mean, by_deviation in zip(self.models, values, *slopes, strict=True):
                gradient = gradient + model.gradient(at, by_mean, by_deviation)
        for condition, at in zip(self.conditions, kept, strict=True):
            gradient = gradient + condition.gradient(at)
        return self.score(predicted), gradient

    def believe(self, point: Floats, predicted: Sequence[Prediction]) -> tuple[Self, list[Prediction]]:
        """Return the acquisition as if a point, (d,), had turned out as expected.

        Ginsbourger et al. 2010, kriging believer.

        Args:
            point: The point.
            predicted: The predictions of this acquisition at any points.

        Returns:
            The new acquisition, and its predictions at the same points.
        """
        models = [*self.models, *(each.model for each in self.conditions)]
        expected = [float(model.predict(point[None]).mean[0]) for model in models]
        extended = [
            model.extend(point, value, at) for model, value, at in zip(models, expected, predicted, strict=True)
        ]
        after = [model for model, _ in extended]
        k = len(self.models)
        conditions = tuple(
            replace(condition, model=model) for condition, model in zip(self.conditions, after[k:], strict=True)
        )
        counted = None if self.counted is None else np.append(self.counted, min(expected[k:], default=1.0) > 0)
        changed = replace(self, models=tuple(after[:k]), conditions=conditions, counted=counted)
        return changed, [at for _, at in extended]


def _stacked(values: Sequence[Prediction]) -> tuple[Floats, Floats]:
    return np.array([at.mean for at in values]), np.array([at.deviation for at in values])


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


def move(acquisition: Acquisition, encoding: Encoding, points: Floats, rng: np.random.Generator) -> Floats:
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
    """Return points, (m, d), that differ from a given one in one discrete column; of very many columns in some.

    For an integer the adjacent values and some further away; for a categorical the other choices, or some of them.
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
