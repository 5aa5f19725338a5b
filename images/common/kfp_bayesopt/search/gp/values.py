"""Values transformed for a model: lower is better, about normal, with mean 0 and variance 1."""

from __future__ import annotations

import numpy as np

from kfp_bayesopt.search.encoding import Floats

# In widths: beyond this, hardly more than the order of values counts.
FAR = 5.0


def standardise(values: Floats, even: bool = False) -> Floats:
    """Transform values, (n,), lower being better, to mean 0 and variance 1, in the same order.

    A search needs to know the best of the good values; the exact badness of the others matters little, and a value of
    1e300 must not drown them. So values are measured in widths of their better half, and beyond the median by the
    logarithm.

    Args:
        values: Lower is better.
        even: Give differences among the bad values the same weight as those among the good ones: under noise they tell
            as much, as the good ones are partly lucky.
    """
    # Divided by the largest, so that no difference overflows; a negligible number becomes 0.
    values = values / max(float(np.abs(values).max()), np.finfo(float).tiny)
    median = float(np.median(values))
    width = median - float(np.quantile(values, 0.1))
    if width <= 0:  # most are equal: the others are then those that differ
        width = float(np.abs(values - median).max())
    if width <= 0:
        return np.zeros_like(values)
    distances = (values - median) / width
    lengths = np.abs(distances)
    lengths = np.where((distances > 0) & (not even), np.log1p(lengths), lengths)
    beyond = np.log1p(np.log1p(np.maximum(lengths - FAR, 0)))
    compressed = np.sign(distances) * (np.minimum(lengths, FAR) + beyond)
    deviation = float(compressed.std())
    return (compressed - compressed.mean()) / deviation if deviation > 0 else np.zeros_like(values)
