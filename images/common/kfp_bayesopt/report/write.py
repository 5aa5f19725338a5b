"""Gathers the contents of a report from a study folder, and writes the report there."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from kfp_bayesopt.errors import RetainedError, UnavailableError, UserError
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.jobs import Ended, Job
from kfp_bayesopt.folder.publish import Verdict
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Curve, Trials
from kfp_bayesopt.report.contents import Running, contents
from kfp_bayesopt.report.page import page
from kfp_bayesopt.steps import REPORT, REPORT_PAGE
from kfp_bayesopt.store import storage

MOST_CURVES = 100
"""The most trials shown with intermediate values: each takes one more file to read."""
SENTENCES = 3
"""The number of sentences that are printed; the others are in the report."""

logger = logging.getLogger(__name__)


def write_report(
    folder: StudyFolder, trials: Trials, verdict: Verdict, job: str | None = None, full: bool = False
) -> tuple[str, ...]:
    """Write the report of a study into its folder, and return its first pieces of advice.

    Args:
        folder: The study folder.
        trials: Its trials.
        verdict: Whether the study has succeeded.
        job: The job that this report ends.
        full: Show hosts, paths and the last lines of failed trials too.
    """
    ending = {}
    if job is not None:
        state: Literal["succeeded", "failed"] = "failed" if verdict.failure else "succeeded"
        ending[job] = Ended(state=state, reason=verdict.failure, step=REPORT.name, at=jobs.now())
    shown = contents_of(folder, trials, verdict.best, ending, full=full)
    try:
        storage.replace(f"{folder.root}/{REPORT_PAGE}", page(shown))
    except RetainedError as error:  # it can be made again from the records
        logger.warning("%s", error.message)
    return tuple(each["text"] for each in shown["advice"][:SENTENCES])


def report_of(
    folder: StudyFolder, trials: Trials, best: Best, ending: Mapping[str, Ended] | None = None, full: bool = False
) -> bytes:
    """Return the report of a study.

    Args:
        folder: The study folder.
        trials: Its trials.
        best: The best trial.
        ending: The ends of jobs that have not written theirs yet, by their ids.
        full: Show hosts, paths and the last lines of failed trials too.
    """
    return page(contents_of(folder, trials, best, ending, full=full))


def contents_of(
    folder: StudyFolder,
    trials: Trials,
    best: Best,
    ending: Mapping[str, Ended] | None = None,
    running: Sequence[Running] = (),
    full: bool = False,
) -> dict[str, Any]:
    """Return the data behind the report of a study, with the trials that are running."""
    listed, ends = _jobs(folder)
    ends = dict(ending or {}) | ends
    return contents(folder.study, trials.ledger, best, listed, ends, running, full, _curves(folder, trials, best))


def _curves(folder: StudyFolder, trials: Trials, best: Best) -> list[Curve]:
    """Return the intermediate values of the best trial and of the last ones, as far as they can be read."""
    known = [record for record in trials.ledger if record.steps is not None]
    shown = [record for record in known if record.trial == best.trial or record in known[-MOST_CURVES:]]
    found = [_read_curve(folder, record.trial, record.evaluated) for record in shown]
    return [curve for curve in found if curve is not None]


@functools.lru_cache(maxsize=2 * MOST_CURVES)
def _read_curve(folder: StudyFolder, trial: int, attempt: int) -> Curve | None:
    """Read a curve, which never changes: a live page asks for it again and again."""
    return folder.read_curve(trial, attempt)


def _jobs(folder: StudyFolder) -> tuple[list[Job], dict[str, Ended]]:
    """Return the jobs of a study and their ends; none if one cannot be read, because the trials matter more."""
    try:
        listed = jobs.list_jobs(folder.root)
        return listed, {job.job: ended for job in listed if (ended := jobs.end_of(folder.root, job.job))}
    except UnavailableError:
        raise
    except UserError as error:
        logger.warning("the report names no jobs: %s", error.message)
        return [], {}
