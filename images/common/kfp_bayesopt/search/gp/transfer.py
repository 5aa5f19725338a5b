"""What other studies lead the search to expect: a trend below its own model, by how well they rank its trials.

Their models are weighted by rank as in Feurer, Letham and Bakshy 2018 (Scalable Meta-Learning for Bayesian
Optimization), and the model of the study is one of what is left, as in Golovin et al. 2017 (Google Vizier, 3.3).
A study that is unrelated ranks the trials as chance does, and its weight goes to 0.
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

# Trials of another study that its model sees: enough to say where it is good.
MOST_SEEN = 200
# What is believed of another study before there are trials to compare: how it ranks them (Kendall's tau), and as how
# many pairs of trials this belief counts.
BELIEF = 0.6
PAIRS = 6.0
# Below this a ranking is what chance gives.
LEAST = 0.2


@dataclass(frozen=True)
class WeightedTrend:
    """The sum of what models of other studies expect, each times its weight."""

    models: tuple[GaussianProcess, ...]
    weights: tuple[float, ...]

    def times(self, factor: float) -> WeightedTrend:
        """Return it with other weights."""
        return replace(self, weights=tuple(factor * weight for weight in self.weights))

    def mean(self, points: Floats) -> Floats:
        """Return what is expected at points (m, d): (m,)."""
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
    """Return what other studies lead one to expect of a study with trials at points (n, d) with values (n,).

    Args:
        encoding: The space.
        sources: The other studies.
        points: Of the trials of this one.
        values: Standardised, lower is better.

    Returns:
        None where none of them ranks the trials better than chance.
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
    """Return by how much values, (n,), change with what was expected of them; each is standardised by itself."""
    one, other = expected - expected.mean(), values - values.mean()
    return max(float((one @ other + PAIRS / 2) / (one @ one + PAIRS / 2)), 0.0)


def agreement(expected: Floats, values: Floats) -> float:
    """Return how much of what was expected, (n,), is believed after values (n,): from 0 to 1.

    It is the correlation that a ranking stands for, of normal numbers: Kendall's tau, drawn to what is believed before.
    """
    one, other = np.triu_indices(len(values), 1)
    concordant = np.sign(expected[one] - expected[other]) * np.sign(values[one] - values[other])
    # Pairs share trials, so that there are as many that tell something as there are trials.
    pairs = 2.0 * len(values)
    tau = float(concordant.mean()) if len(concordant) else 0.0
    believed = (pairs * tau + PAIRS * BELIEF) / (pairs + PAIRS)
    return math.sin(math.pi / 2 * believed) if believed > LEAST else 0.0
