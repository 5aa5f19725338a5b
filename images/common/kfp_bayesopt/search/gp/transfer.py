"""The trend from other studies: a prior mean weighted by how well their models rank the study's trials.

Their models are weighted by rank as in Feurer, Letham and Bakshy 2018 (Scalable Meta-Learning for Bayesian
Optimization), and the study's model fits the remainder, as in Golovin et al. 2017 (Google Vizier, 3.3). The weight of
an unrelated study, whose ranking is as good as chance, goes to 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kfp_bayesopt.search.encoding import Encoding, Floats
from kfp_bayesopt.search.gp.gaussian_process import GaussianProcess, fit
from kfp_bayesopt.search.gp.values import standardise
from kfp_bayesopt.search.ledger_engine import Source

# The most trials of another study in its model: enough to tell its good regions.
MOST_SEEN = 200
# The prior of another study's ranking (Kendall's tau), and its weight in pairs of trials.
BELIEF = 0.6
PAIRS = 6.0
# A weaker ranking counts as chance.
LEAST = 0.2


@dataclass(frozen=True)
class WeightedTrend:
    """The weighted sum of the means of other studies' models."""

    models: tuple[GaussianProcess, ...]
    weights: tuple[float, ...]

    def times(self, factor: float) -> WeightedTrend:
        """Return the trend with all weights times a factor."""
        return replace(self, weights=tuple(factor * weight for weight in self.weights))

    def mean(self, points: Floats) -> Floats:
        """Return the trend at points (m, d): (m,)."""
        parts = [weight * model.predict(points).mean for weight, model in zip(self.weights, self.models, strict=True)]
        return np.asarray(np.sum(parts, axis=0))

    def gradient(self, points: Floats) -> Floats:
        """Return its gradients, (m, d)."""
        parts = []
        for weight, model in zip(self.weights, self.models, strict=True):
            at = model.predict(points)
            parts.append(model.gradient(at, np.full(len(points), weight), np.zeros(len(points))))
        return np.asarray(np.sum(parts, axis=0))


def trend(encoding: Encoding, sources: Sequence[Source], points: Floats, values: Floats) -> WeightedTrend | None:
    """Return the trend from other studies for a study with trials at points (n, d) with values (n,).

    Args:
        encoding: The space.
        sources: The other studies.
        points: The points of the trials of this study.
        values: Standardised, lower is better.

    Returns:
        None if none of them ranks the trials better than chance.
    """
    models, weights = [], []
    for source in sources:
        order = np.argsort(source.values, kind="stable")
        kept = (
            order[np.unique(np.linspace(0, len(order) - 1, MOST_SEEN).astype(int))] if len(order) > MOST_SEEN else order
        )
        standard = standardise(source.values[kept])
        kernel = fit(source.points[kept], standard, encoding.categorical)
        model = GaussianProcess.condition(kernel, source.points[kept], standard)
        weight = agreement(model.predict(points).mean, values)
        if weight > 0:
            models.append(model)
            weights.append(weight)
    if not models:
        return None
    total = sum(weights)
    found = WeightedTrend(tuple(models), tuple(weight / total for weight in weights))
    return found.times(max(weights) * _slope(found.mean(points), values))


def _slope(expected: Floats, values: Floats) -> float:
    """Return the slope of values, (n,), over their expected values; each is standardised by itself."""
    one, other = expected - expected.mean(), values - values.mean()
    return max(float((one @ other + PAIRS / 2) / (one @ one + PAIRS / 2)), 0.0)


def agreement(expected: Floats, values: Floats) -> float:
    """Return the agreement of expected values, (n,), with values (n,): from 0 to 1.

    It is the correlation of normal variables with the same Kendall's tau, after shrinking that towards the prior.
    """
    one, other = np.triu_indices(len(values), 1)
    concordant = np.sign(expected[one] - expected[other]) * np.sign(values[one] - values[other])
    # Pairs share trials, so only about as many are independent as there are trials.
    pairs = 2.0 * len(values)
    tau = float(concordant.mean()) if len(concordant) else 0.0
    believed = (pairs * tau + PAIRS * BELIEF) / (pairs + PAIRS)
    return math.sin(math.pi / 2 * believed) if believed > LEAST else 0.0
