"""A box around the best point that grows while it yields better ones and shrinks while it does not."""

from __future__ import annotations

import numpy as np

from kfp_bayesopt.search.encoding import Floats

LARGEST = 0.8
SMALLEST = 0.5**7


def side(values: Floats, dimensions: int) -> float:
    """Return the side of the box, as a share of the range of each parameter, after trials with values (n,).

    Eriksson et al. 2019, Scalable Global Optimization via Local Bayesian Optimization, section 2: it doubles after 3
    new best trials in a row, and halves after a row of others as long as the number of dimensions, at least 4. A box
    that has become too small starts over.

    Args:
        values: In the order of the trials, lower is better; NaN for a failed one.
        dimensions: The number of parameters.
    """
    length, better, worse, best = LARGEST, 0, 0, np.inf
    for value in values:
        improved = value < best
        better, worse = (better + 1, 0) if improved else (0, worse + 1)
        best = value if improved else best
        if better == 3:
            length, better = min(2 * length, LARGEST), 0
        if worse == max(4, dimensions):
            length, worse = length / 2, 0
        if length < SMALLEST:
            length = LARGEST
    return length


def box(centre: Floats, length_scales: Floats, length: float) -> tuple[Floats, Floats]:
    """Return the lowest and highest corner, (d,) each, of the box: longer along parameters with less variation."""
    weights = length_scales / np.exp(np.log(length_scales).mean())
    half = np.clip(weights, 0.25, 4.0) * length / 2
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
