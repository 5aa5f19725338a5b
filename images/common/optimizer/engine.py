"""The interface of an engine, and the choice of one from the study."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Protocol

from bayesopt.space import Parameters
from bayesopt.study import Study
from bayesopt.trials import Record


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
    module, _, name = study.optimizer.implementation.partition(":")
    engine: Engine = getattr(importlib.import_module(module), name)(study)
    return engine


def replay(study: Study, ledger: Sequence[Record]) -> Engine:
    """Bring a new engine to where it was after it had learnt a whole ledger, batch by batch."""
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
