"""The search of the engine `gp`: its models, and the points where their acquisition is highest."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from optimizer.acquisition import Acquisition, climb, step
from optimizer.encoding import Encoding, Floats
from optimizer.gaussian_process import LITTLE_NOISE_PRIOR, NOISE_PRIOR, GaussianProcess, Prediction, fit
from optimizer.sampling import keeping, latin_hypercube, perturb
from optimizer.trust_region import box, side
from optimizer.values import standardise

# How many trials the model sees, and its kernel is fitted to: time grows with the square and the cube of them.
MOST_SEEN = 1000
MOST_FITTED = 300

Box = tuple[Floats, Floats]


def most_promising(
    encoding: Encoding,
    points: Floats,
    values: Floats,
    pending: Floats,
    count: int,
    tried: Set[bytes],
    rng: np.random.Generator,
    noisy: bool,
) -> list[Floats]:
    """Return the next points of a batch, best first: by turns from everywhere and from a box around the best point.

    Args:
        encoding: The space.
        points: (n, d) of all trials that have ended.
        values: (n,) lower is better; NaN where a trial failed, two at least not.
        pending: (m, d) of the trials that run.
        count: How many are wanted; fewer are returned where no other is found.
        tried: Keys of the points that are not to be proposed.
        rng: Random numbers.
        noisy: Whether equal points give different values.
    """
    # One thread: sums in another order on another number of cores would give other suggestions.
    with threadpool_limits(1):
        acquisition = _acquisition(encoding, points, values, rng, noisy)
        model = acquisition.model
        everywhere = np.zeros(len(encoding)), np.ones(len(encoding))
        centre = model.points[np.argmin(model.means_of_points())]
        near = box(centre, model.kernel.length_scales, side(values, len(encoding)))
        candidates = _candidates(encoding, model, near, rng)
        beliefs = _Beliefs.about(acquisition, candidates)
        for point in pending:
            beliefs.believe(point)
        known = set(tried)
        chosen: list[Floats] = []
        for number in range(count):
            bounds = near if (len(points) + len(pending) + number) % 2 else everywhere
            found = _highest(encoding, beliefs.acquisition, candidates, beliefs.scores(), bounds, known, rng)
            if found is None:
                break
            chosen.append(found)
            known.add(encoding.key(found))
            beliefs.believe(found)
        return chosen


@dataclass
class _Beliefs:
    """The models, and what they predict of the candidates.

    Both take what they expect at a point for what came out there (Ginsbourger et al. 2010, kriging believer).
    """

    acquisition: Acquisition
    predicted: Prediction
    successes: Prediction | None

    @classmethod
    def about(cls, acquisition: Acquisition, candidates: Floats) -> Self:
        """Predict candidates, (m, d)."""
        success = acquisition.success
        successes = None if success is None else success.predict(candidates)
        return cls(acquisition, acquisition.model.predict(candidates), successes)

    def scores(self) -> Floats:
        """Return the acquisition of the candidates, (m,)."""
        return self.acquisition.score(self.predicted, self.successes)

    def believe(self, point: Floats) -> None:
        """Take a point, (d,), for one that has come out as expected."""
        model, success = self.acquisition.model, self.acquisition.success
        model, self.predicted = model.extend(point, float(model.predict(point[None]).mean[0]), self.predicted)
        if success is not None and self.successes is not None:
            expected = float(success.predict(point[None]).mean[0])
            success, self.successes = success.extend(point, expected, self.successes)
        self.acquisition = Acquisition(model, success)


def promises(
    encoding: Encoding,
    points: Floats,
    values: Floats,
    pending: Floats,
    rows: Floats,
    rng: np.random.Generator,
    noisy: bool,
) -> Floats:
    """Return the acquisition, (m,), of rows (m, d), as `most_promising` sees it for the first point of a batch."""
    with threadpool_limits(1):
        beliefs = _Beliefs.about(_acquisition(encoding, points, values, rng, noisy), rows)
        for point in pending:
            beliefs.believe(point)
        return beliefs.scores()


def expected_values(encoding: Encoding, points: Floats, values: Floats) -> Floats:
    """Return what the model expects at points (n, d) with values (n,): those values without their noise.

    Lower is better, and no value is NaN.
    """
    with threadpool_limits(1):
        model = _acquisition(encoding, points, values, np.random.default_rng(0), noisy=True).model
        means = model.predict(points).mean
    # Back from standardised values, along the line through those that were seen.
    standard = standardise(values)
    order = np.argsort(values, kind="stable")
    return np.interp(means, standard[order], values[order])


def _acquisition(
    encoding: Encoding, points: Floats, values: Floats, rng: np.random.Generator, noisy: bool
) -> Acquisition:
    completed = np.isfinite(values)
    prior = NOISE_PRIOR if noisy else LITTLE_NOISE_PRIOR
    model = _model(encoding, points[completed], standardise(values[completed]), rng, prior)
    if completed.all():
        return Acquisition(model)
    return Acquisition(model, _model(encoding, points, np.where(completed, 1.0, -1.0), rng, NOISE_PRIOR))


def _model(
    encoding: Encoding, points: Floats, values: Floats, rng: np.random.Generator, noise_prior: tuple[float, float]
) -> GaussianProcess:
    seen = _some(values, MOST_SEEN, rng)
    points, values = points[seen], values[seen]
    fitted = _some(values, MOST_FITTED, rng)
    kernel = fit(points[fitted], values[fitted], encoding.categorical, noise_prior)
    return GaussianProcess.condition(kernel, points, values)


def _some(values: Floats, most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the indices of all values, (n,), or of `most` of them: half of those the best, the others any."""
    if len(values) <= most:
        return np.arange(len(values))
    order = np.argsort(values, kind="stable")
    half = most // 2
    return np.sort(np.concatenate([order[:half], rng.choice(order[half:], most - half, replace=False)]))


