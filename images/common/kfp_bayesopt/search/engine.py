"""The interface of an engine, its rebuild from a ledger, and the next suggestions: untried points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from kfp_bayesopt.search.encoding import Encoding, Floats
from kfp_bayesopt.search.keys import keys_of
from kfp_bayesopt.search.sampling import random_numbers, remaining
from kfp_bayesopt.space.constraints import keeps
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.space.problem import Problem, Told

T = TypeVar("T", bound=Told)


class Engine(Protocol):
    """Proposes batches of trials and learns from their records.

    An engine is deterministic: the same study, learnt batches and pending points give the same suggestions.
    """

    def suggest(self, count: int, pending: Sequence[Parameters] = ()) -> list[Parameters]:
        """Propose the next `count` trials, given the `pending` points of running ones; the engine is not changed."""

    def learn(self, records: Sequence[Told]) -> None:
        """Learn the records of the batch that was proposed last, including failed ones."""


def new_engine(study: Problem) -> Engine:
    """Return the engine that the study names, before its first suggestion."""
    engine: Engine = study.optimizer.new_engine(study)
    return engine


def replay(study: Problem, ledger: Sequence[Told]) -> Engine:
    """Rebuild an engine by replaying the ledger, one batch at a time."""
    engine = new_engine(study)
    for batch in batches(ledger):
        engine.learn(batch)
    return engine


def with_initial(study: Problem, number: int, parameters: Parameters) -> Parameters:
    """Return the parameters of a trial: the proposed ones, with those that the study sets in `initial_trials`.

    An incomplete initial trial is dropped if the completed one would break a constraint.
    """
    if not is_initial(study, number):
        return parameters
    asked = Encoding(study.space).complete({**parameters, **study.first_points[number - 1]})
    return asked if keeps(study.kept, asked) else parameters


def is_initial(study: Problem, number: int) -> bool:
    """Tell whether a trial is one of the study's initial ones."""
    return number <= len(study.first_points)


def batches(ledger: Sequence[T]) -> list[list[T]]:
    """Return the records of each iteration; a record without one is its own batch."""
    found: dict[tuple[int | None, int], list[T]] = {}
    for record in ledger:
        key = (record.iteration, 0) if record.iteration is not None else (None, record.trial)
        found.setdefault(key, []).append(record)
    return list(found.values())


def suggest(
    engine: Engine, study: Problem, ledger: Sequence[Told], pending: Mapping[int, Parameters], last: int
) -> dict[int, Parameters]:
    """Return suggestions for the trials after the ledger, by number, fewer if the untried points run out.

    A pending trial keeps its point and its number. If the engine repeats a point, a random one replaces it, the same
    for the same ledger. A suggestion does not depend on which others of its batch are already pending, so that a killed
    step is finished with the same ones.

    Args:
        engine: The engine, which has learnt the ledger.
        study: The study.
        ledger: The records of the ended trials.
        pending: The points of pending trials, by number.
        last: Number of the last wanted trial.
    """
    first = max((record.trial for record in ledger), default=0) + 1
    known = keys_of(study)
    encoding = known.encoding
    keys = {number: known.of(parameters) for number, parameters in pending.items()}
    held = {key: number for number, key in keys.items()}
    tried = set(map(known.of_record, ledger))
    tried |= {key for number, key in keys.items() if not first <= number <= last}
    others = remaining(encoding, tried, random_numbers(study, len(ledger)))

    def is_free(row: Floats, number: int) -> bool:
        key = encoding.key(row)
        return key not in tried and held.get(key, number) == number and bool(encoding.keeps(row[None])[0])

    suggestions: dict[int, Parameters] = {}
    for number, parameters in enumerate(engine.suggest(last - first + 1), first):
        parameters = with_initial(study, number, parameters)
        row = encoding.encode(parameters)
        if not is_free(row, number):
            found = next((other for other in others if is_free(other, number)), None)
            if found is None:
                break
            row, parameters = found, encoding.decode(found)
        if number not in pending:
            suggestions[number] = parameters
        tried.add(keys.get(number, encoding.key(row)))
    return suggestions
