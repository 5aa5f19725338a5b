"""Proposes one trial beside those that run, for workers that wait for nobody.

The records, the suggestions of trials that run and the numbers whose suggestions are not known yet say all that a
suggestion follows from, and it names them: so it can be computed again, by anybody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from kfp_bayesopt.folder.trials import Record, Seen, Suggestion, Trials
from kfp_bayesopt.proposing.batches import versions
from kfp_bayesopt.search.engine import is_initial, new_engine, with_initial
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.study import Study


def propose_beside(study: Study, trials: Trials, unknown: Collection[int], trial: int) -> Suggestion | None:
    """Return the suggestion of a trial, or None where no point of the space is left for it.

    Args:
        study: The study.
        trials: What is known.
        unknown: The other trials that have begun and whose suggestions are not known.
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
    """Return the parameters of a trial beside those that run, or None where no point of the space is left for it.

    Each trial before it that is unknown counts as the point that would be suggested for it from what is known here: of
    a batch of one more than these, the last point is the trial's.

    Args:
        study: The study.
        ended: The records that are known, in the order of their numbers.
        pending: The points of the trials that run, by number.
        unknown: How many trials before it are unknown.
    """
    engine = new_engine(study)
    engine.learn(ended)
    found = engine.suggest(unknown + 1, [pending[number] for number in sorted(pending)])
    return found[unknown] if len(found) > unknown else None
