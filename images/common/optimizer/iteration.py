"""What a step of the optimiser does: propose the first batch, or learn one and propose the next."""

from __future__ import annotations

from collections.abc import Sequence

from bayesopt.study import Study
from bayesopt.trials import Batch, Record, Suggestion
from optimizer.engine import Engine, new_engine


def first_batch(study: Study) -> tuple[Engine, Batch]:
    """Return a new engine and its first suggestions."""
    engine = new_engine(study)
    return engine, _propose(study, engine, trials_done=0, iteration=1)


def next_batch(
    study: Study, engine: Engine, batch: Batch, records: Sequence[Record], ledger: Sequence[Record]
) -> Batch:
    """Let the engine learn the records of a batch and propose the next one.

    After the last iteration, and when too many trials have failed, nothing is proposed.

    Args:
        study: The study.
        engine: The engine that proposed the batch.
        batch: What it proposed.
        records: What came of it.
        ledger: All records of the study, those of the batch last.
    """
    following = batch.iteration + 1
    engine.learn(records)
    if following > study.iterations or count_failed(ledger) > study.failures_allowed:
        return _batch(study, following, [])
    return _propose(study, engine, len(ledger), following)


def count_failed(ledger: Sequence[Record]) -> int:
    """Return how many trials of a ledger have failed."""
    return sum(record.state == "failed" for record in ledger)


def _propose(study: Study, engine: Engine, trials_done: int, iteration: int) -> Batch:
    suggestions = [
        Suggestion(trial=trials_done + number, parameters=parameters)
        for number, parameters in enumerate(engine.suggest(study.parallel_trials), 1)
    ]
    return _batch(study, iteration, suggestions)


def _batch(study: Study, iteration: int, suggestions: list[Suggestion]) -> Batch:
    return Batch(study=study.name, fingerprint=study.fingerprint, iteration=iteration, suggestions=suggestions)
