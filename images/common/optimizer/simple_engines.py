"""The engines `random`, `sobol` and `grid`, which learn nothing: what every other one must beat."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from bayesopt.engines.grid import GridSettings
from bayesopt.engines.random import RandomSettings
from bayesopt.engines.sobol import SobolSettings
from optimizer.encoding import Floats
from optimizer.ledger_engine import LedgerEngine
from optimizer.sampling import remaining, sobol


class RandomEngine(LedgerEngine):
    """Proposes points at random (Bergstra and Bengio 2012)."""

    def propose(self, count: int, tried: set[bytes], rng: np.random.Generator) -> Iterator[Floats]:
        """Yield points at random."""
        assert isinstance(self.study.optimizer, RandomSettings)
        yield from remaining(self.encoding, rng)


class SobolEngine(LedgerEngine):
    """Proposes the points of one scrambled Sobol sequence, in order."""

    def propose(self, count: int, tried: set[bytes], rng: np.random.Generator) -> Iterator[Floats]:
        """Yield the points that follow; where a small space repeats them, others at random."""
        assert isinstance(self.study.optimizer, SobolSettings)
        yield from sobol(self.encoding, count, self.study.optimizer.random_state, skip=len(self.points))
        yield from remaining(self.encoding, rng)


class GridEngine(LedgerEngine):
    """Proposes all points of a grid, the last parameter by name fastest, and then no more."""

    def propose(self, count: int, tried: set[bytes], rng: np.random.Generator) -> Iterator[Floats]:
        """Yield the points of the grid."""
        assert isinstance(self.study.optimizer, GridSettings)
        number = self.study.optimizer.points_per_parameter
        axes = [self._axis(column, number) for column in range(len(self.encoding))]
        yield from (np.array(point) for point in itertools.product(*axes))

    def _axis(self, column: int, number: int) -> list[float]:
        levels = self.encoding.levels[column]
        shares = np.linspace(0, 1, number) if number > 1 else np.array([0.5])
        if not levels:
            return [float(share) for share in shares]
        if self.encoding.categorical[column] or levels <= number:
            return [self.encoding.level(column, index) for index in range(levels)]
        return [self.encoding.level(column, round(share * (levels - 1))) for share in shares]
