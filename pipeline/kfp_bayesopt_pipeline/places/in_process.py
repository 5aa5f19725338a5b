"""Runs a study on this machine: the same steps on its folder, each trial in a process of its own.

What the folder has is kept, so that a run that was stopped, here or elsewhere, goes on where it was.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from kfp_bayesopt import session
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.failures import alike
from kfp_bayesopt.folder.jobs import Job
from kfp_bayesopt.folder.publish import Verdict, show_meanwhile
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.roots import local_root
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record, Trials
from kfp_bayesopt.proposing.batches import advance, begin
from kfp_bayesopt.proposing.early_end import Stop
from kfp_bayesopt.report.report import judged, write_results
from kfp_bayesopt.session import Session
from kfp_bayesopt.session.code import code_of_files
from kfp_bayesopt.session.lock import locked
from kfp_bayesopt.session.opening import GoingOn, check_study
from kfp_bayesopt.session.progress import Progress
from kfp_bayesopt.session.view import View
from kfp_bayesopt.steps import REPORT_PAGE, WORKER, trial_step
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.budget import batches
from kfp_bayesopt.study.study_file import parse_study, read_study
from kfp_bayesopt.trial.attempt import run_trial
from kfp_bayesopt.trial.process.sessions import Sessions
from kfp_bayesopt_pipeline.places.workers import work

PLACE = "in-process"
# The results are derived, and written for whoever looks meanwhile.
SECONDS_BETWEEN_RESULTS = 5.0


@dataclass(frozen=True, kw_only=True)
class Options(GoingOn):
    """How a study goes on here.

    Attributes:
        watch: Serve the report meanwhile.
    """

    watch: bool = False


def run(study_path: str, root: str | None, workers: int | None, options: Options, view: View | None = None) -> Best:
    """Run a study to its end, show it, and return the best trial.

    Args:
        study_path: The study file.
        root: The study folder, here or in a bucket; `out/<study name>` by default.
        workers: How many trials run at the same time; by default one for each core, and no more than
            `parallel_trials`.
        options: How it goes on.
        view: How it is shown; by default not at all.

    Raises:
        UserError: The study has a mistake, its objective cannot be called, the folder holds
            another study or is in use, or the study has failed.
    """
    content = read_study(study_path)
    study = parse_study(content, study_path)
    folder = StudyFolder(root or local_root(study), study)
    code_folder = Path(study_path).resolve().parent
    workers = workers or min(study.parallel_trials, os.cpu_count() or 1)
    code = code_of_files(code_folder, study.objective.command or [])
    with (
        session.open(folder, content, PLACE, code=code, going_on=options, beside=code_folder) as opened,
        opened.shown(view, workers) as progress,
        _watched(folder, options, progress),
    ):
        if opened.note:
            progress.note(opened.note)
        with opened.mistakes_end_it():
            evaluate(opened, code_folder, workers, progress)
        verdict = opened.report()
        progress.finish(verdict, f"{folder.root}/{REPORT_PAGE}")
    return _best_of(verdict)


def evaluate(opened: Session, code_folder: Path, workers: int, progress: Progress) -> None:
    """Evaluate the trials of an open study, as it proposes them."""
    folder, trials, job = opened.folder, opened.trials, opened.job
    begun = begin(folder, trials, job)
    if trial_step(folder.study.schedule) is WORKER:
        work(folder, trials, job, code_folder, workers, progress)
    else:
        _search(folder, trials, job, code_folder, workers, progress, begun)


@contextlib.contextmanager
def _watched(folder: StudyFolder, options: Options, progress: Progress) -> Iterator[None]:
    """Serve the report meanwhile, where that is asked for."""
    if not options.watch:
        yield
        return
    from kfp_bayesopt.session.watching import watching

    with watching(folder) as server:
        progress.note(f"watch it at {server.url}")
        yield


def report_again(folder: StudyFolder, content: bytes | None = None, full: bool = False, to: Path | None = None) -> Best:
    """Write the results of a study from its records, as its last job ended, and return the best trial.

    Args:
        folder: The study folder, here or in a bucket.
        content: The study file that it must be of; None where it was read from the folder.
        full: The report shows hosts, paths and the last lines of failed trials too.
        to: A file for the page alone; then nothing is written into the folder.

    Raises:
        UserError: The folder holds another study, is damaged or in use, or the study has failed.
    """
    if to is None:
        with locked(folder.root, elsewhere="TO=FILE (--to FILE) writes the page elsewhere, and nothing there"):
            if content is not None:
                check_study(folder, content)
            return _best_of(write_results(folder, None, _last_end(folder), full))
    from kfp_bayesopt.report.write import report_of  # scipy takes long to import

    if content is not None:
        check_study(folder, content)
    trials = folder.read()
    verdict = judged(folder, trials, ended=_last_end(folder))
    storage.replace(str(to), report_of(folder, trials, verdict.best, full=full))
    return _best_of(verdict)


def best_by_records(folder: StudyFolder, trials: Trials) -> Best:
    """Return the best trial of a study by its records, for a folder without results."""
    return judged(folder, trials, ended=_last_end(folder)).best


def _last_end(folder: StudyFolder) -> jobs.Ended | None:
    """Return how a study ended in its last job; None while it goes on, and where only the run was stopped."""
    last = jobs.last_job(folder.root)
    ended = jobs.end_of(folder.root, last) if last else None
    return ended if ended is not None and ended.is_of_study else None


def _best_of(verdict: Verdict) -> Best:
    if verdict.failure is not None:
        raise UserError(verdict.failure)
    return verdict.best


def _search(
    folder: StudyFolder,
    trials: Trials,
    job: Job,
    code_folder: Path,
    workers: int,
    progress: Progress,
    stop: Stop | None,
) -> None:
    """Evaluate and propose batches until the budget is spent or the study ends, which it may have at the begin."""
    ended = [record for record in trials.ended if not job.tries_again(record)]
    shown = time.monotonic()
    try:
        with Sessions() as sessions:
            for batch in batches(folder.study):
                if stop is not None:
                    break
                # Closed at once, or trials would go on where a line about one of them cannot be shown.
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
                if time.monotonic() - shown > SECONDS_BETWEEN_RESULTS:
                    show_meanwhile(folder, trials.ledger)
                    shown = time.monotonic()
                stop = advance(folder, trials, batch[-1])
    except BaseException:
        show_meanwhile(folder, trials.ledger)
        raise
    if stop is not None:
        jobs.stop(folder.root, job.job, stop.reason, failed=stop.failed, step=PLACE)


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
    """Yield the records of a batch as they come, and whether the folder held them already."""
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
