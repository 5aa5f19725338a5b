"""The engine `skopt`: scikit-optimize's Optimizer, asked and told in batches."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import numpy as np
import skopt
from pydantic import Field
from skopt.space import Categorical as SkoptCategorical
from skopt.space import Integer as SkoptInteger
from skopt.space import Real as SkoptReal
from threadpoolctl import threadpool_limits

from kfp_bayesopt.space.goals import loss
from kfp_bayesopt.space.parameters import Parameter, Parameters, Value
from kfp_bayesopt.space.problem import Problem, Told
from kfp_bayesopt.strict import StrictModel

# The model standardises values, and the square of a larger one overflows.
LARGEST_VALUE = 1e150


class Hedge(StrictModel):
    """The knowledge of `gp_hedge` about its three acquisition functions (Hoffman et al. 2011).

    Attributes:
        gains: The quality of the earlier candidates of each.
        candidates: The proposals of each at the last fit, (3, columns of the optimiser's own space).
    """

    gains: list[float] = Field(min_length=3, max_length=3)
    candidates: list[list[float]] = Field(min_length=3, max_length=3)


class SkoptState(StrictModel):
    """The state of an engine that does not follow from the ledger, as data: a few numbers, however long the ledger.

    Attributes:
        key: The words of the random number generator, a Mersenne Twister.
        position: The number of words used.
        hedge: None before the first fit, and with other acquisition functions than `gp_hedge`.
    """

    key: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(min_length=624, max_length=624)
    position: int = Field(ge=0, le=624)
    hedge: Hedge | None


class SkoptEngine:
    """Asks scikit-optimize for batches by its constant liar (Ginsbourger et al. 2010), strategy `cl_min`."""

    def __init__(self, study: Problem) -> None:
        self._names = list(study.space)
        # In sorted order: the order in the file is not part of the study's fingerprint.
        self._constants = {name: each.value_at(0) for name, each in study.space.items() if not each.is_searched}
        self._space = {name: each for name, each in sorted(study.space.items()) if name not in self._constants}
        self._study = study
        self._failed: list[list[Any]] = []  # points that failed before any trial had a value
        settings = study.optimizer.model_dump(exclude={"engine"})
        with _reproducible():
            self._optimizer = skopt.Optimizer(
                [_dimension(parameter) for parameter in self._space.values()], model_queue_size=1, **settings
            )
        self._design: list[list[Any]] = self._optimizer._initial_samples or []

    def suggest(self, count: int, pending: Sequence[Parameters] = ()) -> list[Parameters]:
        """Propose the next `count` trials; it cannot learn of running trials (`SkoptSettings.no_pending`)."""
        assert not pending
        if self._design:
            # The optimiser counts only told values; it would propose a point again that failed before the first of
            # them.
            failed = len(self._failed) % len(self._design)
            self._optimizer._initial_samples = self._design[failed:] + self._design[:failed]
        before = self._optimizer.rng.get_state()
        with _reproducible():
            points = self._optimizer.ask(n_points=count)
        # Suggestions leave no trace, so that the state follows from the ledger alone.
        self._optimizer.rng.set_state(before)
        self._optimizer.cache_ = {}
        return [self._parameters(point) for point in points]

    def learn(self, records: Sequence[Told]) -> None:
        """Tell the values of a batch; a failed trial counts as bad as the worst completed one."""
        if not records:
            return
        # The number that `ask` drew for the batch: it seeds the copy of the optimiser that gets the lies.
        self._optimizer.rng.randint(0, np.iinfo(np.int32).max)
        self._tell(records, fit=True)
        # `ask` fits its own models, so the last one need not be kept.
        self._optimizer.models = []

    def state(self) -> bytes:
        """Return the state that `restore` needs beside the ledger."""
        _, key, position, *_ = self._optimizer.rng.get_state()
        hedge = None
        if self._hedges():
            candidates = [[float(column) for column in row] for row in self._optimizer.next_xs_]
            hedge = Hedge(gains=self._optimizer.gains_.tolist(), candidates=candidates)
        return SkoptState(key=key.tolist(), position=position, hedge=hedge).model_dump_json().encode()

    def restore(self, state: bytes, batches: Iterable[Sequence[Told]]) -> None:
        """Restore the state after some batches in a new engine, without fitting a model.

        Args:
            state: The result of `state` at that time. It is not trusted.
            batches: The records of a ledger.

        Raises:
            ValueError: It is not a valid state. The engine must not be used then.
        """
        saved = SkoptState.model_validate_json(state)
        for batch in batches:
            self._tell(batch, fit=False)
        self._optimizer.rng.set_state(("MT19937", saved.key, saved.position))
        if (saved.hedge is not None) != self._hedges():
            raise ValueError(f"hedge: must {'' if self._hedges() else 'not '}be given for this ledger")
        if saved.hedge is not None:
            candidates = np.array(saved.hedge.candidates)
            low, high = np.array(self._optimizer.space.transformed_bounds, dtype=float).T
            if candidates.shape[1:] != low.shape or ((candidates < low) | (candidates > high)).any():
                raise ValueError("hedge.candidates: must lie in the space")
            self._optimizer.gains_ = np.array(saved.hedge.gains)
            self._optimizer.next_xs_ = list(candidates)

    def _hedges(self) -> bool:
        """Tell whether a fitted model has candidates for the next fit to judge."""
        return bool(self._optimizer.acq_func == "gp_hedge" and self._optimizer._n_initial_points <= 0)

    def _tell(self, records: Sequence[Told], *, fit: bool) -> None:
        # The optimiser must not see NaN or infinity: it would keep the point and be useless from then on.
        points: list[list[Any]] = []
        values: list[float] = []
        for record in records:
            point = self._point(record.parameters or {})
            value = loss(self._study, record)
            if value is None:
                self._failed.append(point)
            else:
                points.append(point)
                values.append(min(max(value, -LARGEST_VALUE), LARGEST_VALUE))
        if known := [*self._optimizer.yi, *values]:
            points += self._failed
            values += [max(known)] * len(self._failed)
            self._failed = []
        if values:
            with _reproducible():
                self._optimizer.tell(points, values, fit=fit)

    def _parameters(self, point: list[Any]) -> Parameters:
        coordinates = dict(zip(self._space, point, strict=True))
        values = {name: _to_value(each, coordinates[name]) for name, each in self._space.items()} | self._constants
        return {name: values[name] for name in self._names}

    def _point(self, parameters: Parameters) -> list[Any]:
        return [_to_coordinate(parameter, parameters[name]) for name, parameter in self._space.items()]


@contextlib.contextmanager
def _reproducible() -> Iterator[None]:
    # One thread: on another number of cores the order of sums, and so the suggestions, would differ.
    with threadpool_limits(1), warnings.catch_warnings():
        # A fit that stops at a bound, or a point proposed twice: nothing that a user could mend.
        warnings.simplefilter("ignore")
        yield


def _dimension(parameter: Parameter) -> SkoptReal | SkoptInteger | SkoptCategorical:
    levels, axis = parameter.levels, parameter.axis
    if levels is not None and (axis is None or levels == 1):
        # By index: numpy would turn a list of strings and numbers into strings.
        return SkoptCategorical(range(levels))
    assert axis is not None
    prior = "log-uniform" if axis.log else "uniform"
    if not _is_native(parameter):
        return SkoptReal(0.0, 1.0)
    if levels is None:
        return SkoptReal(axis.low, axis.high, prior=prior)
    return SkoptInteger(int(axis.first), int(axis.first) + levels - 1, prior=prior)


def _is_native(parameter: Parameter) -> bool:
    """Tell whether scikit-optimize supports the scale of a parameter; otherwise it sees positions from 0 to 1."""
    axis = parameter.axis
    return axis is None or (axis.kind in ("linear", "log") and (parameter.levels is None or axis.counts))


def _to_value(parameter: Parameter, coordinate: Any) -> Value:
    axis = parameter.axis
    if axis is not None and not _is_native(parameter):
        if parameter.levels is not None:
            return parameter.value_at(axis.nearest(float(coordinate), parameter.levels))
        coordinate = axis.value(float(coordinate))
    elif parameter.levels is not None:
        return parameter.value_at(int(coordinate) - (int(axis.first) if axis else 0))
    assert axis is not None
    # The inverse of the logarithm may be out of bounds by a rounding error.
    return min(max(float(coordinate), axis.low), axis.high)


def _to_coordinate(parameter: Parameter, value: Value) -> float | int:
    axis = parameter.axis
    if axis is not None and not _is_native(parameter):
        if parameter.levels is not None:
            return axis.position(axis.first + parameter.index_of(value) * axis.step)
        assert isinstance(value, int | float)
        return axis.position(float(value))
    if parameter.levels is not None:
        return parameter.index_of(value) + (int(axis.first) if axis else 0)
    assert isinstance(value, int | float)
    return float(value)
