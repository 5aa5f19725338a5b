"""Importance of the parameters: the share of the objective's variance that remains if all others are known.

These are total-effect Sobol' indices of the model's mean over the whole search space, by Jansen's estimator (Saltelli
et al. 2010, Variance based sensitivity analysis of model output, table 2, f).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from kfp_bayesopt.report.model import Model, Surface
from kfp_bayesopt.search.encoding import Encoding, Floats

PAIRS = 1024
MOST_ROWS = 60_000
SAMPLES = 48
MOST_SAMPLED = 700
# The normal distribution's: 90 % lie inside.
WIDTH = 1.645
WIDEST = 0.9
"""A wider interval says nothing."""
LEAST_FORESIGHT = 0.1
"""The least share of the variance of unseen trials that a model must predict to say anything of parameters."""
LEAST_SHARE = 0.03
"""A parameter does not matter if its interval ends below this."""


@dataclass(frozen=True)
class Importance:
    """The importance of a parameter.

    Attributes:
        name: The parameter.
        share: Of the variance of the objective, from 0 to 1; shares add up to more than 1 where parameters interact.
        low: Lower end of a 90 % interval.
        high: Upper end.
    """

    name: str
    share: float
    low: float
    high: float

    @property
    def is_anything(self) -> bool:
        """Tell whether the interval is so wide that it says nothing."""
        return self.high - self.low > WIDEST


def importances(model: Model) -> list[Importance]:
    """Return the importance of each parameter, the most important one first.

    The variance behind the interval is the sum of two: that of a jackknife over parts (Shao and Wu 1989), for which the
    model is fitted again without each of 8 parts of the trials, and that of samples of the model, for its uncertainty
    between trials.
    """
    encoding = model.encoding
    with threadpool_limits(1):
        shares = total_effects(model.surface, encoding)
        again = np.array([total_effects(surface, encoding) for _, surface in model.parts])
        sampled = _sampled_effects(model.surface, encoding)
    parts = len(again)
    spread = np.sqrt((parts - 1) / parts * ((again - again.mean(0)) ** 2).sum(0) + sampled.var(0))
    order = np.argsort(-shares, kind="stable")
    return [
        Importance(
            encoding.names[index],
            float(shares[index]),
            max(0.0, float(shares[index] - WIDTH * spread[index])),
            min(1.0, float(shares[index] + WIDTH * spread[index])),
        )
        for index in order
    ]


def ranked(model: Model) -> list[Importance]:
    """Return the importances of a model; none if they do not rank the parameters.

    They do not if the model predicts next to nothing, or only the values of stopped trials so far; if the most
    important parameter may not matter at all; or if one interval covers nearly everything.
    """
    if model.foresight < LEAST_FORESIGHT or not model.is_of_whole_trials:
        return []
    found = importances(model)
    return [] if found[0].low < LEAST_SHARE or any(each.is_anything for each in found) else found


def total_effects(surface: Surface, encoding: Encoding) -> Floats:
    """Return the total effect of each parameter on the mean of a surface: (d,), each from 0 to 1."""
    rng = np.random.default_rng(0)
    d = len(encoding)
    pairs = int(min(PAIRS, max(MOST_ROWS // d, 64)))
    one, other = (encoding.from_cube(rng.random((pairs, d))) for _ in range(2))
    base = surface.means(one)
    variance = float(np.concatenate([base, surface.means(other)]).var())
    if variance <= 0:
        return np.zeros(d)
    effects = np.empty(d)
    for column in range(d):
        changed = one.copy()
        changed[:, column] = other[:, column]
        effects[column] = ((base - surface.means(encoding.canonical(changed))) ** 2).mean() / 2 / variance
    return np.minimum(effects, 1.0)


def _sampled_effects(surface: Surface, encoding: Encoding) -> Floats:
    """Return the total effects on samples of the surface: (SAMPLES, d)."""
    rng = np.random.default_rng(1)
    d = len(encoding)
    # At least one pair. With many parameters the samples say little, and the jackknife gives the rest.
    pairs = max(MOST_SAMPLED // (d + 2), 8)
    one, other = (encoding.from_cube(rng.random((pairs, d))) for _ in range(2))
    changed = np.repeat(one[None], d, 0)
    changed[np.arange(d), :, np.arange(d)] = other.T
    points = np.concatenate([one, other, encoding.canonical(changed.reshape(d * pairs, d))])
    samples = surface.samples(points, SAMPLES, rng)
    base, rest = samples[:, None, :pairs], samples[:, 2 * pairs :].reshape(SAMPLES, d, pairs)
    variance = samples[:, : 2 * pairs].var(1)
    return np.asarray(((base - rest) ** 2).mean(2) / 2 / np.maximum(variance, 1e-300)[:, None])
