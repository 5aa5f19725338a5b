"""The work of the step `report`: write the results of a study, and decide whether it has succeeded."""

from __future__ import annotations

import logging
from dataclasses import replace

from kfp_bayesopt.errors import UnavailableError, UserError
from kfp_bayesopt.exchange.exporters import export_all
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.publish import Verdict, judge, publish
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Trials
from kfp_bayesopt.proposing.early_end import Stop, early_end
from kfp_bayesopt.report.handing_on import handed_on
from kfp_bayesopt.report.notice import notify
from kfp_bayesopt.steps import REPORT
from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.vertex.sharing import NOTHING, Shared, share_model, share_trials

logger = logging.getLogger(REPORT.name)


def report(root: str, study_uri: str, job: str | None, shared: Shared = NOTHING, *, hands_on: bool = True) -> Outputs:
    """Write the results of a study and end its job, and return what it hands on.

    Args:
        root: The study folder.
        study_uri: The study file.
        job: The job; by hand there is none.
        shared: What is to be in other services too.
        hands_on: Whether somebody asks for what it hands on: the model of the best trial takes requests to find.

    Raises:
        UserError: The study has failed, or its model is not registered.
    """
    ended = jobs.end_of(root, job) if job else None
    reason, given = None, Outputs()
    found: tuple[StudyFolder, Trials, Best] | None = None
    try:
        study = Study.from_file(study_uri)
        folder = StudyFolder(root, study)
        trials = folder.read()
        verdict = write_results(folder, trials, job, ended)
        found = folder, trials, verdict.best
        logger.info("%s: %s", study.name, verdict.best)
        failure, reason = verdict.failure, verdict.best.ended
        if failure is None and hands_on:
            given = handed_on(folder, trials, verdict.best)
    except UnavailableError:
        raise
    except UserError as error:
        failure = ended.reason if ended and ended.state == "failed" else error.message
    if job is not None and ended is None:
        jobs.end(root, job, "failed" if failure else "succeeded", failure or reason, REPORT.name)
    if found is not None:
        share_trials(shared, found[0], found[1].ledger)
    if failure is not None:
        raise UserError(failure)
    if found is not None:
        share_model(shared, found[0], found[1].ledger, found[2])
    return given


def write_results(
    folder: StudyFolder, trials: Trials, job: str | None, ended: jobs.Ended | None, full: bool = False
) -> Verdict:
    """Write the results, the folds and the report of a study.

    Args:
        folder: The study folder.
        trials: Its trials.
        job: The job that reports; None without a job.
        ended: The end of the job, if a step has found one.
        full: The report shows hosts, paths and the last lines of failed trials too.

    Raises:
        UserError: The store refuses it.
    """
    found = judged(folder, trials, job, ended)
    best = publish(folder, trials.ledger, found.best.ended, found.best.recommended, found.failure)
    folder.fold(trials.ended)
    from kfp_bayesopt.report.write import write_report  # scipy takes long to import, and the results are safe before

    advice = write_report(folder, trials, Verdict(best, found.failure), job, full)
    export_all(folder, trials, best)
    if job is not None:  # who writes the results again by hand knows
        notify(folder, trials, best, found.failure)
    return Verdict(best, found.failure, advice)


def judged(folder: StudyFolder, trials: Trials, job: str | None = None, ended: jobs.Ended | None = None) -> Verdict:
    """Return the verdict on a study by its records, without writing anything.

    Args:
        folder: The study folder.
        trials: Its trials.
        job: The job that asks; None without a job.
        ended: The end of the job, if a step has found one.
    """
    study = folder.study
    recommended = None
    if study.noisy:
        from kfp_bayesopt.proposing.recommendation import recommend  # numpy and scipy take long to import

        recommended = recommend(study, trials.ended)
    early = failed = None
    if ended is None:
        stop = early_end(study, trials)
    else:
        stop = Stop(ended.reason, ended.state == "failed") if ended.reason else None
    if stop is not None:
        early, failed = (None, stop.reason) if stop.failed else (stop.reason, None)
    found = Best.of(study, trials.ledger)
    unfinished = 0 if early or failed else study.budget - found.done
    if unfinished and job is not None and (other := _works_on(folder, job)):
        if not jobs.has_begun(folder.root, job):
            failed = f"none of the workers of job {job} has begun; what they printed says why"
        early, unfinished = f"{found.done} of {study.budget} trials have ended; job {other} works on the others", 0
    verdict = judge(found, failed, unfinished)
    return replace(verdict, best=verdict.best.model_copy(update={"ended": early, "recommended": recommended}))


def _works_on(folder: StudyFolder, job: str) -> str | None:
    """Return another job of an asynchronous study that has not ended, if there is one."""
    if not SCHEDULES[folder.study.schedule].can_join:
        return None
    others = (each.job for each in jobs.list_jobs(folder.root) if each.job != job)
    return next((other for other in others if jobs.end_of(folder.root, other) is None), None)
