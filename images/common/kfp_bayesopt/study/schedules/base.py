"""What every schedule has: the order of its tasks, what bounds them, and what is said of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import ClassVar, Protocol

from kfp_bayesopt.search.engines.base import EngineSettings
from kfp_bayesopt.study.budget import Timed


class Given(StrEnum):
    """What a task is given the number of: a trial, a worker, or the last trial of the batch that it comes after."""

    TRIAL = auto()
    WORKER = auto()
    AFTER = auto()


class Scheduled(Timed, Protocol):
    """As much of a study as its schedule asks for."""

    @property
    def optimizer(self) -> EngineSettings:
        """How trials are proposed."""
        ...


@dataclass(frozen=True)
class Stage:
    """Tasks that run side by side; what comes after them waits for all of them.

    Attributes:
        given: What each is given the number of.
        numbers: Those numbers, one for each task.
        at_once: How many run at the same time; None where there is one task, and no loop.
        iteration: The iteration that they belong to; None where there are none.
    """

    given: Given
    numbers: Sequence[int]
    at_once: int | None
    iteration: int | None = None


class Schedule:
    """How the trials of a study follow each other.

    Attributes:
        word: What the study file says.
        says: What it means, in a sentence of the documents.
        gives: What its tasks are given the numbers of; those that evaluate trials come first.
        claims_first: Whether a trial is claimed before it is proposed, by the worker that evaluates it. Else trials are
            proposed before, and each follows from all records before its batch.
        can_join: Whether several jobs may work on a study at the same time.
        quicker: The word of a schedule that takes less time; None where there is none.
        unbounded: What is said of a task that nothing bounds; None where it is one trial, and ends by itself.
        grows_with: The key of the study file with which its graph grows.
        smaller: The way out where that is too large.
    """

    word: ClassVar[str]
    says: ClassVar[str]
    gives: ClassVar[tuple[Given, ...]]
    claims_first: ClassVar[bool] = False
    can_join: ClassVar[bool] = False
    quicker: ClassVar[str | None] = None
    unbounded: ClassVar[str | None] = None
    grows_with: ClassVar[str]
    smaller: ClassVar[str]

    def mistakes(self, study: Scheduled) -> Iterator[str]:
        """Yield why a study cannot have this schedule."""
        yield from ()

    def shape(self, study: Scheduled) -> str:
        """Return the budget in words."""
        raise NotImplementedError

    def stages(self, study: Scheduled) -> Iterator[Stage]:
        """Yield what follows each other between the begin and the end of a study."""
        raise NotImplementedError

    def task_seconds(self, study: Scheduled) -> float | None:
        """Return how long a task that evaluates may take at most, or None where nothing bounds it."""
        raise NotImplementedError

    def settled(self, study: Scheduled, ended: Collection[int]) -> int:
        """Return the number of the last trial from which the end of a study may follow, before its budget is spent.

        Args:
            study: The study.
            ended: The numbers of the trials that have ended.
        """
        raise NotImplementedError

    def against_idling(self, kind: str, engine: str) -> str:
        """Return what helps machines that idle.

        Args:
            kind: For what they wait the most: `starting`, `proposing` or `waiting`.
            engine: The name of the engine.
        """
        raise NotImplementedError
