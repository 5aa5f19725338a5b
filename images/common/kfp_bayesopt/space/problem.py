"""What a search may know: of a study all that engines are asked, and of a trial what they learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from kfp_bayesopt.space.constraints import Constraint
from kfp_bayesopt.space.earlier import Earlier
from kfp_bayesopt.space.limits import Limit
from kfp_bayesopt.space.parameters import Parameter, Parameters


class Told(Protocol):
    """A trial that has ended, as a search learns it; a record is one."""

    @property
    def trial(self) -> int:
        """Its number."""

    @property
    def iteration(self) -> int | None:
        """Its batch, if it belongs to one."""

    @property
    def parameters(self) -> Parameters:
        """What was tried."""

    @property
    def state(self) -> str:
        """`completed`, `failed` or `stopped`."""

    @property
    def values(self) -> Mapping[str, float]:
        """What came of it, by name."""

    @property
    def learnt(self) -> str:
        """All of these in a text, by which caches tell trials apart."""


class Problem(Protocol):
    """A search space, what is asked of its points, and how they are proposed; a study is one."""

    @property
    def space(self) -> Mapping[str, Parameter]:
        """The parameters by name."""

    @property
    def kept(self) -> Sequence[Constraint]:
        """The constraints that every point keeps."""

    @property
    def signs(self) -> Mapping[str, float]:
        """The objectives by name, sorted: 1 where lower is better, else -1."""

    @property
    def bounds(self) -> Sequence[Limit]:
        """The limits that metrics keep."""

    @property
    def reference(self) -> Mapping[str, float]:
        """Of several objectives: the worst values that count."""

    @property
    def noisy(self) -> bool:
        """Whether equal points give different values."""

    @property
    def parallel_trials(self) -> int:
        """How many trials are evaluated side by side."""

    @property
    def first_points(self) -> Sequence[Parameters]:
        """Points, or parts of them, that are tried first, one a trial."""

    @property
    def earlier(self) -> Sequence[Earlier]:
        """Trials of other studies."""

    @property
    def optimizer(self) -> Any:
        """The settings of the engine, one of `kfp_bayesopt.search.engines`."""

    @property
    def said(self) -> str:
        """All of these in a text, by which caches tell problems apart."""
