"""What the trials of a study say about its objective: a Gaussian process of plain values, not of those a search likes.

A search cares about which good point is best, and compresses the bad ones. A person asks what the objective depends on,
so that here values are only shifted and scaled.

A trial that was stopped early has its value from the middle of its curve. The bad trials are the ones that are stopped,
so that a model of the others alone would know nothing of what is bad. It learns all of them, with how far each has come
as one more column, and is asked about whole trials.
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
"""With fewer trials that have a value a model says nothing."""
WHOLE = 1.0
"""How far a trial has come that was not stopped."""
NEARNESS = 0.25
"""So far from it are the first steps: the begin of a curve tells something of its end. At 1, one search of some thirty
was taken for one whose stopped trials tell nothing."""
LEAST_LENGTH = 0.4
"""In lengths of a curve: where values change faster along it, stopped trials do not tell what whole ones would give."""

# Time grows with the cube of them: all of a study of usual size, half of the best and half of any of a large one.
MOST_FITTED = 200
MOST_COVARIANCES = 4_000_000
# The model is fitted again without each of so many parts of the trials.
PARTS = 8
MANY_PARAMETERS = 30


def progress_of(study: Study, ledger: Sequence[Record]) -> Floats:
    """Return how far trials have come, (n,): `WHOLE`, or less where they were stopped; NaN where nobody knows.

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
    """A Gaussian process that is asked about whole trials.

    Attributes:
        process: Its points have the columns of the search space, and one for how far trials came where some were
            stopped.
    """

    process: GaussianProcess

    @classmethod
    def fitted(cls, points: Floats, values: Floats, encoding: Encoding) -> Self:
        """Fit it to points (n, d), or (n, d + 1) where some trials were stopped, with values (n,)."""
        more = points.shape[1] - len(encoding)
        categorical = np.concatenate([encoding.categorical, np.zeros(more, dtype=bool)])
        return cls(GaussianProcess.condition(fit(points, values, categorical), points, values))

    def predict(self, rows: Floats) -> Prediction:
        """Predict what whole trials at rows, (m, d), would give."""
        return self.process.predict(self._whole(rows))

    def means(self, rows: Floats) -> Floats:
        """Return what is expected of whole trials at rows, (m, d), in blocks that need little memory."""
        block = max(MOST_COVARIANCES // len(self.process.points), 1)
        return np.concatenate([self.predict(rows[at : at + block]).mean for at in range(0, len(rows), block)])

    def samples(self, rows: Floats, count: int, rng: np.random.Generator) -> Floats:
        """Return samples, (count, m), of what whole trials at rows, (m, d), would give together."""
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
        """Return the surface that has seen one more whole trial at a row, (d,), and what it predicts."""
        process, predicted = self.process.extend(self._whole(row[None])[0], value, at)
        return Surface(process), predicted

    def _whole(self, rows: Floats) -> Floats:
        more = self.process.points.shape[1] - rows.shape[1]
        return np.column_stack([rows, np.full((len(rows), more), WHOLE)]) if more else rows


@dataclass(frozen=True)
class Model:
    """A Gaussian process of the trials that have a value.

    Attributes:
        encoding: The search space.
        surface: It has seen the values less `centre`, by `spread`; lower is better.
        centre: Mean of the values, where lower is better.
        spread: Their standard deviation.
        best: (d,) point of the best trial that was not stopped.
        values: (n,) of the trials that it has seen; lower is better.
        whole: (n,) which of them were not stopped.
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
            values: (n,) lower is better; of a trial that was stopped what it had then.
            progress: (n,) how far they came; None where none was stopped.

        Returns:
            None where too few have a value, none is whole, or all have the same value.
        """
        whole = np.ones(len(values), dtype=bool) if progress is None else progress == WHOLE
        if len(values) < FEWEST_TRIALS or not whole.any():
            return None
        # By the largest, so that no difference overflows.
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
        """Tell whether it knows what stopped trials would have given as whole ones; with none stopped it need not."""
        lengths = self.surface.process.kernel.length_scales
        return len(lengths) == len(self.encoding) or float(lengths[-1]) >= LEAST_LENGTH * NEARNESS

    @property
    def points(self) -> Floats:
        """(n, d) of the trials that it has seen."""
        return self.surface.process.points[:, : len(self.encoding)]

    @cached_property
    def parts(self) -> list[tuple[Booleans, Surface]]:
        """Which trials each part has, and the surface of all others, with a kernel of its own."""
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
        """How well it predicts trials that it has not seen: the share of their variance, by cross-validation.

        1 is exactly, 0 or less is no better than their mean (the Q² of Marrel et al. 2008).
        """
        process = self.surface.process
        missed = sum(
            float(((surface.process.predict(process.points[part]).mean - process.values[part]) ** 2).sum())
            for part, surface in self.parts
        )
        return 1 - missed / float(((process.values - process.values.mean()) ** 2).sum())

    def expected_gain(self, trials: int, rng: np.random.Generator) -> float:
        """Return by how much more trials are expected to improve the best value, in its units.

        The trials are those with the highest expected improvement, each chosen as if those before had come out as
        expected (Ginsbourger et al. 2010, kriging believer); the gain is the mean over joint samples of their values.
        The model is that of the engine `gp`, which sees more of the differences between good points.
        """
        standard = standardise(self.values)
        with threadpool_limits(1):
            surface = Surface.fitted(self.surface.process.points, standard, self.encoding)
        order = np.argsort(self.values, kind="stable")
        low, middle = order[0], order[len(order) // 2]
        # Between the best value and the median the one is a straight line of the other.
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
        """Return what the model expects at rows, (m, d), in the units of the values; lower is better."""
        return self.surface.means(rows) * self.spread + self.centre

    def samples(self, rows: Floats, count: int, rng: np.random.Generator) -> Floats:
        """Return samples, (count, m), of the values of whole trials at rows, (m, d); lower is better."""
        return self.surface.samples(rows, count, rng) * self.spread + self.centre


def _some(values: Floats) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the indices of the trials that are seen, in an order at random, so that parts of them are alike."""
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
