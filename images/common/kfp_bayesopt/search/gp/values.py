"""Values as a model likes them: lower is better, about normal, of mean 0 and variance 1."""

from __future__ import annotations

import numpy as np

from kfp_bayesopt.search.encoding import Floats

# In widths: beyond this hardly more than the order of values counts.
FAR = 5.0


def standardise(values: Floats, even: bool = False) -> Floats:
    """Turn values, (n,), where lower is better, into ones of mean 0 and variance 1, in the same order.

    What a search needs to know is which of the good values is best; how bad the bad ones are matters
    little, and one of 1e300 must not drown the others. So values are counted in widths of their better
    half, and beyond the median only the logarithm of that counts.

    Args:
        values: Lower is better.
        even: Let differences among the bad values count as those among the good ones: under noise they tell as much,
            and the good ones are good by luck too.
    """
    # By the largest, so that no difference overflows; a number so small that it does not count becomes 0.
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
