"""What engines share whose suggestions follow from the study and the ledger alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bayesopt.space import Parameters
from bayesopt.study import Study
from bayesopt.trials import Record
from optimizer.encoding import Encoding, Floats


class LedgerEngine:
    """Keeps the points and values of a ledger. An engine of its own adds `propose`.

    No point is suggested twice. Where a finite space has no other left, fewer are suggested than
    were asked for, and in the end none.

    Attributes:
        study: The study.
        encoding: Its space as columns of numbers.
        points: (n, d) of all trials done.
        values: (n,) lower is better; NaN where a trial failed.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.encoding = Encoding(study.space)
        self.points: Floats = np.empty((0, len(study.space)))
        self.values: Floats = np.empty(0)

    def propose(self, count: int, tried: set[bytes], rng: np.random.Generator) -> Iterator[Floats]:
        """Yield rows, (d,), good ones first; those that were tried are passed over.

        Args:
            count: How many are asked for.
            tried: The keys of all points done or suggested; the caller adds each point that it takes.
            rng: Random numbers that are the same for the same study and number of trials.
        """
        raise NotImplementedError

    def suggest(self, count: int) -> list[Parameters]:
        """Propose the next `count` trials, or as many as there are points left."""
        rng = np.random.default_rng([getattr(self.study.optimizer, "random_state", 0), len(self.points)])
        tried = {self.encoding.key(row) for row in self.points}
        suggestions: list[Parameters] = []
        for row in self.propose(count, tried, rng):
            key = self.encoding.key(row)
            if key not in tried:
                tried.add(key)
                suggestions.append(self.encoding.decode(row))
            if len(suggestions) == count:
                break
        return suggestions

    def learn(self, records: Sequence[Record]) -> None:
        """Take in the records of a batch, failed ones too."""
        sign = 1.0 if self.study.direction == "minimize" else -1.0
        rows = [self.encoding.encode(record.parameters or {}) for record in records]
        values = [np.nan if record.value is None else sign * record.value for record in records]
        self.points = np.vstack([self.points, *rows])
        self.values = np.append(self.values, values)
