"""Whole searches without processes or files: what an engine proposes, when it is told what its points are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kfp_bayesopt.folder.trials import Record, Suggestion, Trials
from kfp_bayesopt.proposing.batches import propose
from kfp_bayesopt.search.engine import new_engine
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.budget import batches
from kfp_bayesopt.study.study import Study
from tests.asynchronous import Simulation
from tests.builders import a_record

Objective = Callable[..., float | Mapping[str, float] | None]


@dataclass(frozen=True)
class Searched:
    """What a search has left.

    Attributes:
        ledger: The records, in the order of their numbers.
        suggestions: What was proposed.
    """

    ledger: list[Record]
    suggestions: list[Suggestion]

    @property
    def points(self) -> list[Parameters]:
        """The points that were tried."""
        return [record.parameters for record in self.ledger]


def search(study: Study, objective: Objective) -> Searched:
    """Search until the budget is spent or no point is left, with one worker where the study is asynchronous.

    Args:
        study: The study.
        objective: Takes the parameters by name; returns the value, or all values by their names, or None for a failure.
    """
    if study.schedule == "asynchronous":
        worker = Simulation(study)
        worker.run(study.budget, 1, 0, lambda point, _: objective(**point))  # type: ignore[arg-type, return-value]
        return Searched([worker.records[number] for number in sorted(worker.records)], [*worker.suggestions.values()])
    engine, trials, suggestions = new_engine(study), Trials(), list[Suggestion]()
    for batch in batches(study):
        proposed = propose(study, engine, trials, batch[-1])
        if not proposed:
            break
        suggestions += proposed
        records = [_record(study, each, objective(**each.parameters)) for each in proposed]
        for record in records:
            trials.add(record)
        engine.learn(records)
    return Searched(trials.ledger, suggestions)


def _record(study: Study, suggestion: Suggestion, value: float | Mapping[str, float] | None) -> Record:
    given: dict[str, Any] = {"iteration": suggestion.iteration, "parameters": suggestion.parameters}
    if isinstance(value, Mapping):
        return a_record(study, suggestion.trial, values=dict(value), **given)
    return a_record(study, suggestion.trial, value, **given)
