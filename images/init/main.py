"""The step `init`: checks the study and proposes the first batch of trials."""

import logging

import click

from bayesopt.study_file import load_study
from bayesopt.trials import write_batch, write_ledger

logger = logging.getLogger("init")


@click.command()
@click.option("--study", "study_uri", required=True, help="Study file to read.")
@click.option("--optimizer-out", required=True, help="Optimizer state to write.")
@click.option("--ledger-out", required=True, help="Ledger to write; it has no trials yet.")
@click.option("--suggestions-out", required=True, help="Suggestions of iteration 1 to write.")
def main(study_uri: str, optimizer_out: str, ledger_out: str, suggestions_out: str) -> None:
    """Check a study and propose its first batch of trials.

    Every path is a gs:// URI or a local path.

    \b
    Example:
      /opt/bayesopt/bin/init --study studies/branin.yaml --optimizer-out out/optimizer.state \\
        --ledger-out out/trials.jsonl --suggestions-out out/suggestions.json
    """  # noqa: D301 - click wants the character \b
    study = load_study(study_uri)

    from optimizer.iteration import first_batch  # after the study was found good: it takes a second to import
    from optimizer.state import write_state

    engine, batch = first_batch(study)
    write_state(optimizer_out, engine, study, [])
    write_ledger(ledger_out, [])
    write_batch(suggestions_out, batch.after([]))
    logger.info("%s: %d trials proposed", study.name, len(batch.suggestions))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    main()
