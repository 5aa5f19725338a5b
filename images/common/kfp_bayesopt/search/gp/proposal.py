"""The search of the engine `gp`: its models, and the points with the highest acquisition."""

from __future__ import annotations

import math
from collections.abc import Callable, Set
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kfp_bayesopt.search.encoding import Booleans, Encoding, Floats
from kfp_bayesopt.search.gp.acquisition import LABEL_NOISE, Acquisition, Condition, Improvement, OnTheBest, climb, move
from kfp_bayesopt.search.gp.gaussian_process import (
    LITTLE_NOISE,
    SOME_NOISE,
    STRONG_NOISE,
    GaussianProcess,
    Kernel,
    Prior,
    Trend,
    evidence_against,
    fit,
)
from kfp_bayesopt.search.gp.hypervolume import OnTheFront, directions, on_front, reference_of
from kfp_bayesopt.search.gp.transfer import WeightedTrend, trend
from kfp_bayesopt.search.gp.trust_region import box, side
from kfp_bayesopt.search.gp.values import standardise
from kfp_bayesopt.search.sampling import keeping, latin_hypercube, perturb

if TYPE_CHECKING:
    from kfp_bayesopt.search.ledger_engine import View

# The most trials that the model is conditioned on, and that its kernel is fitted to: time grows with their square and
# cube.
MOST_SEEN = 1000
MOST_FITTED = 300
# Without noise, a trial whose numbers all lie this near to another's, as shares of their ranges, adds nothing to it.
CROWDED = 1e-3
# One trial in this many may lie nearer, to find the last digits.
POLISHING = 8
# Noise added to a metric with a limit, in standard deviations.
LIMIT_NOISE = 0.02

Box = tuple[Floats, Floats]


def most_promising(view: View, pending: Floats, count: int) -> list[Floats]:
    """Return the next points of a batch, best first: by turns from everywhere and from a box around the best point.

    With several objectives, which have no single best point, always from everywhere.

    Args:
        view: The state of the study; at least two trials have completed.
        pending: (m, d) points of running trials, and of those already proposed.
        count: The number of points; fewer are returned if no others are found.
    """
    # One thread: on another number of cores the order of sums, and so the suggestions, would differ.
    with threadpool_limits(1):
        encoding, rng = view.encoding, view.rng
        acquisition = _acquisition(view)
        everywhere = np.zeros(len(encoding)), np.ones(len(encoding))
        best = _best(acquisition, view.excesses.shape[1])
        near = everywhere
        if len(acquisition.models) == 1:
            near = box(best[0], acquisition.models[0].kernel.length_scales, side(view.values, len(encoding)))
        candidates = _candidates(encoding, best, near, rng)
        predicted = acquisition.predict(candidates)
        for point in pending:
            acquisition, predicted = acquisition.believe(point, predicted)
        known = set(view.tried)
        chosen: list[Floats] = []
        for number in range(count):
            turn = len(view.points) + len(pending) + number
            bounds = near if turn % 2 else everywhere
            seen = (
                np.vstack([view.points, pending, *chosen]) if turn % POLISHING != 1 and not view.study.noisy else None
            )
            found = _highest(encoding, acquisition, candidates, acquisition.score(predicted), bounds, known, seen, rng)
            if found is None:
                break
            chosen.append(found)
            known.add(encoding.key(found))
            acquisition, predicted = acquisition.believe(found, predicted)
        return chosen


def promises(view: View, rows: Floats) -> Floats:
    """Return the acquisition, (m,), of rows (m, d), as it is for the first point of a batch."""
    with threadpool_limits(1):
        acquisition = _acquisition(view)
        predicted = acquisition.predict(rows)
        for point in view.pending:
            acquisition, predicted = acquisition.believe(point, predicted)
        return acquisition.score(predicted)


def expected_values(encoding: Encoding, points: Floats, values: Floats) -> Floats:
    """Return the model's mean at points (n, d) with values (n,): the values without their noise.

    Lower is better, and no value is NaN.
    """
    standard = standardise(values, even=True)
    with threadpool_limits(1):
        model = _model(encoding, points, standard, np.random.default_rng(0), STRONG_NOISE)
        means = model.predict(points).mean
    # Back from standardised values, by interpolation between the observed ones.
    order = np.argsort(values, kind="stable")
    return np.interp(means, standard[order], values[order])


