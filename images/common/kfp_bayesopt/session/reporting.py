"""The results of a study, read from its folder, or made again from its records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kfp_bayesopt import hints
from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.lock import locked
from kfp_bayesopt.folder.publish import Verdict
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Rung, Trials
from kfp_bayesopt.report.report import judged, write_results
from kfp_bayesopt.session.opening import check_study
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.store import storage

if TYPE_CHECKING:
    from kfp_bayesopt.proposing.verify import Checked


def report_again(folder: StudyFolder, content: bytes | None = None, full: bool = False, to: Path | None = None) -> Best:
    """Write the results of a study as `verdict_again` does, and return the best trial.

    Raises:
        UserError: The folder holds another study, is damaged or in use, or the study has failed.
    """
    return verdict_again(folder, content, full, to).best_of_success()


def verdict_again(
    folder: StudyFolder, content: bytes | None = None, full: bool = False, to: Path | None = None
) -> Verdict:
    """Write the results of a study from its records, as its last job ended, and return the verdict.

    Args:
        folder: The study folder, here or in a bucket.
        content: The study file that it must match; None if it was read from the folder.
        full: The report shows hosts, paths and the last lines of failed trials too.
        to: A file for the page alone; then nothing is written into the folder.

    Raises:
        UserError: The folder holds another study, is damaged or in use.
    """
    if to is None:
        with locked(folder.root, elsewhere=f"{hints.PAGE_TO} writes the page elsewhere, and nothing there"):
            if content is not None:
                check_study(folder, content)
            return write_results(folder, folder.read(), None, _last_end(folder), full)
    from kfp_bayesopt.report.write import report_of  # scipy takes long to import

    if content is not None:
        check_study(folder, content)
    trials = folder.read()
    verdict = judged(folder, trials, ended=_last_end(folder))
    storage.replace(str(to), report_of(folder, trials, verdict.best, full=full))
    return verdict


def read_trials(folder: StudyFolder) -> Trials:
    """Read the trials of a study folder, at least one.

    Raises:
        UserError: It holds none, or is damaged.
    """
    trials = folder.read()
    if not trials.records and not trials.pending:
        raise UserError(f"{folder.root}: holds no trial yet; run the study first")
    return trials


def suggestions_again(folder: StudyFolder) -> Iterator[Checked]:
    """Yield the result of computing each suggestion of a study again, from the trials that it had seen.

    Raises:
        UserError: The folder holds no trial, or is damaged.
    """
    from kfp_bayesopt.proposing.verify import Checked, verify  # numpy and scipy take long to import

    found = read_trials(folder)
    suggested = folder.suggested()
    suggestions = folder.read_suggestions(suggested, found.records)
    for number in sorted(({*suggested} & found.records.keys()) - {each.trial for each in suggestions}):
        yield Checked(number, "differs", "its suggestion cannot be read")
    yield from verify(folder.searched, found.ledger, suggestions, folder.has_retries())


def decisions_again(folder: StudyFolder) -> Iterator[tuple[Rung, str | None]]:
    """Yield each decision to stop a trial early or not, and its mistake: it must follow from the values it had seen.

    Raises:
        UserError: One is damaged.
    """
    rungs = folder.read_rungs()
    values: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for rung in rungs:
        values[rung.step][rung.trial] = rung.value
    yield from ((rung, rung.mistake(folder.study, values[rung.step])) for rung in rungs)


def best_of(folder: StudyFolder) -> Best:
    """Return the best trial by the records and the study at hand.

    The file of the last run may be older than the records, as a kill leaves it, or of other limits and constraints.
    """
    try:
        found = read_document(Best, f"{folder.root}/best.json")
    except NotFoundError:
        found = None
    trials = read_trials(folder) if found is None else folder.read()
    # Parts beyond the records, such as a recommendation, take a while to compute.
    told = found and found.model_copy(update={"ended": None, "recommended": None})
    if found is not None and (not trials.records or told == Best.of(folder.study, trials.ledger)):
        return found
    return _best_by_records(folder, trials)


def chosen_trial(folder: StudyFolder, found: Best, trial: int | None) -> tuple[int, Parameters]:
    """Return number and parameters of the trial that a person wants: the best one, or any other that is named.

    Raises:
        UserError: There are several best ones and none is named, or the named one has not completed.
    """
    best = found.recommended or found
    if trial is None and best.trial is not None:
        return best.trial, best.parameters or {}
    if trial is None:
        which = ", ".join(str(each.trial) for each in found.front or [])
        raise UserError(f"{folder.root}: the front has several trials; choose one with {hints.ONE_TRIAL}: {which}")
    record = folder.read().records.get(trial)
    if record is None or record.state == "failed":
        raise UserError(f"{folder.root}: trial {trial} has not completed; `{hints.LOGS}` lists all trials")
    return trial, record.parameters


def _best_by_records(folder: StudyFolder, trials: Trials) -> Best:
    """Return the best trial of a study by its records, for a folder without results."""
    return judged(folder, trials, ended=_last_end(folder)).best


def _last_end(folder: StudyFolder) -> jobs.Ended | None:
    """Return the end of a study by its last job; None while it goes on, or if only the run was stopped."""
    last = jobs.last_job(folder.root)
    ended = jobs.end_of(folder.root, last) if last else None
    return ended if ended is not None and ended.is_of_study else None
