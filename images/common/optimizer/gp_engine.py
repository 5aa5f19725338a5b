"""The engine `gp`: points that fill the space, then what a Gaussian process promises the most of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bayesopt.engines.gp import GpSettings
from optimizer.encoding import Floats
from optimizer.ledger_engine import LedgerEngine
from optimizer.sampling import remaining, spread


class GpEngine(LedgerEngine):
    """Fills the space first; then fits a model to the ledger and proposes what promises the most."""

    def propose(self, count: int, tried: set[bytes], rng: np.random.Generator) -> Iterator[Floats]:
        """Yield the points of the start, then those where the acquisition is highest."""
        done = len(self.points)
        settings = self.study.optimizer
        assert isinstance(settings, GpSettings)
        begin = settings.n_initial_points or initial_trials(len(self.encoding), self.study.parallel_trials)
        completed = int(np.isfinite(self.values).sum())
        if completed < 2 or done < begin:
            yield from spread(self.encoding, max(begin, count), settings.random_state)[done:]
        else:
            # Not before it is needed: scipy takes most of the time that a step takes to start.
            from optimizer.search import most_promising

            yield from most_promising(self.encoding, self.points, self.values, count, tried, rng)
        yield from remaining(self.encoding, rng)


def initial_trials(dimensions: int, batch: int) -> int:
    """Return how many trials fill the space before a model is fitted: whole batches."""
    wanted = min(max(dimensions + 2, 5), 20)
    return -(-wanted // batch) * batch
