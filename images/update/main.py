"""The step `update`: takes in the records of an iteration and proposes the next batch."""

import json
import logging

import click

from bayesopt.errors import UserError
from bayesopt.study_file import load_study
from bayesopt.trials import (
    Best,
    extend_ledger,
    read_batch,
    read_ledger,
    read_records,
    write_batch,
    write_best,
    write_ledger,
)
from optimizer.stopping import still_due

logger = logging.getLogger("update")


def _uris(_context: click.Context, _parameter: click.Parameter, text: str) -> list[str]:
    try:
        uris = json.loads(text)
    except ValueError:
        uris = None
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        raise click.BadParameter(f'a JSON list of paths must be given, as \'["a.json", "b.json"]\', but got {text!r}')
    return uris


@click.command()
@click.option("--study", "study_uri", required=True, help="Study file to read.")
@click.option("--optimizer", required=True, help="Optimizer state to read; rebuilt from the ledger if it does not fit.")
@click.option("--ledger", "ledger_uri", required=True, help="Ledger of the iterations before, to read.")
@click.option("--suggestions", required=True, help="Suggestions of this iteration, to read.")
@click.option("--records", required=True, callback=_uris, help="Records of this iteration: a JSON list of paths.")
@click.option("--optimizer-out", required=True, help="Optimizer state to write.")
@click.option("--ledger-out", required=True, help="Ledger with this iteration, to write.")
@click.option("--best-out", required=True, help="Best trial so far, to write.")
@click.option(
    "--suggestions-out", required=True, help="Suggestions of the next iteration to write; none after the last."
)
def main(
    study_uri: str,
    optimizer: str,
    ledger_uri: str,
    suggestions: str,
    records: list[str],
    optimizer_out: str,
    ledger_out: str,
    best_out: str,
    suggestions_out: str,
) -> None:
    """Learn from the records of an iteration and propose the next batch of trials.

    Every path is a gs:// URI or a local path.

    \b
    Example:
      /opt/bayesopt/bin/update --study studies/branin.yaml --optimizer out/optimizer.state \\
        --ledger out/trials.jsonl --suggestions out/suggestions.json \\
        --records '["out/record-0.json", "out/record-1.json"]' \\
        --optimizer-out out/2/optimizer.state --ledger-out out/2/trials.jsonl \\
        --best-out out/2/best.json --suggestions-out out/2/suggestions.json
    """  # noqa: D301 - click wants the character \b
    study = load_study(study_uri)
    batch = read_batch(suggestions, study)
    ledger = read_ledger(ledger_uri, study)
    new = read_records(records, study, batch, still_due(study, batch, ledger))
    done = extend_ledger(ledger, batch, new)
    best = Best.of(study, done)
    # What was paid for is saved before anything is computed.
    write_ledger(ledger_out, done)
    write_best(best_out, best)

    from optimizer.iteration import next_batch  # after the input was found good: it takes a second to import
    from optimizer.recommendation import recommend
    from optimizer.state import load_engine, write_state

    engine = load_engine(optimizer, study, ledger)
    following = next_batch(study, engine, batch, new, done)
    write_state(optimizer_out, engine, study, done)
    write_batch(suggestions_out, following.after(done))
    if following.ended or study.noisy:
        recommended = recommend(study, done) if study.noisy else None
        write_best(best_out, best.model_copy(update={"recommended": recommended, "ended": following.ended}))
    logger.info(
        "%s: iteration %d of %d done; best value %s; %d trials proposed",
        study.name, batch.iteration, study.iterations, best.value, len(following.suggestions),
    )  # fmt: skip
    if following.ended:
        logger.info("%s: the study has ended: %s", study.name, following.ended)
    if best.failed > study.failures_allowed:
        raise UserError(
            f"{study.name}: at most {study.failures_allowed} trials may fail (max_failed_trials), but {best.failed} "
            f"of {len(done)} have; the errors are in the ledger {ledger_out}"
        )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    main()
