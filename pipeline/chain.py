"""The chain of steps of a study, as programs with arguments, and the names of what they read and write.

init -> iteration 1: P x evaluate -> update -> iteration 2: P x evaluate -> update -> ...
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from bayesopt.steps import INIT


@dataclass(frozen=True)
class Chain:
    """Where a study is and where its results go.

    Attributes:
        study: Path or gs:// URI of the study file.
        root: Folder or gs:// prefix under which the steps write.
    """

    study: str
    root: str

    def path(self, iteration: int, name: str) -> str:
        """Return where an iteration keeps something; iteration 0 is `init`."""
        folder = f"iteration-{iteration}" if iteration else INIT.name
        return f"{self.root}/{folder}/{name}"

    def optimizer(self, iteration: int) -> str:
        """Return the optimizer state after an iteration."""
        return self.path(iteration, "optimizer.state")

    def ledger(self, iteration: int) -> str:
        """Return the ledger after an iteration."""
        return self.path(iteration, "trials.jsonl")

    def suggestions(self, iteration: int) -> str:
        """Return the suggestions that were made after an iteration, for the next one."""
        return self.path(iteration, "suggestions.json")

    def best(self, iteration: int) -> str:
        """Return the best trial after an iteration."""
        return self.path(iteration, "best.json")

    def record(self, iteration: int, index: int) -> str:
        """Return the record of a trial of an iteration."""
        return self.path(iteration, f"record-{index}.json")

    def init(self) -> list[str]:
        """Return the arguments of `init`."""
        return [
            *("--study", self.study),
            *("--optimizer-out", self.optimizer(0)),
            *("--ledger-out", self.ledger(0)),
            *("--suggestions-out", self.suggestions(0)),
        ]

    def evaluate(self, iteration: int, index: int) -> list[str]:
        """Return the arguments of `evaluate` for a trial of an iteration."""
        return [
            *("--study", self.study),
            *("--suggestions", self.suggestions(iteration - 1)),
            *("--index", str(index)),
            *("--record-out", self.record(iteration, index)),
        ]

    def update(self, iteration: int, trials: int) -> list[str]:
        """Return the arguments of `update` after an iteration; `trials` is the size of its batch."""
        return [
            *("--study", self.study),
            *("--optimizer", self.optimizer(iteration - 1)),
            *("--ledger", self.ledger(iteration - 1)),
            *("--suggestions", self.suggestions(iteration - 1)),
            *("--records", json.dumps([self.record(iteration, index) for index in range(trials)])),
            *("--optimizer-out", self.optimizer(iteration)),
            *("--ledger-out", self.ledger(iteration)),
            *("--best-out", self.best(iteration)),
            *("--suggestions-out", self.suggestions(iteration)),
        ]
