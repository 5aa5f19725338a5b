"""The work of the step `update`: learn the trials of a batch and propose the next one."""

from __future__ import annotations

import logging

from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.publish import publish
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.steps import UPDATE
from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt.study.budget import batch_after
from kfp_bayesopt.study.study import Study

logger = logging.getLogger(UPDATE.name)


def update(root: str, study_uri: str, job: str | None, after: int) -> Outputs:
    """Learn from the trials of a batch and propose the next one, and return what is to be shown.

    Args:
        root: The study folder.
        study_uri: The study file.
        job: The job; by hand there is none.
        after: Number of the last trial of the batch.

    Raises:
        UserError: By hand, a mistake; in a job, only what a retry may mend.
    """
    if jobs.has_ended(root, job, UPDATE.name):
        return Outputs.of_results(UPDATE, root)
    with jobs.mistakes_end(root, job, UPDATE.name):
        study = Study.from_file(study_uri)
        folder = StudyFolder(root, study)
        trials = folder.read()
        # Paid results are shown before anything is computed.
        best = publish(folder, trials.ledger)
        trials.check_ended(range(1, after + 1))

        from kfp_bayesopt.proposing.batches import advance  # only now: it takes a second to import

        following = batch_after(study, after)
        stop = advance(folder, trials, after)
        proposed = sum(number in trials.pending for number in following)
        logger.info("%s: trials 1 to %d done; %s; %d to evaluate", study.name, after, best, proposed)
        if stop is not None:
            jobs.stop(folder.root, job, stop.reason, failed=stop.failed, step=UPDATE.name)
        batch = [trials.pending[number] for number in following if number in trials.pending]
        return Outputs.of_results(UPDATE, root, best) | Outputs.of_batch(root, batch)
    return Outputs.of_results(UPDATE, root)
