"""A model of the objective over all trials: a Gaussian process of plain values, not of the search's transformed ones.

A search cares about the best of the good points, and compresses the bad ones. A person asks what the objective depends
on, so here values are only shifted and scaled.

The value of a trial that was stopped early is from the middle of its curve. Mostly bad trials are stopped, so a model
of the others alone would know nothing of bad regions. It learns from all of them, with the progress of each as one more
column, and predicts whole trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from scipy.special import ndtr
from threadpoolctl import threadpool_limits

from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.search.encoding import Booleans, Encoding, Floats
from kfp_bayesopt.search.gp.gaussian_process import GaussianProcess, Prediction, fit
from kfp_bayesopt.search.gp.values import standardise
from kfp_bayesopt.search.sampling import perturb
from kfp_bayesopt.study.study import Study

FEWEST_TRIALS = 5
"""With fewer trials with a value a model says nothing."""
WHOLE = 1.0
"""The progress of a trial that was not stopped."""
NEARNESS = 0.25
"""
The distance of the first steps from the end: the beginning of a curve tells something of its end. At 1, one search in
some thirty was wrongly judged to have stopped trials that tell nothing."""
LEAST_LENGTH = 0.4
"""In lengths of a curve: if values change faster along it, stopped trials do not tell the values of whole ones."""

# Time grows with the cube of the trials: all of a study of usual size; of a large one half are the best and half any.
MOST_FITTED = 200
MOST_COVARIANCES = 4_000_000
# The model is fitted again without each of this many parts of the trials.
PARTS = 8
MANY_PARAMETERS = 30


def progress_of(study: Study, ledger: Sequence[Record]) -> Floats:
    """Return the progress of trials, (n,): `WHOLE`, or less for stopped ones; NaN if unknown.

    Curves fall fast and then slowly, so that the logarithm of the steps counts.
    """
    known = [record.steps.last for record in ledger if record.steps is not None]
    longest = max([*known, study.early_stopping.max_steps if study.early_stopping else 1])
    return np.array([_progress(record, longest) for record in ledger], dtype=float)


def _progress(record: Record, longest: int) -> float:
    if record.state != "stopped":
        return WHOLE
    if record.steps is None:
        return math.nan
    # The end comes after the last step.
    return WHOLE - NEARNESS * (1 - math.log1p(record.steps.last) / math.log1p(longest + 1))


@dataclass(frozen=True)
class Surface:
    """A Gaussian process that predicts whole trials.

    Attributes:
        process: Its points have the columns of the search space, and one for the progress of trials if some were
            stopped.
    """

    process: GaussianProcess

    @classmethod
    def fitted(cls, points: Floats, values: Floats, encoding: Encoding) -> Self:
        """Fit it to points (n, d), or (n, d + 1) if some trials were stopped, with values (n,)."""
        more = points.shape[1] - len(encoding)
        categorical = np.concatenate([encoding.categorical, np.zeros(more, dtype=bool)])
        return cls(GaussianProcess.condition(fit(points, values, categorical), points, values))

    def predict(self, rows: Floats) -> Prediction:
        """Predict the values of whole trials at rows, (m, d)."""
        return self.process.predict(self._whole(rows))

    def means(self, rows: Floats) -> Floats:
        """Return the mean for whole trials at rows, (m, d), in blocks that need little memory."""
        block = max(MOST_COVARIANCES // len(self.process.points), 1)
        return np.concatenate([self.predict(rows[at : at + block]).mean for at in range(0, len(rows), block)])

    def samples(self, rows: Floats, count: int, rng: np.random.Generator) -> Floats:
        """Return joint samples, (count, m), of the values of whole trials at rows, (m, d)."""
        at = self.predict(rows)
        covariances = self.process.kernel(at.points, at.points)[0] - at.projections.T @ at.projections
        # Points may be equal, and rounding makes the smallest eigenvalues negative.
        jitter = 1e-8 * self.process.kernel.variance
        while True:
            try:
                factor = np.linalg.cholesky(covariances + jitter * np.eye(len(rows)))
            except np.linalg.LinAlgError:
                jitter *= 10
            else:
                return np.asarray(at.mean + rng.standard_normal((count, len(rows))) @ factor.T)

    def extend(self, row: Floats, value: float, at: Prediction) -> tuple[Surface, Prediction]:
        """Return the surface with one more whole trial at a row, (d,), and its prediction."""
        process, predicted = self.process.extend(self._whole(row[None])[0], value, at)
        return Surface(process), predicted

    def _whole(self, rows: Floats) -> Floats:
        more = self.process.points.shape[1] - rows.shape[1]
        return np.column_stack([rows, np.full((len(rows), more), WHOLE)]) if more else rows


@dataclass(frozen=True)
class Model:
    """A Gaussian process of the trials with a value.

    Attributes:
        encoding: The search space.
        surface: Fitted to the values minus `centre`, divided by `spread`; lower is better.
        centre: Mean of the values; lower is better.
        spread: Their standard deviation.
        best: (d,) point of the best trial that was not stopped.
        values: (n,) of the trials that it is fitted to; lower is better.
        whole: (n,) mask of those that were not stopped.
    """

    encoding: Encoding
    surface: Surface
    centre: float
    spread: float
    best: Floats
    values: Floats
    whole: Booleans

    @classmethod
    def of(cls, encoding: Encoding, points: Floats, values: Floats, progress: Floats | None = None) -> Self | None:
        """Fit the model.

        Args:
            encoding: The search space.
            points: (n, d) of the trials that have a value.
            values: (n,) lower is better; of a stopped trial its last value.
            progress: (n,) of `progress_of`; None if none was stopped.

        Returns:
            None if too few have a value, none is whole, or all have the same value.
        """
        whole = np.ones(len(values), dtype=bool) if progress is None else progress == WHOLE
        if len(values) < FEWEST_TRIALS or not whole.any():
            return None
        # Divided by the largest, so that no difference overflows.
        scale = max(float(np.abs(values).max()), float(np.finfo(float).tiny))
        plain = values / scale
        centre, spread = float(plain.mean()), float(plain.std())
        if spread <= 1e-12:
            return None
        best = points[int(np.argmin(np.where(whole, values, np.inf)))]
        chosen = _some(values)
        seen = points if progress is None or whole.all() else np.column_stack([points, progress])
        try:
            with threadpool_limits(1):
                surface = Surface.fitted(seen[chosen], (plain[chosen] - centre) / spread, encoding)
        except FloatingPointError:
            return None
        return cls(encoding, surface, centre * scale, spread * scale, best, values[chosen], whole[chosen])

    @property
    def noise(self) -> float:
        """The share of the variance of the values that is noise."""
        return self.surface.process.kernel.noise

    @property
    def is_of_whole_trials(self) -> bool:
        """Tell whether stopped trials tell it the values of whole ones; always true if none was stopped."""
        lengths = self.surface.process.kernel.length_scales
        return len(lengths) == len(self.encoding) or float(lengths[-1]) >= LEAST_LENGTH * NEARNESS

    @property
    def points(self) -> Floats:
        """(n, d) points of the trials that it is fitted to."""
        return self.surface.process.points[:, : len(self.encoding)]

    @cached_property
    def parts(self) -> list[tuple[Booleans, Surface]]:
        """A mask of the trials of each part, and a surface fitted to all others, with a kernel of its own."""
        count = PARTS if len(self.encoding) <= MANY_PARAMETERS else PARTS // 2
        part = np.arange(len(self.values)) % count
        with threadpool_limits(1):
            return [(part == each, self._without(part == each)) for each in range(count)]

    def _without(self, left_out: Booleans) -> Surface:
        process = self.surface.process
        try:
            return Surface.fitted(process.points[~left_out], process.values[~left_out], self.encoding)
        except FloatingPointError:
            return self.surface

    @cached_property
    def foresight(self) -> float:
        """The share of the variance of unseen trials that it predicts, by cross-validation.

        1 is exact; 0 or less is no better than their mean (the Q² of Marrel et al. 2008).
        """
        process = self.surface.process
        missed = sum(
            float(((surface.process.predict(process.points[part]).mean - process.values[part]) ** 2).sum())
            for part, surface in self.parts
        )
        return 1 - missed / float(((process.values - process.values.mean()) ** 2).sum())

    def expected_gain(self, trials: int, rng: np.random.Generator) -> float:
        """Return the expected improvement of the best value by more trials, in its units.

        The trials are those with the highest expected improvement, each chosen as if the earlier ones had turned out as
        expected (Ginsbourger et al. 2010, kriging believer); the gain is the mean over joint samples of their values.
        The model is the engine `gp`'s, which resolves the differences between good points better.
        """
        standard = standardise(self.values)
        with threadpool_limits(1):
            surface = Surface.fitted(self.surface.process.points, standard, self.encoding)
        order = np.argsort(self.values, kind="stable")
        low, middle = order[0], order[len(order) // 2]
        # Between the best value and the median one is a linear function of the other.
        unit = (self.values[middle] - self.values[low]) / max(standard[middle] - standard[low], 1e-12)
        means = surface.predict(self.points).mean
        around = perturb(self.encoding, self.points[np.argsort(means)[:5]], 1024, rng)
        candidates = np.vstack([self.encoding.from_cube(rng.random((1024, len(self.encoding)))), around])
        candidates = candidates[self.encoding.keeps(candidates)]
        if not len(candidates):
            return 0.0
        lowest = float(means[self.whole].min())
        believed, predicted = surface, surface.predict(candidates)
        chosen: list[Floats] = []
        for _ in range(trials):
            gains = _expected_improvement(predicted.mean, predicted.deviation, lowest)
            chosen.append(candidates[int(np.argmax(gains))])
            expected = float(believed.predict(chosen[-1][None]).mean[0])
            believed, predicted = believed.extend(chosen[-1], expected, predicted)
        samples = surface.samples(np.array(chosen), 4096, rng)
        return float(np.maximum(lowest - samples.min(1), 0.0).mean() * unit)

    def mean(self, rows: Floats) -> Floats:
        """Return the model's mean at rows, (m, d), in the units of the values; lower is better."""
        return self.surface.means(rows) * self.spread + self.centre

    def samples(self, rows: Floats, count: int, rng: np.random.Generator) -> Floats:
        """Return samples, (count, m), of the values of whole trials at rows, (m, d); lower is better."""
        return self.surface.samples(rows, count, rng) * self.spread + self.centre


def _some(values: Floats) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the indices of the trials to fit, in random order, so that its parts resemble each other."""
    rng = np.random.default_rng(0)
    if len(values) <= MOST_FITTED:
        return rng.permutation(len(values))
    order = np.argsort(values, kind="stable")
    half = MOST_FITTED // 2
    return rng.permutation(np.concatenate([order[:half], rng.choice(order[half:], MOST_FITTED - half, replace=False)]))


def _expected_improvement(mean: Floats, deviation: Floats, lowest: float) -> Floats:
    """Return the expected improvement (Jones, Schonlau and Welch 1998, equation 15)."""
    z = (lowest - mean) / deviation
    return np.asarray(deviation * (z * ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)))
