"""The work of the step `init`: check a study and its folder, and propose the first batch of trials."""

from __future__ import annotations

import logging

from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.data import check_data, read_data
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.steps import INIT
from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt.store.probe import trust
from kfp_bayesopt.study.budget import batch_after
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.study.study_file import read_study

logger = logging.getLogger(INIT.name)


def init(root: str, study_uri: str, job: str | None, data: str = "") -> Outputs:
    """Check a study, its folder and the store of that, and propose the first batch of trials, which is returned.

    Args:
        root: The study folder.
        study_uri: The study file.
        job: The job; by hand there is none.
        data: What its objective is given, where this step opens the job.

    Raises:
        UserError: By hand, a mistake; in a job, only what a retry may mend.
    """
    if jobs.has_ended(root, job, INIT.name):
        return Outputs()
    with jobs.mistakes_end(root, job, INIT.name):
        content = read_study(study_uri)
        study = Study.from_text(content, study_uri)
        folder = StudyFolder(root, study)
        given = read_data(data)
        trials = folder.read()  # before anything is written: it may be the folder of another study
        trust(root)
        written = folder.write_study(content)
        known = jobs.ensure_job(folder, job, written, given) if job else None
        check_data(study, known.data if known else given)

        from kfp_bayesopt.proposing.batches import begin  # after the input was found good: it takes a second to import

        stop = begin(folder, trials, known)
        first = [number for number in batch_after(study, 0) if number in trials.pending]
        logger.info("%s: %d trials known, %d to evaluate first", study.name, len(trials.records), len(first))
        if stop is not None:
            jobs.stop(folder.root, job, stop.reason, failed=stop.failed, step=INIT.name)
        return Outputs.of_batch(root, [trials.pending[number] for number in first])
    return Outputs()
