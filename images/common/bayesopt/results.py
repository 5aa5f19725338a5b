"""What a person gets of a study, derived from its records: the ledger, the best trial and the failed ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, Self

from pydantic import Field

from bayesopt.documents import Count, Number, OfStudy
from bayesopt.goals import broken, excess, loss
from bayesopt.space import Parameters
from bayesopt.strict import StrictModel
from bayesopt.study import Study
from bayesopt.trials import Reason, Record

_MAKE_AGAIN = "run `make report` or the study again, so that it is made from the records"


class Recommendation(StrictModel):
    """The trial that a noisy study recommends: where the model's mean, and not a lucky value, is best."""

    trial: Number
    iteration: Number | None = None
    parameters: Parameters
    value: float = Field(description="What the trial returned.")
    mean: float = Field(description="What the model expects of its parameters.")


class Best(OfStudy):
    """The best trial so far, and how many trials there are."""

    what = "best trial"
    way_out = _MAKE_AGAIN

    direction: Literal["minimize", "maximize"]
    value: float | None = Field(None, description="None while no trial has completed.")
    parameters: Parameters | None = None
    trial: Number | None = None
    iteration: Number | None = None
    metrics: dict[str, float] | None = Field(None, description="Those of the best trial that have limits.")
    completed: Count
    failed: Count
    outside: Count | None = Field(None, description="How many of the completed trials break a limit.")
    nearest: str | None = Field(None, description="Where all do: the trial that breaks them the least, and how.")
    trials: Count = Field(description="The budget: how many trials were asked for.")
    recommended: Recommendation | None = Field(None, description="Of a noisy study, by the model of its values.")
    ended: str | None = Field(None, description="Why the study has ended before its budget was spent.")
    cost: float | None = Field(None, description="What the trials have cost, by the rates of their jobs.")

    @classmethod
    def of(cls, study: Study, ledger: Iterable[Record]) -> Self:
        """Find the best trial of a ledger; of equal ones the first."""
        ledger = list(ledger)
        completed = [record for record in ledger if record.state != "failed"]
        losses = {record.trial: found for record in completed if (found := loss(study, record)) is not None}
        best = min(
            (record for record in completed if record.trial in losses),
            key=lambda record: losses[record.trial],
            default=None,
        )
        outside = len(completed) - len(losses)
        return cls(
            study=study.name,
            fingerprint=study.fingerprint,
            direction=study.direction,
            value=best.value if best else None,
            parameters=best.parameters if best else None,
            trial=best.trial if best else None,
            iteration=best.iteration if best else None,
            metrics={name: best.values[name] for name in study.limits} if best and study.limits else None,
            completed=len(completed),
            failed=len(ledger) - len(completed),
            outside=outside if study.limits else None,
            nearest=_nearest(study, completed) if outside and not losses else None,
            trials=study.budget,
            cost=cost_of(ledger),
        )

    @property
    def missing(self) -> str | None:
        """Why there is no best trial, in words; None where there is one, or no trial has ended."""
        if self.value is not None or not self.completed + self.failed:
            return None
        if not self.completed:
            return f"no trial has completed ({self.failed} failed); failures.json has the reasons"
        return f"none of the {self.completed} completed trials keeps all limits; the nearest is {self.nearest}"


def _nearest(study: Study, completed: Sequence[Record]) -> str:
    """Return which of some trials breaks the limits of its study the least, and how."""
    nearest = min(completed, key=lambda record: excess(study, record))
    return f"trial {nearest.trial}: {', '.join(broken(study, nearest))}"


class Failure(StrictModel):
    """A failed trial, with the reason that a person needs."""

    trial: Number
    attempt: Number
    parameters: Parameters
    reason: Reason
    log: str | None = None


class Failures(OfStudy):
    """The failed trials of a study."""

    what = "list of failed trials"
    way_out = _MAKE_AGAIN
    max_bytes = 2**30

    failures: list[Failure]

    @classmethod
    def of(cls, study: Study, ledger: Iterable[Record]) -> Self:
        """Collect the failed trials of a ledger."""
        return cls(study=study.name, fingerprint=study.fingerprint, failures=failures_of(ledger))


def failures_of(ledger: Iterable[Record]) -> list[Failure]:
    """Return the failed trials of a ledger."""
    return [
        Failure(
            trial=record.trial, attempt=record.attempt, parameters=record.parameters, reason=record.reason,
            log=record.log,
        )
        for record in ledger
        if record.reason is not None
    ]  # fmt: skip


def cost_of(ledger: Iterable[Record]) -> float | None:
    """Return what the trials of a ledger have cost; None where that is known of none."""
    costs = [record.cost for record in ledger if record.cost is not None]
    return round(math.fsum(costs), 6) if costs else None


def ledger_lines(ledger: Sequence[Record]) -> bytes:
    """Return the content of the ledger: JSON lines, one record each."""
    return "".join(record.to_line() + "\n" for record in ledger).encode()
