"""Everything that a search may know: the problem that a study poses, and the trials that engines learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from kfp_bayesopt.space.constraints import Constraint
from kfp_bayesopt.space.earlier import Earlier
from kfp_bayesopt.space.limits import Limit
from kfp_bayesopt.space.parameters import Parameter, Parameters


class Told(Protocol):
    """An ended trial, as a search learns it; a record is one."""

    @property
    def trial(self) -> int:
        """Its number."""

    @property
    def iteration(self) -> int | None:
        """Its batch, if it belongs to one."""

    @property
    def parameters(self) -> Parameters:
        """Its parameters."""

    @property
    def state(self) -> str:
        """`completed`, `failed` or `stopped`."""

    @property
    def values(self) -> Mapping[str, float]:
        """Its values, by name."""

    @property
    def learnt(self) -> str:
        """A text with all of these, as a key for caches."""


class Problem(Protocol):
    """A search space, the rules for its points, and the settings for proposing them; a study is one."""

    @property
    def space(self) -> Mapping[str, Parameter]:
        """The parameters by name."""

    @property
    def kept(self) -> Sequence[Constraint]:
        """The constraints that every point keeps."""

    @property
    def signs(self) -> Mapping[str, float]:
        """Objective names, sorted, mapped to 1 (minimize) or -1 (maximize)."""

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
        """The number of trials evaluated side by side."""

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
        """A text with all of these, as a key for caches."""
