"""The step `init`: checks the study and its folder, and proposes the first batch of trials."""

import logging

import click

from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.steps.options import with_folder
from kfp_bayesopt.study.budget import batch_after
from kfp_bayesopt.study.study_file import load_study, read_study

logger = logging.getLogger("init")


@click.command()
@with_folder
def main(root: str, study_uri: str, job: str | None) -> None:
    """Check a study and its folder, and propose the first batch of trials.

    What the folder has already stays. Every path is a gs:// URI or a local path.

    \b
    Example:
      /opt/bayesopt/bin/init --root out/branin --study studies/branin.yaml
    """  # noqa: D301 - click wants the character \b
    if jobs.has_ended(root, job, "init"):
        return
    with jobs.mistakes_end(root, job, "init"):
        study = load_study(study_uri)
        folder = StudyFolder(root, study)
        trials = folder.read()  # before anything is written: it may be the folder of another study
        written = folder.write_study(read_study(study_uri))
        known = jobs.ensure_job(folder, job, written) if job else None

        from kfp_bayesopt.proposing.batches import begin  # after the input was found good: it takes a second to import

        stop = begin(folder, trials, known)
        first = [number for number in batch_after(study, 0) if number in trials.pending]
        logger.info("%s: %d trials known, %d to evaluate first", study.name, len(trials.records), len(first))
        if stop is not None:
            jobs.stop(folder.root, job, stop.reason, failed=stop.failed, step="init")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    main()
