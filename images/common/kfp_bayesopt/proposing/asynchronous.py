"""Proposes one trial beside the running ones, for workers that never wait for each other.

A suggestion follows from the records, the suggestions of running trials and the numbers without a known suggestion, and
it names all of them: so anyone can compute it again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from kfp_bayesopt.folder.trials import Record, Seen, Suggestion, Trials
from kfp_bayesopt.proposing.batches import versions
from kfp_bayesopt.search.engine import is_initial, new_engine, with_initial
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.study import Study


def propose_beside(study: Study, trials: Trials, unknown: Collection[int], trial: int) -> Suggestion | None:
    """Return the suggestion of a trial, or None if no point of the space is left for it.

    Args:
        study: The study.
        trials: The known trials.
        unknown: The other begun trials without a known suggestion.
        trial: Its number.
    """
    ended = [record for record in trials.ended if record.trial != trial]
    pending = trials.running
    pending.pop(trial, None)
    before = [number for number in sorted(unknown) if number < trial]
    parameters = suggest_beside(study, ended, pending, len(before))
    if parameters is None:
        return None
    parameters = with_initial(study, trial, parameters)
    highest = max((record.trial for record in ended), default=0)
    return Suggestion(
        study=study.name,
        fingerprint=study.fingerprint,
        trial=trial,
        parameters=parameters,
        initial=is_initial(study, trial) or None,
        seen=Seen(
            highest=highest,
            pending=sorted(pending),
            unknown=[number for number in sorted(unknown) if number != trial and number < max(trial, highest)],
            ledger=trials.digest(ended),
        ),
        optimizer=study.optimizer.model_dump(mode="json"),
        parallel_trials=study.parallel_trials,
        asked=study.asked,
        versions=versions(),
    )


def suggest_beside(
    study: Study, ended: Sequence[Record], pending: Mapping[int, Parameters], unknown: int
) -> Parameters | None:
    """Return the parameters of a trial beside the running ones, or None if no point of the space is left for it.

    Each unknown trial before it counts as the point that would be suggested for it from the same knowledge: of a batch
    of one more than these, the last point is the trial's.

    Args:
        study: The study.
        ended: The known records, in the order of their numbers.
        pending: The points of the running trials, by number.
        unknown: The number of unknown trials before it.
    """
    engine = new_engine(study)
    engine.learn(ended)
    found = engine.suggest(unknown + 1, [pending[number] for number in sorted(pending)])
    return found[unknown] if len(found) > unknown else None
