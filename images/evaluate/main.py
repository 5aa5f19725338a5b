"""The step `evaluate`: evaluates one suggestion and writes its record."""

import logging
import signal
import sys
from pathlib import Path

import click

from bayesopt import storage
from bayesopt.study_file import load_study
from bayesopt.trials import read_batch, write_record

from .evaluation import evaluate
from .sessions import Sessions

logger = logging.getLogger("evaluate")


@click.command()
@click.option("--study", "study_uri", required=True, help="Study file to read.")
@click.option("--suggestions", required=True, help="Suggestions of the iteration, to read.")
@click.option("--index", required=True, type=click.IntRange(min=0), help="Which suggestion, from 0.")
@click.option("--record-out", required=True, help="Record of the trial, to write.")
def main(study_uri: str, suggestions: str, index: int, record_out: str) -> None:
    """Evaluate one suggestion and write the record of the trial.

    A trial that fails is a record too, and the exit status is 0. So is an index that the batch does not have, or
    that is beyond the budget of the study: its record says `skipped`. Every path is a gs:// URI or a local path.

    \b
    Example:
      /opt/bayesopt/bin/evaluate --study studies/branin.yaml --suggestions out/suggestions.json \\
        --index 0 --record-out out/record-0.json
    """  # noqa: D301 - click wants the character \b
    study = load_study(study_uri)
    batch = read_batch(suggestions, study)
    # The objective is looked for beside a study file of this machine.
    folder = Path(study_uri).resolve().parent if storage.is_local(study_uri) else Path.cwd()
    with Sessions() as sessions:
        record = evaluate(study, batch, index, folder, sessions)
    write_record(record_out, record)
    result = record.error if record.state == "failed" else record.value
    logger.info("iteration %d, trial %s: %s: %s", record.iteration, record.trial or "-", record.state, result)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # A polite request to stop must stop the objective too, which runs in a session of its own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
