"""The engine `gp`: a Gaussian process, expected improvement, and batches by fantasies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from bayesopt.study import GpSettings, Parameters, Study
from bayesopt.trials import Record
from optimizer.acquisition import log_expected_improvement, log_expected_improvement_with_gradient, standardize
from optimizer.encoding import Encoding
from optimizer.gaussian_process import GaussianProcess, fit

Array = NDArray[np.float64]

CANDIDATES = 1000  # drawn from all over the space, for each suggestion
INCUMBENTS = 5  # best trials around which more are drawn
NEIGHBOURS = 100  # drawn around each of them
REFINED = 4  # candidates that are improved by gradients
LARGEST_VALUE = 1e150  # the square of a larger one is no number


class GpEngine:
    """Proposes what a model of all trials expects most of.

    What it proposes depends on the trials and the seed alone: nothing else is kept, and nothing is to be replayed.
    """

    def __init__(self, study: Study) -> None:
        assert isinstance(study.optimizer, GpSettings)
        self._encoding = Encoding(study.space)
        self._sign = 1.0 if study.direction == "minimize" else -1.0
        self._seed = study.optimizer.random_state
        self._positions = np.empty((0, len(study.space)))
        self._values = np.empty(0)  # lower is better; NaN of a trial that failed
        default = max(study.parallel_trials, min(2 * len(study.space), study.trials // 4))
        self._initial = study.optimizer.n_initial_points or default

    def suggest(self, count: int) -> list[Parameters]:
        """Propose the next `count` trials: at first evenly spread, later by the model."""
        rng = np.random.default_rng([self._seed, len(self._values)])
        with threadpool_limits(1):  # sums in another order on another number of cores give other suggestions
            if len(self._values) < self._initial or np.isfinite(self._values).sum() < 2:
                positions = self._spread(count, rng)
            else:
                positions = self._by_model(count, rng)
        return [self._encoding.decode(position) for position in positions]

    def skip(self, count: int) -> None:
        """Do nothing: suggestions leave no trace."""

    def learn(self, records: Sequence[Record]) -> None:
        """Take in the records of a batch."""
        positions = self._encoding.encode([record.parameters or {} for record in records])
        values = [
            np.nan if r.value is None else self._sign * np.clip(r.value, -LARGEST_VALUE, LARGEST_VALUE) for r in records
        ]
        self._positions = np.vstack([self._positions, positions])
        self._values = np.append(self._values, values)

    def _spread(self, count: int, rng: np.random.Generator) -> list[Array]:
        """Return the next points of a Latin hypercube for all initial trials, of many the one that is spread best."""
        total = max(self._initial, count)
        seeded = np.random.default_rng([self._seed, 2**32])
        designs = [self._encoding.sample(total, seeded) for _ in range(20)]
        design = max(designs, key=lambda design: _smallest_distance(self._encoding.coordinates(design)))
        done = len(self._values)
        chosen: list[Array] = []
        # The middle of the space first: bounds are mostly put around what people expect to be good.
        design[0] = self._encoding.place(np.full((1, design.shape[1]), 0.5))[0]
        for position in [*design[done:], *self._encoding.sample(100 * count, rng)]:
            if len(chosen) < count and self._is_new(position, chosen):
                chosen.append(position)
        return self._fill(chosen, count, rng)

    def _by_model(self, count: int, rng: np.random.Generator) -> list[Array]:
        """Return the points of greatest expected improvement, one after another.

        After each the model is told that its own mean came out there (kriging believer, Ginsbourger et al. 2010), so
        that the next one is elsewhere.
        """
        completed = np.isfinite(self._values)
        values = np.empty_like(self._values)
        values[completed] = standardize(self._values[completed])
        values[~completed] = values[completed].max()  # a trial that failed is as bad as the worst one
        model = fit(self._encoding.coordinates(self._positions), values, self._encoding.owners, rng)
        # The best value by the model: that of a lucky trial is corrected for its noise.
        means = model.predict(model.coordinates[completed])[0]
        best = float(means.min())
        order = np.flatnonzero(completed)[np.argsort(means)]
        chosen: list[Array] = []
        for _ in range(count):
            position = self._maximize(model, best, order, chosen, rng)
            if position is None:
                break
            chosen.append(position)
            point = self._encoding.coordinates(position[None])[0]
            mean = float(model.predict(point[None])[0][0])
            model = model.observe(point, mean)
            best = min(best, mean)
        return self._fill(chosen, count, rng)

    def _maximize(
        self,
        model: GaussianProcess,
        best: float,
        order: NDArray[np.int_],
        chosen: list[Array],
        rng: np.random.Generator,
    ) -> Array | None:
        """Return the position of greatest log EI that is new; None when no candidate is."""
        pool = [self._encoding.place(rng.random((CANDIDATES, len(self._encoding.sizes))))]
        centers = [*self._positions[order[:INCUMBENTS]], *chosen[-1:]]
        pool += [self._around(center, rng) for center in centers]
        candidates = np.unique(np.vstack(pool), axis=0)
        scores = log_expected_improvement(model, self._encoding.coordinates(candidates), best)
        ranked = candidates[np.argsort(-scores)]
        refined = [self._refine(model, best, start) for start in ranked[:REFINED]]
        points = np.vstack([*refined, ranked])
        scores = log_expected_improvement(model, self._encoding.coordinates(points), best)
        return next((points[index] for index in np.argsort(-scores) if self._is_new(points[index], chosen)), None)

    def _around(self, center: Array, rng: np.random.Generator) -> Array:
        """Draw positions near another one: steps of many lengths, in some of the parameters."""
        sizes = self._encoding.sizes
        lengths = 10.0 ** rng.uniform(-3, -0.5, (NEIGHBOURS, 1))
        moved = rng.random((NEIGHBOURS, len(sizes))) < (0.5 if len(sizes) > 1 else 1)
        steps = rng.normal(size=(NEIGHBOURS, len(sizes))) * lengths
        near = np.clip(center + steps, 0, 1)
        whole = np.clip(np.rint(center + steps * sizes + np.sign(steps) * 0.5), 0, np.maximum(sizes - 1, 0))
        drawn = np.floor(rng.random((NEIGHBOURS, len(sizes))) * sizes)
        discrete = np.where(self._encoding.categorical, drawn, whole)
        return np.where(moved, np.where(sizes > 0, discrete, near), center)

    def _refine(self, model: GaussianProcess, best: float, start: Array) -> Array:
        """Climb log EI along the real parameters by L-BFGS, and along the others one step at a time."""
        real = np.flatnonzero(self._encoding.sizes == 0)
        # The coordinates of the real parameters; each has one.
        columns = np.flatnonzero(np.isin(self._encoding.owners, real))
        position = start.copy()
        if len(real):
            point = self._encoding.coordinates(position[None])[0]

            def negative(values: Array) -> tuple[float, Array]:
                point[columns] = values
                value, gradient = log_expected_improvement_with_gradient(model, point, best)
                return -value, -gradient[columns]

            found = minimize(
                negative,
                position[real],
                jac=True,
                method="L-BFGS-B",
                bounds=[(0, 1)] * len(real),
                options={"maxiter": 30},
            )
            position[real] = np.clip(found.x, 0, 1)
        for _ in range(3):
            steps = self._single_steps(position)
            if not len(steps):
                break
            scores = log_expected_improvement(model, self._encoding.coordinates(np.vstack([position, steps])), best)
            if scores.argmax() == 0:
                break
            position = steps[scores.argmax() - 1]
        return position

    def _single_steps(self, position: Array) -> Array:
        """Return the positions that differ in one discrete parameter: neighbours, or another category."""
        steps = []
        for parameter in np.flatnonzero(self._encoding.sizes > 1):
            size = self._encoding.sizes[parameter]
            here = position[parameter]
            others = range(size) if self._encoding.categorical[parameter] else (here - 1, here + 1)
            for other in others:
                if other != here and 0 <= other < size:
                    step = position.copy()
                    step[parameter] = other
                    steps.append(step)
        return np.array(steps).reshape(-1, len(position))

    def _is_new(self, position: Array, chosen: list[Array]) -> bool:
        known = np.vstack([self._positions, *chosen]) if chosen else self._positions
        return not len(known) or bool(np.abs(known - position).max(axis=1).min() > 1e-9)

    def _fill(self, chosen: list[Array], count: int, rng: np.random.Generator) -> list[Array]:
        """Add what is missing: of a small space the points that are left, and after those again any."""
        while len(chosen) < count:
            if self._encoding.points <= 10_000:
                left = [position for position in self._encoding.all_positions() if self._is_new(position, chosen)]
                position = left[rng.integers(len(left))] if left else self._encoding.sample(1, rng)[0]
            else:
                position = self._encoding.sample(1, rng)[0]
            chosen.append(position)
        return chosen


def _smallest_distance(points: Array) -> float:
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    squares[np.diag_indices_from(squares)] = np.inf
    return float(squares.min())
