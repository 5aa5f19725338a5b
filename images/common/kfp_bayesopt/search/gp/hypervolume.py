"""The expected improvement for several objectives: of the hypervolume that their front dominates.

The volume that values dominate, up to a reference point, is a mean over directions of a power of the length from the
reference to the front (Deng et al. 2019; Golovin and Zhang 2020, Random Hypervolume Scalarizations for Provable
Multi-Objective Black Box Optimization, lemma 5). So is its improvement by a point. Along a direction it is one number,
and with independent normal objectives its expectation is an integral over one variable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import log_ndtr, logsumexp, ndtri

from kfp_bayesopt.search.encoding import Booleans, Floats
from kfp_bayesopt.search.sampling import scrambled

HALF_LOG_2_PI = math.log(2 * math.pi) / 2
# Lengths beyond the front at which the integral is computed, in standard deviations of the objectives.
STEPS = np.geomspace(1e-4, 10.0, 18)
DIRECTIONS = {2: 16, 3: 32, 4: 48}
# Distance of the reference beyond the worst values of the front, as a share of its extent.
MARGIN = 0.2


@dataclass(frozen=True)
class OnTheFront:
    """The expected improvement of the hypervolume; lower values are better.

    Attributes:
        reference: (k,) the reference point.
        directions: (q, k) positive, from the reference to better values, in units of the distance to the best ones.
        reached: (q,) distance of the front along each.
    """

    reference: Floats
    directions: Floats
    reached: Floats

    @classmethod
    def over(cls, means: Floats, reference: Floats, directions: Floats) -> OnTheFront:
        """Return the improvement over points with means (k, n)."""
        lengths = ((reference[:, None] - means).T[:, None, :] / directions).min(2)  # (n, q)
        reached = lengths.max(0, initial=0.0) if len(lengths) else np.zeros(len(directions))
        return cls(reference, directions, np.maximum(reached, 0.0))

    def score(self, mean: Floats, deviation: Floats) -> Floats:
        """Return the logarithm of the expected improvement up to a constant, (m,), from means and deviations (k, m)."""
        return np.asarray(logsumexp(self._terms(self._margins(mean, deviation)), axis=(0, 1)))

    def slopes(self, mean: Floats, deviation: Floats) -> tuple[Floats, Floats]:
        """Return its derivatives with respect to the means and the deviations, (k, m) each."""
        margins = self._margins(mean, deviation)
        terms = self._terms(margins)
        weights = np.exp(terms - logsumexp(terms, axis=(0, 1)))  # (q, s, m)
        ratios = np.exp(-(margins**2) / 2 - HALF_LOG_2_PI - log_ndtr(margins))  # (k, q, s, m)
        by_margin = weights * ratios
        by_mean = -by_margin.sum((1, 2)) / deviation
        by_deviation = -(by_margin * margins).sum((1, 2)) / deviation
        return by_mean, by_deviation

    @cached_property
    def _lengths(self) -> Floats:
        """(q, s) lengths along each direction at which the integral is computed."""
        return self.reached[:, None] + STEPS

    def _margins(self, mean: Floats, deviation: Floats) -> Floats:
        """Return the margin by which each objective beats its target, in deviations, (k, q, s, m)."""
        asked = self.reference[:, None, None] - self.directions.T[:, :, None] * self._lengths
        return np.asarray((asked[..., None] - mean[:, None, None]) / deviation[:, None, None])

    def _terms(self, margins: Floats) -> Floats:
        """Return the logarithms of the terms of the integral, (q, s, m): probability, power and step."""
        weights = (len(self.reference) - 1) * np.log(self._lengths) + np.log(STEPS)
        return np.asarray(log_ndtr(margins).sum(0) + weights[..., None])


def directions(objectives: int, rng: np.random.Generator) -> Floats:
    """Return directions, (q, k), spread over the positive part of the sphere."""
    count = DIRECTIONS[objectives]
    if objectives == 2:
        angles = (np.arange(count) + rng.random()) / count * math.pi / 2
        found = np.column_stack([np.cos(angles), np.sin(angles)])
    else:
        cube = scrambled(objectives, rng).random(count)
        found = np.abs(ndtri(np.clip(cube, 1e-6, 1 - 1e-6)))
        found /= np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(np.maximum(found, 1e-3))


def on_front(values: Floats) -> Booleans:
    """Return a mask of the rows of values, (n, k), that no other dominates; lower is better: (n,)."""
    return np.array([not ((values <= row).all(1) & (values < row).any(1)).any() for row in values], dtype=bool)


def reference_of(values: Floats) -> Floats:
    """Return a reference, (k,), for values (n, k): a little beyond the worst values of their front."""
    best = values[on_front(values)]
    extent = best.max(0) - best.min(0)
    return np.asarray(best.max(0) + MARGIN * np.where(extent > 0, extent, 1.0))
