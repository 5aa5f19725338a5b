"""The interface of all rules of early stopping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Steps:
    """The steps of a study, and its setting of how many trials go on.

    Attributes:
        first: The first step at which trials are compared.
        last: The last step of a whole trial.
        eta: One trial of this number goes on, for rules that have it.
    """

    first: int
    last: int
    eta: int


class Rule:
    """Which trials are stopped before their end.

    Attributes:
        word: The word in a study file.
        says: Which trials are stopped, in words of the documents.
        has_eta: Whether `eta` means something to it.
    """

    word: ClassVar[str]
    says: ClassVar[str]
    has_eta: ClassVar[bool] = False

    def rungs(self, steps: Steps) -> list[int]:
        """Return the steps at which trials are compared, in order; all lie before the last one."""
        raise NotImplementedError

    def bracket(self, trial: int, rungs: int) -> int:
        """Return the number of first rungs at which a trial is not compared.

        Args:
            trial: The number of the trial.
            rungs: The number of rungs.
        """
        return 0

    def stops(self, own: float, others: Sequence[float], steps: Steps) -> bool:
        """Tell whether a trial is stopped.

        Args:
            own: Its value at the rung; lower is better.
            others: The values of the trials that it is compared with there, sorted.
            steps: The steps of the study.
        """
        raise NotImplementedError
