"""The schedules: a file for each, and their list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from kfp_bayesopt.study.schedules.asynchronous import Asynchronous
from kfp_bayesopt.study.schedules.base import Schedule
from kfp_bayesopt.study.schedules.batches import MOST_ITERATIONS, Batches

__all__ = ["MOST_ITERATIONS", "SCHEDULES", "Batches", "Schedule", "ScheduleWord"]

SCHEDULES: dict[str, Schedule] = {each.word: each for each in (Batches(), Asynchronous())}

if TYPE_CHECKING:
    ScheduleWord = str
else:
    ScheduleWord = Literal[tuple(SCHEDULES)]
"""The word of a schedule in a study file."""
