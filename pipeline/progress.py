"""Shows a run as it goes: a line for each trial, and on a terminal a bar with the time left."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from tqdm import tqdm

from bayesopt.budget import batches, shape
from bayesopt.failures import details, grouped
from bayesopt.results import Failure, failures_of
from bayesopt.space import Scalar
from bayesopt.study import Study
from bayesopt.trials import Record

# The whole reason is in the ledger.
LONGEST_FAILURE = 200


class Progress:
    """Counts the records of a study and prints each of them once."""

    def __init__(self, study: Study, root: str, workers: int) -> None:
        self._study = study
        self._root = root
        self._shown = 0
        self._kept = 0
        self._best: float | None = None
        self._reasons: dict[str, int] = {}
        self._failures: list[Failure] = []
        self._iterations = len(batches(study))
        print(
            f"{study.name}: {study.direction} {study.objective}, {shape(study)}, {workers} at a time; "
            f"results in {root}",
            flush=True,
        )
        self._bar = tqdm(
            total=study.budget,
            unit="trial",
            leave=False,
            disable=not sys.stderr.isatty(),
            bar_format="{bar:30} {n_fmt}/{total_fmt} trials, {elapsed} gone, {remaining} left",
        )

    def show(self, record: Record, kept: bool) -> None:
        """Print a line about a trial that has ended, in this run or, where it was kept, in an earlier one."""
        self._shown += 1
        self._kept += kept
        study = self._study
        if record.value is not None and (self._best is None or study.is_better(record.value, self._best)):
            self._best = record.value
        parameters = " ".join(f"{name}={brief(value)}" for name, value in record.parameters.items())
        failure = record.reason.message.partition("\n")[0][:LONGEST_FAILURE] if record.reason else ""
        result = f"failed: {failure}" if record.reason else f"value {brief(record.value)}"
        iteration = f"iteration {_of(record.iteration, self._iterations)}  " if record.iteration is not None else ""
        tqdm.write(
            f"{iteration}trial {_of(record.trial, study.budget)}  {parameters}  {result}  best {brief(self._best)}",
            file=sys.stdout,
        )
        if record.reason is not None and not kept:
            self._show_failure(record, record.reason.message)
        sys.stdout.flush()
        self._bar.update()

    def _show_failure(self, record: Record, message: str) -> None:
        """Print the last lines of a failed trial; those of a reason that was there before are in the log alone."""
        self._failures += failures_of([record])
        before = self._reasons.setdefault(message, record.trial)
        lines = details(self._root, record) if before == record.trial else [f"    as trial {before}"]
        for line in lines:
            tqdm.write(line, file=sys.stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        for line in grouped(self._root, self._failures):
            print(line)
        if self._kept:
            print(f"{self._kept} of these trials were in {self._root} already; --fresh (make: FRESH=1) starts over")
        if isinstance(error, KeyboardInterrupt | SystemExit):
            print(f"stopped after {self._shown} trials; the same command goes on from here", file=sys.stderr)


def _of(number: int, budget: int) -> str:
    """Return a number and how many there are; of one that was evaluated when the budget was larger only the number."""
    width = len(str(budget))
    return f"{number:>{width}}/{budget}" if number <= budget else f"{number:>{width}}"


def brief(value: Scalar) -> str:
    """Return a value in a few characters; all digits are in the files."""
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
