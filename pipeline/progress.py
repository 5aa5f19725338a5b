"""Shows a run as it goes: a line for each trial, and on a terminal a bar with the time left."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tqdm import tqdm

from bayesopt.space import Scalar
from bayesopt.study import Study
from bayesopt.trials import Best, Record

# The whole error is in the ledger.
LONGEST_FAILURE = 200


class Progress:
    """Counts the records of a study and prints each of them once."""

    def __init__(self, study: Study, folder: Path, jobs: int) -> None:
        self._study = study
        self._folder = folder
        self._records: list[Record] = []
        self._kept = 0
        print(
            f"{study.name}: {study.direction} {study.objective}, {study.iterations} iterations of "
            f"{study.parallel_trials} trials, {jobs} at a time; results in {folder}",
            flush=True,
        )
        self._bar = tqdm(
            total=study.trials,
            unit="trial",
            leave=False,
            disable=not sys.stderr.isatty(),
            bar_format="{bar:30} {n_fmt}/{total_fmt} trials, {elapsed} gone, {remaining} left",
        )

    @property
    def best(self) -> Best:
        """The best of the trials shown."""
        return Best.of(self._study, self._records)

    def show(self, record: Record, kept: bool) -> None:
        """Print a line about a trial that has ended, in this run or, where it was kept, in an earlier one."""
        self._records.append(record)
        self._kept += kept
        study, best = self._study, self.best
        parameters = " ".join(f"{name}={brief(value)}" for name, value in (record.parameters or {}).items())
        failure = (record.error or "").partition("\n")[0][:LONGEST_FAILURE]
        result = f"value {brief(record.value)}" if record.state == "completed" else f"failed: {failure}"
        tqdm.write(
            f"iteration {_of(record.iteration, study.iterations)}  trial {_of(record.trial or 0, study.trials)}  "
            f"{parameters}  {result}  best {brief(best.value)}",
            file=sys.stdout,
        )
        sys.stdout.flush()
        self._bar.update()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        if self._kept:
            print(f"{self._kept} of these trials were in {self._folder} already; --fresh (make: FRESH=1) starts over")
        if isinstance(error, KeyboardInterrupt | SystemExit):
            print(f"stopped after {len(self._records)} trials; the same command goes on from here", file=sys.stderr)


def _of(number: int, budget: int) -> str:
    """Return a number and how many there are; of one that was evaluated when the budget was larger only the number."""
    width = len(str(budget))
    return f"{number:>{width}}/{budget}" if number <= budget else f"{number:>{width}}"


def brief(value: Scalar) -> str:
    """Return a value in a few characters; all digits are in the files."""
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
