"""The chain of steps of a study, as programs with arguments.

batches:       init -> batch 1: P x evaluate -> update -> batch 2: P x evaluate -> update -> ... -> report
asynchronous:  init -> P x worker -> report
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chain:
    """Where a study is and where it lives.

    Attributes:
        study: Path or gs:// URI of the study file.
        root: The study folder.
        job: The job that the steps belong to; by hand there is none.
    """

    study: str
    root: str
    job: str | None = None

    @property
    def _common(self) -> list[str]:
        return ["--root", self.root, "--study", self.study, *(["--job", self.job] if self.job else [])]

    def init(self) -> list[str]:
        """Return the arguments of `init`."""
        return self._common

    def evaluate(self, trial: int) -> list[str]:
        """Return the arguments of `evaluate` for a trial."""
        return [*self._common, "--trial", str(trial)]

    def update(self, batch: range) -> list[str]:
        """Return the arguments of `update` after a batch."""
        return [*self._common, "--after", str(batch[-1])]

    def worker(self, number: int) -> list[str]:
        """Return the arguments of `worker` for one of them, from 1."""
        return [*self._common, "--worker", str(number)]

    def report(self) -> list[str]:
        """Return the arguments of `report`."""
        return self._common