def _candidates(encoding: Encoding, model: GaussianProcess, near: Box, rng: np.random.Generator) -> Floats:
    """Return rows, (m, d): all of a small space, or many from everywhere, from the box and around the best."""
    if encoding.size <= 2000:
        rows = np.array([encoding.row(number) for number in range(int(encoding.size))])
        return rows[encoding.keeps(rows)]
    low, high = near
    everywhere = latin_hypercube(encoding, 512, rng)
    inside = latin_hypercube(encoding, 256, rng)
    inside = np.where(encoding.categorical, inside, low + inside * (high - low))
    best = np.argsort(model.means_of_points(), kind="stable")[:5]
    around = perturb(encoding, model.points[best], 512, rng)
    rows = np.vstack([everywhere, encoding.snap(inside), around])
    if not encoding.constraints:
        return rows
    # Of a space of which little keeps the constraints more from everywhere.
    return np.vstack([rows[encoding.keeps(rows)], keeping(encoding, 256, rng)])


def _highest(
    encoding: Encoding,
    acquisition: Acquisition,
    candidates: Floats,
    scores: Floats,
    bounds: Box,
    known: Set[bytes],
    rng: np.random.Generator,
) -> Floats | None:
    """Return the point with the highest acquisition that is not known yet, or None where there is no other."""
    low, high = bounds
    outside = ((candidates < low) | (candidates > high)) & ~encoding.categorical
    order = np.argsort(np.where(outside.any(1), np.inf, -scores), kind="stable")
    order = np.array([index for index in order if encoding.key(candidates[index]) not in known], dtype=int)
    if not len(order):
        return None
    refined = candidates[order[:6]]
    for _ in range(3 if encoding.discrete.any() else 1):
        refined = climb(acquisition, encoding, refined, bounds, steps=30)
        refined = step(acquisition, encoding, refined, rng)
    refined = encoding.snap(refined)
    found = refined[np.argsort(-acquisition.at(refined), kind="stable")]
    for row in found[encoding.keeps(found)]:
        if encoding.key(row) not in known:
            return np.asarray(row)
    return np.asarray(candidates[order[0]])