def _acquisition(view: View) -> Acquisition:
    """Return the acquisition after the trials that have ended: models of each objective and limit, and of failures."""
    encoding, rng = view.encoding, view.rng
    completed = np.isfinite(view.losses).all(1)
    prior = STRONG_NOISE if view.study.noisy else LITTLE_NOISE
    points, losses, excesses = view.points[completed], view.losses[completed], view.excesses[completed]
    counted: Booleans = np.asarray((excesses <= 0).all(1))
    k, scaled = losses.shape[1], partial(standardise, even=view.study.noisy)
    if k + excesses.shape[1] > 1:  # models of several numbers see the same trials
        seen = _some(np.where(counted, 0.0, 1e9) + np.column_stack([*map(scaled, losses.T)]).max(1), MOST_SEEN, rng)
        points, losses, excesses, counted = points[seen], losses[seen], excesses[seen], counted[seen]
    standard, over = _goal(view, losses, counted)
    # Every other batch uses its own trials alone, so that other studies cannot mislead for long.
    believes = (view.begun // view.study.parallel_trials) % 2 == 1
    above = trend(encoding, view.sources, points, standard[:, 0]) if view.sources and k == 1 and believes else None
    models = tuple(_model(encoding, points, column, rng, prior, above) for column in standard.T)
    conditions = []
    for column in excesses.T:
        # A trial stopped before it gave the metric says nothing of the limit; if all were, only keeping it or not is
        # modelled.
        known = ~np.isnan(column) | np.isnan(column).all()
        scaled_excesses = _scaled(column[known])
        conditions.append(Condition(_model(encoding, points[known], -scaled_excesses, rng, prior), LIMIT_NOISE))
    if not completed.all():
        labels = np.where(completed, 1.0, -1.0)
        success = _model(encoding, view.points, labels, rng, SOME_NOISE)
        conditions.append(Condition(success, LABEL_NOISE))
    return Acquisition(models, tuple(conditions), counted if excesses.shape[1] else None, over)


def _goal(view: View, losses: Floats, counted: Booleans) -> tuple[Floats, Callable[[Floats], Improvement | None]]:
    """Return losses (n, k) in the models' scale, and the improvement to maximise."""
    scaled = partial(standardise, even=view.study.noisy)
    if losses.shape[1] == 1:
        return scaled(losses[:, 0])[:, None], OnTheBest.over
    asked = view.reference
    columns = [
        scaled(column if limit is None else np.append(column, limit))
        for column, limit in zip(losses.T, asked, strict=True)
    ]
    standard = np.column_stack([column[: len(losses)] for column in columns])
    found = reference_of(standard[counted] if counted.any() else standard)
    given = [limit is not None for limit in asked]
    reference = np.where(given, [column[-1] for column in columns], found)
    best = (standard[counted] if counted.any() else standard).min(0)
    towards = directions(len(reference), view.rng) * np.maximum(reference - best, 1e-3)
    return standard, partial(OnTheFront.over, reference=reference, directions=towards)


def _scaled(excesses: Floats) -> Floats:
    """Return excesses over a limit, (n,), scaled to variance about 1: 0 stays 0, and large ones are compressed."""
    if np.isnan(excesses).all():
        return np.zeros(len(excesses))
    known = np.where(np.isfinite(excesses), excesses, np.nan)
    if np.isnan(known).all():
        return np.ones(len(excesses))
    known = np.where(np.isnan(known), np.nanmax(np.abs(known)), known)  # a metric that is missing breaks its limit
    width = float(np.median(np.abs(known))) or float(np.abs(known).max()) or 1.0
    scaled = np.arcsinh(known / width)
    return np.asarray(scaled / (math.sqrt(float((scaled**2).mean())) or 1.0))


def _best(acquisition: Acquisition, limits: int) -> Floats:
    """Return some of the best points, (at most 5, d): by their means, or the front of several objectives.

    If none keeps all limits, which are the first conditions, the points nearest to keeping them.
    """
    points, means, counted = acquisition.models[0].points, acquisition.means, acquisition.counted
    if counted is not None and not counted.any():
        models = [condition.model for condition in acquisition.conditions[:limits]]
        kept = np.array([_means_at(model, points) for model in models])
        return points[np.argsort(-np.minimum(kept, 0).sum(0), kind="stable")[:5]]
    if counted is not None:
        points, means = points[counted], means[:, counted]
    if len(means) == 1:
        return points[np.argsort(means[0], kind="stable")[:5]]
    return points[on_front(means.T)]


def _means_at(model: GaussianProcess, points: Floats) -> Floats:
    """Return the means of a model at points, (n,), which are all or some of those that it is conditioned on."""
    return model.means_of_points() if len(model.points) == len(points) else model.predict(points).mean


def _model(
    encoding: Encoding,
    points: Floats,
    values: Floats,
    rng: np.random.Generator,
    prior: Prior,
    above: WeightedTrend | None = None,
) -> GaussianProcess:
    """Return the model of values (n,) at points (n, d), with the trend of other studies or without.

    The evidence decides: with a trend that helps, the remainders are smoother or smaller than the values alone.
    """
    seen = _some(values, MOST_SEEN, rng)
    points, values = points[seen], values[seen]
    fitted = _some(values, MOST_FITTED, rng)
    found: list[tuple[float, Trend | None, Kernel]] = []
    for each in [None] if above is None else [above, above.times(0.5), None]:
        rest = values if each is None else values - each.mean(points)
        kernel = fit(points[fitted], rest[fitted], encoding.categorical, prior)
        lost = evidence_against(kernel, points[fitted], rest[fitted], prior) if above is not None else 0.0
        found.append((lost, each, kernel))
    _, chosen, kernel = min(found, key=lambda each: each[0])
    return GaussianProcess.condition(kernel, points, values, chosen)


def _some(values: Floats, most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the indices of all values, (n,), or of `most` of them: half of those the best, the others at random."""
    if len(values) <= most:
        return np.arange(len(values))
    order = np.argsort(values, kind="stable")
    half = most // 2
    return np.sort(np.concatenate([order[:half], rng.choice(order[half:], most - half, replace=False)]))


def _candidates(encoding: Encoding, best: Floats, near: Box, rng: np.random.Generator) -> Floats:
    """Return candidates, (m, d): all of a small space, or many from everywhere, from the box and around the best."""
    if encoding.size <= 2000:
        rows = np.array([encoding.row(number) for number in range(int(encoding.size))])
        return rows[encoding.keeps(rows)]
    low, high = near
    everywhere = latin_hypercube(encoding, 512, rng)
    inside = latin_hypercube(encoding, 256, rng)
    inside = np.where(encoding.categorical, inside, low + inside * (high - low))
    around = perturb(encoding, best, 512, rng)
    rows = np.vstack([everywhere, encoding.snap(inside), around])
    if not encoding.constraints:
        return rows
    # If little of a space keeps the constraints, more from everywhere.
    return np.vstack([rows[encoding.keeps(rows)], keeping(encoding, 256, rng)])


def _highest(
    encoding: Encoding,
    acquisition: Acquisition,
    candidates: Floats,
    scores: Floats,
    bounds: Box,
    known: Set[bytes],
    seen: Floats | None,
    rng: np.random.Generator,
) -> Floats | None:
    """Return the unknown point with the highest acquisition, or None if no other is found.

    A point crowded by observed ones, (n, d), is returned only if no other is left; with None for those, crowding is
    ignored.
    """
    low, high = bounds
    outside = ((candidates < low) | (candidates > high)) & ~encoding.categorical
    order = np.argsort(np.where(outside.any(1), np.inf, -scores), kind="stable")
    order = np.array([index for index in order if encoding.key(candidates[index]) not in known], dtype=int)
    if not len(order):
        return None
    refined = candidates[order[:6]]
    for _ in range(3 if encoding.discrete.any() else 1):
        refined = climb(acquisition, encoding, refined, bounds, steps=30)
        refined = move(acquisition, encoding, refined, rng)
    refined = encoding.snap(refined)
    found = refined[np.argsort(-acquisition.at(refined), kind="stable")]
    new = [row for row in found[encoding.keeps(found)] if encoding.key(row) not in known]
    if seen is None:
        return np.asarray([*new, candidates[order[0]]][0])
    for row in (*new, *candidates[order]):
        if not _is_crowded(encoding, row, seen):
            return np.asarray(row)
    return np.asarray([*new, candidates[order[0]]][0])


def _is_crowded(encoding: Encoding, row: Floats, seen: Floats) -> bool:
    """Tell whether one of rows (n, d) equals a row, (d,), in all but small differences of its continuous columns."""
    near = np.abs(seen - row) < np.where(encoding.discrete, 1e-9, CROWDED)
    return bool(near.all(1).any())
