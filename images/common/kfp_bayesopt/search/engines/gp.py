"""The engine `gp`: an initial design, then the points with the highest acquisition of a Gaussian process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from kfp_bayesopt.search.engines.base import EngineSettings, RandomState

if TYPE_CHECKING:
    from kfp_bayesopt.search.encoding import Floats
    from kfp_bayesopt.search.ledger_engine import Source, View

FEWEST_TRIALS = 4


class GpSettings(EngineSettings):
    """Our own Gaussian process with expected improvement; the default."""

    engine: Literal["gp"] = "gp"
    random_state: RandomState = 0
    n_initial_points: int | None = Field(
        None, ge=1, description="Trials before the model is used. Default: by dimensions and batch."
    )

    def propose(self, view: View, count: int) -> Iterator[Floats]:
        """Yield the points of the initial design, then those with the highest acquisition."""
        import numpy as np

        from kfp_bayesopt.search.sampling import remaining, spread

        batch, begin = view.study.parallel_trials, self._begin(view)
        completed = int(np.isfinite(view.losses).all(1).sum())
        taken: list[Floats] = []
        if view.sources:
            # The best points of other studies take half of the first batch.
            for row in promising(view.sources, max(batch // 2, 1) - view.begun):
                if view.encoding.key(row) not in view.tried:
                    taken.append(row)
                    yield row
        if completed < 2 or view.begun < begin:
            # Each trial of the initial design has its own point in it, whichever others are taken.
            for row in spread(view.encoding, max(begin, batch), self.random_state):
                if view.encoding.key(row) not in view.tried:
                    taken.append(row)
                    yield row
        if completed >= 2 and len(taken) < count:
            # Imported only when needed: scipy takes most of the start of a step.
            from kfp_bayesopt.search.gp.proposal import most_promising

            pending = np.vstack([view.pending, *taken])
            yield from most_promising(view, pending, count - len(taken))
        yield from remaining(view.encoding, view.tried, view.rng)

    def _begin(self, view: View) -> int:
        """Return the number of trials before the model is used: fewer with trials of other studies."""
        batch = view.study.parallel_trials
        begin = self.n_initial_points or initial_trials(len(view.encoding), batch)
        return min(begin, max(batch, FEWEST_TRIALS)) if view.sources else begin

    def promises(self, view: View, rows: Floats) -> Floats | None:
        """Return the acquisition of rows, (m,); None before there is a model."""
        import numpy as np

        begin = self._begin(view)
        if int(np.isfinite(view.losses).all(1).sum()) < 2 or view.begun < begin:
            return None
        from kfp_bayesopt.search.gp.proposal import promises

        return promises(view, rows)


def promising(sources: Sequence[Source], count: int) -> Iterator[Floats]:
    """Yield the best points of other studies, one study after the other in turn."""
    import numpy as np

    best = [source.points[np.argsort(source.values, kind="stable")[: max(count, 0)]] for source in sources]
    for place in range(max(count, 0)):
        yield from (rows[place] for rows in best if place < len(rows))


def initial_trials(dimensions: int, batch: int) -> int:
    """Return the size of the initial design: whole batches."""
    wanted = min(max(dimensions + 2, 5), 20)
    return -(-wanted // batch) * batch
