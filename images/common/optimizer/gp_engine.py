"""The engine `gp`: a Gaussian process, the logarithm of the expected improvement, batches by fantasies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bayesopt.study import GpSettings
from optimizer.acquisition import Acquisition, climb, step
from optimizer.encoding import Floats
from optimizer.gaussian_process import GaussianProcess, fit
from optimizer.ledger_engine import LedgerEngine
from optimizer.sampling import latin_hypercube, perturb, remaining, spread
from optimizer.trust_region import box, side
from optimizer.values import standardise

# How many trials the model sees, and its kernel is fitted to: time grows with the square and the cube of them.
MOST_SEEN = 1000
MOST_FITTED = 300


class GpEngine(LedgerEngine):
    """Fits a Gaussian process to the ledger and proposes what promises the most.

    The first trials fill the space.
    """

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
            yield from self._promising(count, tried, rng)
        yield from remaining(self.encoding, rng)

    def means(self) -> Floats:
        """Return what the model expects of each completed trial, (n,), in the order of the trials; lower is better."""
        values = self.values[np.isfinite(self.values)]
        with threadpool_limits(1):
            model = self._acquisition(np.random.default_rng(0)).model
            means = model.predict(self.points[np.isfinite(self.values)]).mean
        # Back from standardised values, along the line through those that were seen.
        standard = standardise(values)
        order = np.argsort(values, kind="stable")
        return np.interp(means, standard[order], values[order])

    def _promising(self, count: int, tried: set[bytes], rng: np.random.Generator) -> Iterator[Floats]:
        """Yield the points of the highest acquisition in turn: everywhere, and in a box around the best point."""
        acquisition = self._acquisition(rng)
        model, success = acquisition.model, acquisition.success
        everywhere = np.zeros(len(self.encoding)), np.ones(len(self.encoding))
        centre = model.points[np.argmin(model.means_of_points())]
        near = box(centre, model.kernel.length_scales, side(self.values, len(self.encoding)))
        candidates = self._candidates(model, tried, near, rng)
        values = model.predict(candidates)
        successes = None if success is None else success.predict(candidates)
        for number in range(count):
            bounds = near if (len(self.points) + number) % 2 else everywhere
            point = self._best(acquisition, candidates, acquisition.score(values, successes), bounds, tried, rng)
            if point is None:
                return
            yield point
            # Both models take what they expect there for what came out.
            model, values = model.extend(point, float(model.predict(point[None]).mean[0]), values)
            if success is not None and successes is not None:
                success, successes = success.extend(point, float(success.predict(point[None]).mean[0]), successes)
            acquisition = Acquisition(model, success)

    def _acquisition(self, rng: np.random.Generator) -> Acquisition:
        completed = np.isfinite(self.values)
        points, values = self.points[completed], standardise(self.values[completed])
        model = self._model(points, values, rng)
        if completed.all():
            return Acquisition(model)
        return Acquisition(model, self._model(self.points, np.where(completed, 1.0, -1.0), rng))

    def _model(self, points: Floats, values: Floats, rng: np.random.Generator) -> GaussianProcess:
        seen = _some(values, MOST_SEEN, rng)
        points, values = points[seen], values[seen]
        fitted = _some(values, MOST_FITTED, rng)
        kernel = fit(points[fitted], values[fitted], self.encoding.categorical)
        return GaussianProcess.condition(kernel, points, values)

    def _candidates(
        self, model: GaussianProcess, tried: set[bytes], near: tuple[Floats, Floats], rng: np.random.Generator
    ) -> Floats:
        """Return rows, (m, d), that were not tried: all of a small space, or many everywhere and around the best."""
        if self.encoding.size <= 2000:
            rows = np.array([self.encoding.row(number) for number in range(int(self.encoding.size))])
        else:
            best = np.argsort(model.means_of_points(), kind="stable")[:5]
            low, high = near
            everywhere = latin_hypercube(self.encoding, 512, rng)
            inside = latin_hypercube(self.encoding, 256, rng)
            inside = np.where(self.encoding.categorical, inside, low + inside * (high - low))
            around = perturb(self.encoding, model.points[best], 512, rng)
            rows = np.vstack([everywhere, self.encoding.snap(inside), around])
        return rows[[self.encoding.key(row) not in tried for row in rows]]

    def _best(
        self,
        acquisition: Acquisition,
        candidates: Floats,
        scores: Floats,
        bounds: tuple[Floats, Floats],
        tried: set[bytes],
        rng: np.random.Generator,
    ) -> Floats | None:
        """Return the point with the highest acquisition that was not tried, or None where there is no other."""
        low, high = bounds
        outside = ((candidates < low) | (candidates > high)) & ~self.encoding.categorical
        order = np.argsort(np.where(outside.any(1), np.inf, -scores), kind="stable")
        refined = candidates[order[:6]]
        for _ in range(3 if self.encoding.discrete.any() else 1):
            refined = climb(acquisition, self.encoding, refined, bounds, steps=30)
            refined = step(acquisition, self.encoding, refined, rng)
        refined = self.encoding.snap(refined)
        found = np.argsort(-acquisition.at(refined), kind="stable")
        for row in [*refined[found], *candidates[order]]:
            if self.encoding.key(row) not in tried:
                return np.asarray(row)
        return None


def _some(values: Floats, most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the indices of all values, (n,), or of so many: half of them the best, the others any."""
    if len(values) <= most:
        return np.arange(len(values))
    order = np.argsort(values, kind="stable")
    half = most // 2
    return np.sort(np.concatenate([order[:half], rng.choice(order[half:], most - half, replace=False)]))


def initial_trials(dimensions: int, batch: int) -> int:
    """Return how many trials fill the space before a model is fitted: whole batches."""
    wanted = min(max(dimensions + 2, 5), 20)
    return -(-wanted // batch) * batch
