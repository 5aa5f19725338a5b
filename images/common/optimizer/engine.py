"""The interface of an engine, its rebuild from a ledger, and the next suggestions: points not tried before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bayesopt.space import Parameters
from bayesopt.study import Study
from bayesopt.trials import Record
from optimizer.encoding import Encoding
from optimizer.sampling import random_numbers, remaining


class Engine(Protocol):
    """Proposes batches of trials and learns from their records.

    An engine is deterministic: the same study and the same batches learnt give the same suggestions.
    """

    def suggest(self, count: int) -> list[Parameters]:
        """Propose the next `count` trials; the engine stays as it was."""

    def learn(self, records: Sequence[Record]) -> None:
        """Take in the records of the batch that was proposed last, failed ones too."""


def new_engine(study: Study) -> Engine:
    """Return the engine that the study names, before its first suggestion."""
    return study.optimizer.new_engine(study)


def replay(study: Study, ledger: Sequence[Record]) -> Engine:
    """Rebuild an engine by replaying the ledger, one batch at a time."""
    engine = new_engine(study)
    for batch in batches(ledger):
        engine.learn(batch)
    return engine


def batches(ledger: Sequence[Record]) -> list[list[Record]]:
    """Return the records of each iteration."""
    found: dict[int, list[Record]] = {}
    for record in ledger:
        found.setdefault(record.iteration, []).append(record)
    return list(found.values())


def suggest(engine: Engine, study: Study, ledger: Sequence[Record], count: int) -> list[Parameters]:
    """Return the next `count` suggestions of an engine, or as many as there are points that were not tried.

    Where the engine repeats a point, another one stands in its place, at random but the same for the same ledger.

    Args:
        engine: What has learnt the ledger.
        study: The study.
        ledger: All records of the study.
        count: How many suggestions are asked for.
    """
    wanted = engine.suggest(count)
    if not study.optimizer.repeats:
        return wanted
    encoding = Encoding(study.space)
    tried = {encoding.key(row) for row in encoding.encode_all([record.parameters or {} for record in ledger])}
    others = remaining(encoding, tried, random_numbers(study, len(ledger)))
    suggestions: list[Parameters] = []
    for parameters in wanted:
        key = encoding.key(encoding.encode(parameters))
        if key in tried:
            row = next((row for row in others if encoding.key(row) not in tried), None)
            if row is None:
                break
            key, parameters = encoding.key(row), encoding.decode(row)
        tried.add(key)
        suggestions.append(parameters)
    return suggestions
