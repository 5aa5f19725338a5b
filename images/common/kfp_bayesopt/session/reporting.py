"""The results of a study, made again from its records."""

from __future__ import annotations

from pathlib import Path

from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Trials
from kfp_bayesopt.report.report import judged, write_results
from kfp_bayesopt.session.lock import locked
from kfp_bayesopt.session.opening import check_study
from kfp_bayesopt.store import storage


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
            return write_results(folder, None, _last_end(folder), full).best_of_success()
    from kfp_bayesopt.report.write import report_of  # scipy takes long to import

    if content is not None:
        check_study(folder, content)
    trials = folder.read()
    verdict = judged(folder, trials, ended=_last_end(folder))
    storage.replace(str(to), report_of(folder, trials, verdict.best, full=full))
    return verdict.best_of_success()


def best_by_records(folder: StudyFolder, trials: Trials) -> Best:
    """Return the best trial of a study by its records, for a folder without results."""
    return judged(folder, trials, ended=_last_end(folder)).best


def _last_end(folder: StudyFolder) -> jobs.Ended | None:
    """Return how a study ended in its last job; None while it goes on, and where only the run was stopped."""
    last = jobs.last_job(folder.root)
    ended = jobs.end_of(folder.root, last) if last else None
    return ended if ended is not None and ended.is_of_study else None
