"""What a step of the optimiser does: propose the first batch, or learn one and propose the next."""

from __future__ import annotations

from collections.abc import Sequence

from bayesopt.study import Study
from bayesopt.trials import Batch, Record, Suggestion
from optimizer.engine import Engine, new_engine, suggest
from optimizer.stopping import reason_to_stop


def first_batch(study: Study) -> tuple[Engine, Batch]:
    """Return a new engine and its first suggestions."""
    engine = new_engine(study)
    return engine, _propose(study, engine, [], iteration=1)


def next_batch(
    study: Study, engine: Engine, batch: Batch, records: Sequence[Record], ledger: Sequence[Record]
) -> Batch:
    """Let the engine learn the records of a batch and propose the next one.

    When the budget is spent, when too many trials have failed, and when the study asked to stop or its
    space is exhausted, nothing is proposed. Where that leaves a part of the budget, or where a changed study has
    left out a part of the batch, the next one says why.

    Args:
        study: The study.
        engine: The engine that proposed the batch.
        batch: What it proposed.
        records: What came of it: of all its trials, or of the first of them where the study has changed since.
        ledger: All records of the study, those of the batch last.
    """
    following = batch.iteration + 1
    engine.learn(records)
    if batch.ended:  # on Kubeflow the steps that are left still run
        return _batch(study, following, [], batch.ended)
    if dropped := batch.suggestions[len(records) :]:
        reason = reason_to_stop(study, ledger[: len(ledger) - len(records)])
        return _batch(study, following, [], f"{reason or _spent(study)}; {_were_dropped(dropped)}")
    if following > study.iterations or len(ledger) >= study.trials:
        return _batch(study, following, [], None)
    if reason := reason_to_stop(study, ledger):
        return _batch(study, following, [], reason)
    return _propose(study, engine, ledger, following)


def _spent(study: Study) -> str:
    return f"the budget of {study.iterations} x {study.parallel_trials} trials is spent"


def _were_dropped(suggestions: Sequence[Suggestion]) -> str:
    first, last = suggestions[0].trial, suggestions[-1].trial
    which = f"trial {first} was" if first == last else f"trials {first} to {last} were"
    return f"{which} proposed, but not evaluated"


def _propose(study: Study, engine: Engine, ledger: Sequence[Record], iteration: int) -> Batch:
    # Less than a batch is left where earlier ones were larger.
    count = min(study.parallel_trials, study.trials - len(ledger))
    suggestions = [
        Suggestion(trial=number, parameters=parameters)
        for number, parameters in enumerate(suggest(engine, study, ledger, count), len(ledger) + 1)
    ]
    ended = None if suggestions else f"every point of the space has been tried, {len(ledger)} trials"
    return _batch(study, iteration, suggestions, ended)


def _batch(study: Study, iteration: int, suggestions: list[Suggestion], ended: str | None) -> Batch:
    return Batch(
        study=study.name, fingerprint=study.fingerprint, iteration=iteration, suggestions=suggestions, ended=ended
    )
