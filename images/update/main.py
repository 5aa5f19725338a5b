"""The step `update`: learns the trials of a batch and proposes the next one."""

import logging

import click

from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.publish import publish
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.steps.options import with_folder
from kfp_bayesopt.study.budget import batch_after
from kfp_bayesopt.study.study_file import load_study

logger = logging.getLogger("update")


@click.command()
@with_folder
@click.option("--after", required=True, type=click.IntRange(min=1), help="Number of the last trial of the batch.")
def main(root: str, study_uri: str, job: str | None, after: int) -> None:
    """Learn from the trials of a batch and propose the next one.

    What the folder has already stays. Every path is a gs:// URI or a local path.

    \b
    Example:
      /opt/bayesopt/bin/update --root out/branin --study studies/branin.yaml --after 4
    """  # noqa: D301 - click wants the character \b
    if jobs.has_ended(root, job, "update"):
        return
    with jobs.mistakes_end(root, job, "update"):
        study = load_study(study_uri)
        folder = StudyFolder(root, study)
        trials = folder.read()
        # What was paid for is shown before anything is computed.
        best = publish(folder, trials.ledger)
        trials.check_ended(range(1, after + 1))

        from kfp_bayesopt.proposing.batches import (
            advance,  # after the input was found good: it takes a second to import
        )

        following = batch_after(study, after)
        stop = advance(folder, trials, after)
        proposed = sum(number in trials.pending for number in following)
        logger.info("%s: trials 1 to %d done; %s; %d to evaluate", study.name, after, best, proposed)
        if stop is not None:
            jobs.stop(folder.root, job, stop.reason, failed=stop.failed, step="update")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    main()
