"""What a search at random would have had after as many trials, by the model.

One such search is lucky and the next is not, and the model is not sure of what it has not seen: a line alone would
claim more than anybody knows. So there is a band, and nothing at all where the model cannot foretell trials that it has
not seen.
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
"""Of trials that it has not seen the model must foretell as much of the variance."""
BAND = (0.05, 0.95)


@dataclass(frozen=True)
class RandomSearch:
    """The best value of a search at random.

    Attributes:
        trials: After how many trials.
        mean: What is expected; lower is better.
        low: Lower end of a 90 % band of one such search.
        high: Upper end.
    """

    trials: list[int]
    mean: Floats
    low: Floats
    high: Floats


def random_search(model: Model, most: int) -> RandomSearch | str:
    """Return what a search at random would have had, or why nobody knows.

    Each sample of the model is a function that the trials allow. The mean of the model is too smooth where nobody has
    looked: its best values are not as good as those of the functions, by one third at times.

    Args:
        model: The model.
        most: Up to how many trials.
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
    # What nobody has seen may promise what there is not.
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
    """Return how probable each of N sorted values is to be the lowest of n that are drawn.

    Of the i-th that is ((N - i + 1) / N)^n - ((N - i) / N)^n.
    """
    left = 1 - np.arange(count + 1) / count
    return np.asarray(-np.diff(left**number))
