"""Where failed trials lie: whether one parameter tells them from the others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom

from kfp_bayesopt.search.encoding import Booleans, Encoding, Floats
from kfp_bayesopt.space.parameters import Value

FEWEST_FAILURES = 4
# After the correction for all the regions that were looked at (Bonferroni).
MOST_CHANCE = 0.01


@dataclass(frozen=True)
class FailureRegion:
    """A part of the search space in which trials fail far more often than elsewhere.

    Attributes:
        name: The parameter that bounds it.
        relation: `=` for a choice, `>=` or `<=` for a bound.
        value: The choice or the bound.
        failed: How many trials failed there.
        trials: How many trials were there.
        failed_elsewhere: How many failed elsewhere.
        trials_elsewhere: How many were there.
    """

    name: str
    relation: str
    value: Value
    failed: int
    trials: int
    failed_elsewhere: int
    trials_elsewhere: int


def failure_region(encoding: Encoding, points: Floats, failed: Booleans) -> FailureRegion | None:
    """Return the region that chance explains the least, or None where chance explains each of them.

    A region is a choice of a categorical parameter, or one side of a bound of any other. Of each the chance is
    computed to have as many failures there or more if trials failed anywhere alike (Fisher's exact test, one-sided).

    Args:
        encoding: The search space.
        points: (n, d) of all trials.
        failed: (n,) which of them failed.
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
            chance = float(hypergeom.logsf(there - 1, n, failures, size))
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


def _regions(x: Floats, is_categorical: bool) -> list[tuple[str, float, Booleans]]:
    """Return the regions that a column, (n,), can bound: relation, bound and which trials are inside."""
    values = np.unique(x)
    if is_categorical:
        return [("=", float(value), x == value) for value in values] if len(values) > 1 else []
    # Of many values every so many: a bound need not be exact.
    bounds = values[:: max(len(values) // 50, 1)]
    above = [(">=", float(value), x >= value) for value in bounds if value > values[0]]
    below = [("<=", float(value), x <= value) for value in bounds if value < values[-1]]
    return above + below
