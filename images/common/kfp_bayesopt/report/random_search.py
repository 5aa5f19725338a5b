"""The best value that a random search would have had after the same number of trials, by the model.

One such search is lucky and the next is not, and the model is uncertain away from the trials: a line alone would claim
too much. So it has a band, and is left out altogether if the model cannot predict unseen trials.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from kfp_bayesopt.report.model import Model
from kfp_bayesopt.search.encoding import Floats
from kfp_bayesopt.search.sampling import keeping

ROWS = 512
SAMPLES = 64
MOST_NUMBERS = 60
LEAST_FORESIGHT = 0.5
"""The least share of the variance of unseen trials that the model must predict."""
BAND = (0.05, 0.95)


@dataclass(frozen=True)
class RandomSearch:
    """The best value of a random search.

    Attributes:
        trials: Numbers of trials.
        mean: The expected best value after each; lower is better.
        low: Lower end of a 90 % band of one such search.
        high: Upper end.
    """

    trials: list[int]
    mean: Floats
    low: Floats
    high: Floats


def random_search(model: Model, most: int) -> RandomSearch | str:
    """Return the expected course of a random search, or the reason it is unknown.

    Each sample of the model is a function consistent with the trials. The mean of the model is too smooth between
    trials: its best values fall short of those of the samples, by a third at times.

    Args:
        model: The model.
        most: The largest number of trials.
    """
    if not model.is_of_whole_trials:
        return "the trials that were stopped early tell too little of what whole ones would give"
    if model.foresight < LEAST_FORESIGHT:
        share = max(0, round(model.foresight * 100))
        return f"the model foretells {share} % of the variance of trials that it has not seen, and half is needed"
    rng = np.random.default_rng(0)
    rows = keeping(model.encoding, ROWS, rng)
    if not len(rows):
        return "no point was found that keeps the constraints"
    # Between trials the samples may promise values that do not exist.
    lowest = float(model.values[model.whole].min())
    with threadpool_limits(1):
        samples = np.sort(np.maximum(model.samples(rows, SAMPLES, rng), lowest), axis=1)
    order = np.argsort(samples, axis=None)
    trials = sorted({round(x) for x in np.geomspace(1, max(most, 1), MOST_NUMBERS)})
    expected, ends = [], []
    for number in trials:
        drawn = _drawn(samples.shape[1], number)
        expected.append(float((samples @ drawn).mean()))
        shares = np.cumsum(np.tile(drawn, len(samples))[order]) / len(samples)
        ends.append(samples.ravel()[order[np.searchsorted(shares, BAND).clip(0, samples.size - 1)]])
    low, high = np.array(ends).T
    return RandomSearch(trials, np.array(expected), low, high)


def _drawn(count: int, number: int) -> Floats:
    """Return the probability of each of N sorted values to be the lowest of n draws.

    For the i-th it is ((N - i + 1) / N)^n - ((N - i) / N)^n.
    """
    left = 1 - np.arange(count + 1) / count
    return np.asarray(-np.diff(left**number))
