"""The interface of all schedules: the order of the tasks, their limits, and words for messages."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import ClassVar, Protocol

from kfp_bayesopt.search.engines.base import EngineSettings
from kfp_bayesopt.study.budget import Timed


class Given(StrEnum):
    """The kind of number that a task is given: of a trial, a worker, or the last trial of the batch before."""

    TRIAL = auto()
    WORKER = auto()
    AFTER = auto()


class Scheduled(Timed, Protocol):
    """The part of a study that its schedule uses."""

    @property
    def optimizer(self) -> EngineSettings:
        """The settings of the engine."""
        ...


@dataclass(frozen=True)
class Stage:
    """Tasks that run side by side; the next stage waits for all of them.

    Attributes:
        given: The kind of number of each task.
        numbers: Those numbers, one for each task.
        at_once: The number of tasks at the same time; None for a single task without a loop.
        iteration: Their iteration; None without one.
    """

    given: Given
    numbers: Sequence[int]
    at_once: int | None
    iteration: int | None = None


class Schedule:
    """The order of a study's trials.

    Attributes:
        word: Its name in the study file.
        says: Its meaning, in a sentence for the documents.
        gives: The kinds of numbers of its tasks; those that evaluate trials come first.
        claims_first: Whether a trial is claimed before it is proposed, by the worker that evaluates it. Else trials are
            proposed before, and each follows from all records before its batch.
        can_join: Whether several jobs may work on a study at the same time.
        quicker: The word of a schedule that takes less time; None if there is none.
        unbounded: The warning about an unbounded task; None if that is one trial, which ends by itself.
        grows_with: The key of the study file that its graph grows with.
        smaller: The way out if the graph is too large.
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
        """Yield the reasons a study cannot have this schedule."""
        yield from ()

    def shape(self, study: Scheduled) -> str:
        """Return the budget in words."""
        raise NotImplementedError

    def stages(self, study: Scheduled) -> Iterator[Stage]:
        """Yield the stages between the begin and the end of a study, in order."""
        raise NotImplementedError

    def task_seconds(self, study: Scheduled) -> float | None:
        """Return the longest duration of a task that evaluates trials, or None if unbounded."""
        raise NotImplementedError

    def settled(self, study: Scheduled, ended: Collection[int]) -> int:
        """Return the last trial that may decide an early end of the study.

        Args:
            study: The study.
            ended: The numbers of the trials that have ended.
        """
        raise NotImplementedError

    def against_idling(self, kind: str, engine: str) -> str:
        """Return the remedy for idle machines.

        Args:
            kind: The main cause: `starting`, `proposing` or `waiting`.
            engine: The name of the engine.
        """
        raise NotImplementedError
