"""Regions of failed trials: whether one parameter separates them from the others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp  # not scipy.stats, which takes long to import

from kfp_bayesopt.search.encoding import Booleans, Encoding, Floats
from kfp_bayesopt.space.parameters import Value

FEWEST_FAILURES = 4
# After the correction for the number of regions tried (Bonferroni).
MOST_CHANCE = 0.01


@dataclass(frozen=True)
class FailureRegion:
    """A part of the search space with a failure rate far above that of the rest.

    Attributes:
        name: The parameter that bounds it.
        relation: `=` for a choice, `>=` or `<=` for a bound.
        value: The choice or the bound.
        failed: The number of failed trials in it.
        trials: The number of trials in it.
        failed_elsewhere: The number of failed trials outside.
        trials_elsewhere: The number of trials outside.
    """

    name: str
    relation: str
    value: Value
    failed: int
    trials: int
    failed_elsewhere: int
    trials_elsewhere: int


def failure_region(encoding: Encoding, points: Floats, failed: Booleans) -> FailureRegion | None:
    """Return the region with the most significant failure rate, or None if none is significant.

    A region is one choice of a categorical parameter, or one side of a bound of any other. Its p-value is the
    probability of at least as many failures in it if trials failed at the same rate everywhere (Fisher's exact test,
    one-sided).

    Args:
        encoding: The search space.
        points: (n, d) of all trials.
        failed: (n,) mask of the failed ones.
    """
    n, failures = len(failed), int(failed.sum())
    if failures < FEWEST_FAILURES or failures == n:
        return None
    found: tuple[float, int, str, float, Booleans] | None = None
    looked = 0
    for column in range(len(encoding)):
        x = points[:, column]
        for relation, bound, inside in _regions(x, bool(encoding.categorical[column])):
            looked += 1
            there, size = int(failed[inside].sum()), int(inside.sum())
            if there / size <= failures / n:
                continue
            chance = log_chance(there, n, failures, size)
            if found is None or chance < found[0]:
                found = (chance, column, relation, bound, inside)
    if found is None or found[0] + math.log(looked) > math.log(MOST_CHANCE):
        return None
    _, column, relation, bound, inside = found
    at = points[int(np.flatnonzero(points[:, column] == bound)[0])]
    return FailureRegion(
        encoding.names[column],
        relation,
        encoding.decode(at)[encoding.names[column]],
        int(failed[inside].sum()),
        int(inside.sum()),
        int(failed[~inside].sum()),
        int((~inside).sum()),
    )


def log_chance(there: int, n: int, failures: int, size: int) -> float:
    """Return the logarithm of the probability that at least so many failures lie in a region by chance.

    Args:
        there: The number of failures in the region.
        n: The number of trials.
        failures: The number of those that failed.
        size: The number of trials in the region.
    """
    inside = np.arange(there, min(failures, size) + 1, dtype=float)
    return float(logsumexp(_log_ways(failures, inside) + _log_ways(n - failures, size - inside) - _log_ways(n, size)))


def _log_ways(n: int, chosen: Floats | float) -> Floats:
    """Return the logarithm of the number of ways to choose some of `n`; minus infinity if there are fewer."""
    with np.errstate(divide="ignore"):
        return np.asarray(gammaln(n + 1) - gammaln(chosen + 1) - gammaln(n - np.asarray(chosen) + 1))


def _regions(x: Floats, is_categorical: bool) -> list[tuple[str, float, Booleans]]:
    """Return the possible regions of a column, (n,): relation, bound and a mask of the trials inside."""
    values = np.unique(x)
    if is_categorical:
        return [("=", float(value), x == value) for value in values] if len(values) > 1 else []
    # At most about 50 of the values: a bound need not be exact.
    bounds = values[:: max(len(values) // 50, 1)]
    above = [(">=", float(value), x >= value) for value in bounds if value > values[0]]
    below = [("<=", float(value), x <= value) for value in bounds if value < values[-1]]
    return above + below
