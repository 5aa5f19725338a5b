"""Workers that wait for nobody, without processes or files: what each proposes with what it sees at that moment."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from kfp_bayesopt.folder.trials import Record, Suggestion, Trials
from kfp_bayesopt.proposing.asynchronous import propose_beside
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.study import Study
from tests.builders import a_record


@dataclass
class Simulation:
    """A study whose workers claim, look, propose, write and record in an order that chance decides.

    Attributes:
        study: The study.
        suggestions: What was proposed, by trial.
        records: What came of it, by trial.
    """

    study: Study
    suggestions: dict[int, Suggestion] = field(default_factory=dict)
    records: dict[int, Record] = field(default_factory=dict)
    _claimed: int = 0

    def run(self, trials: int, workers: int, seed: int, value_of: Callable[[Parameters, int], float | None]) -> None:
        """Let workers work until so many trials have ended; a worker that is told to stop proposing ends."""
        rng = random.Random(seed)
        held: dict[int, tuple[int, Suggestion | None]] = {}  # what a worker has claimed, and proposed but not written
        free = set(range(workers))
        while free or held:
            worker = rng.choice(sorted(free | set(held)))
            if worker in free:
                if self._claimed == trials:
                    free.discard(worker)
                    continue
                self._claimed += 1
                free.discard(worker)
                held[worker] = (self._claimed, None)
                continue
            number, suggestion = held.pop(worker)
            if number in self.suggestions:
                point = self.suggestions[number].parameters
                self.records[number] = a_record(
                    self.study, number, value_of(point, number), parameters=point, iteration=None
                )
                free.add(worker)
            elif suggestion is not None:
                self.suggestions[number] = suggestion
                held[worker] = (number, None)
            elif (proposed := self.propose(number)) is not None:
                held[worker] = (number, proposed)

    def propose(self, number: int) -> Suggestion | None:
        """Propose a trial from all that is there."""
        pending = {n: each for n, each in self.suggestions.items() if n not in self.records}
        unknown = [n for n in range(1, self._claimed + 1) if n not in self.suggestions]
        return propose_beside(self.study, Trials(dict(self.records), pending), unknown, number)
