"""Runs the batches of a study on this machine: each trial in a process of its own, some at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.failures import alike
from kfp_bayesopt.folder.jobs import Job
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record, Trials
from kfp_bayesopt.proposing.batches import advance, begin
from kfp_bayesopt.session import Session
from kfp_bayesopt.session.progress import Progress
from kfp_bayesopt.study.budget import batches
from kfp_bayesopt.trial.attempt import run_trial
from kfp_bayesopt.trial.interrupts import seconds_between_looks, stopped_with
from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError


def run_batches(opened: Session, code_folder: Path, workers: int, progress: Progress) -> None:
    """Evaluate and propose batches until the budget is spent or the study ends, and show the trials as they end.

    Raises:
        UserError: A file is damaged, trials fail alike, or storage refuses to read or to write.
    """
    with contextlib.suppress(StoppedError):  # of a job that has ended, which its report says
        _run(opened, code_folder, workers, progress)


def _run(opened: Session, code_folder: Path, workers: int, progress: Progress) -> None:
    folder, trials, job = opened.folder, opened.trials, opened.job
    stop = begin(folder, trials, job)
    ended = [record for record in trials.ended if not job.tries_again(record)]
    with (
        opened.results_meanwhile() as write_results,
        Sessions() as sessions,
        stopped_with(folder.root, job.job, sessions, seconds_between_looks(folder.root)),
    ):
        for batch in batches(folder.study):
            if stop is not None:
                break
            # Closed at once, or trials would go on after a line about one of them could not be shown.
            with contextlib.closing(
                _evaluate(folder, trials, batch, job, code_folder, workers, sessions, progress)
            ) as evaluated:
                for record, kept in evaluated:
                    progress.show(record, kept)
                    trials.add(record)
                    if not kept:
                        ended.append(record)
                        _check_not_alike(folder, ended)
            trials.check_ended(batch)
            write_results()
            stop = advance(folder, trials, batch[-1])
    if stop is not None:
        opened.stop(stop)


def _check_not_alike(folder: StudyFolder, ended: Sequence[Record]) -> None:
    if reason := alike(folder.study, folder.root, ended):
        raise UserError(reason)


def _evaluate(
    folder: StudyFolder,
    trials: Trials,
    batch: range,
    job: Job,
    code_folder: Path,
    workers: int,
    sessions: Sessions,
    progress: Progress,
) -> Generator[tuple[Record, bool]]:
    """Yield the records of a batch as they come, each with whether the folder had it already."""
    kept = {number: trials.records[number] for number in batch if number in trials.records}
    again = [number for number, record in kept.items() if job.tries_again(record)]
    for number in again:
        del kept[number]
    missing = sorted([*again, *(number for number in batch if number in trials.pending)])
    for known in kept.values():
        yield known, True
    environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // workers)), **os.environ}

    def evaluate_one(number: int) -> Record | None:
        progress.begin(number, (trials.pending.get(number) or trials.records[number]).parameters)
        return run_trial(folder, number, code_folder, sessions, job, environment)

    with ThreadPoolExecutor(workers) as pool:
        try:
            futures = [pool.submit(evaluate_one, number) for number in missing]
            for future in as_completed(futures):
                record = future.result()
                if record is None:
                    continue
                if not record.is_final:
                    trials.add(record)
                    trials.check_ended(range(record.trial, record.trial + 1))
                yield record, False
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            sessions.stop()
            raise
