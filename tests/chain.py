"""The steps of a study by their names, for tests that run one after the other."""

from __future__ import annotations

from kfp_bayesopt.steps import EVALUATE, INIT, REPORT, UPDATE, WORKER, Step
from kfp_bayesopt.steps import chain as steps
from kfp_bayesopt.steps.tuning import tuned


def options_of(step: Step) -> set[str]:
    """Return the options of a step: in a study's pipeline, and in a component where it opens the study itself."""
    others = {"--outputs"}
    if step is INIT:
        # `executor` gives the first one with the path of an artifact; a component of one study gives the other one.
        others |= {"--data-uri", "--made-for"} | {port.option for port in tuned(step).reads if port.option}
    return others | {port.option for port in step.reads if port.option}


class Chain(steps.Chain):
    """The arguments of each step."""

    def init(self) -> list[str]:
        """Return the arguments of `init`."""
        return self.arguments(INIT)

    def evaluate(self, trial: int) -> list[str]:
        """Return the arguments of `evaluate` for a trial."""
        return self.arguments(EVALUATE, trial)

    def update(self, batch: range) -> list[str]:
        """Return the arguments of `update` after a batch."""
        return self.arguments(UPDATE, batch[-1])

    def worker(self, number: int) -> list[str]:
        """Return the arguments of `worker` for one of them, from 1."""
        return self.arguments(WORKER, number)

    def report(self) -> list[str]:
        """Return the arguments of `report`."""
        return self.arguments(REPORT)
