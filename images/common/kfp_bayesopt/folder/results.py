"""The results of a study, derived from its records: the ledger, the best trial and the failed ones."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Self

from pydantic import Field

from kfp_bayesopt import hints
from kfp_bayesopt.folder.documents import Count, Number, OfStudy
from kfp_bayesopt.folder.trials import Reason, Record
from kfp_bayesopt.space.front import Losses, front, hypervolume, worst
from kfp_bayesopt.space.goals import broken, counts, excess, losses
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.strict import StrictModel
from kfp_bayesopt.study.sources.base import Direction
from kfp_bayesopt.study.study import Study

_MAKE_AGAIN = hints.REPORT.within("run `", "` or the study again, so that it is made from the records")


class Recommendation(StrictModel):
    """The trial recommended for a noisy study: the best by the model's mean, not by a lucky value."""

    trial: Number
    iteration: Number | None = None
    parameters: Parameters
    value: float = Field(description="What the trial returned.")
    mean: float = Field(description="What the model expects of its parameters.")


class Compromise(StrictModel):
    """A trial on the front of several objectives."""

    trial: Number
    iteration: Number | None = None
    parameters: Parameters
    values: dict[str, float] = Field(description="Of the objectives and of metrics that have limits.")


class Best(OfStudy):
    """The best trial so far, and the numbers of trials."""

    what = "best trial"
    way_out = _MAKE_AGAIN

    direction: Direction | None = Field(None, description="None of several objectives.")
    objectives: dict[str, Direction] | None = Field(None, description="Where there are several.")
    front: list[Compromise] | None = Field(
        None, description="The trials than which none is better in all objectives, by the first of these."
    )
    hypervolume: float | None = Field(None, description="What the front dominates, up to the reference.")
    reference: dict[str, float] | None = Field(
        None, description="Of the hypervolume: what the study says, else the worst values of its trials."
    )
    value: float | None = Field(None, description="None while no trial has completed.")
    parameters: Parameters | None = None
    trial: Number | None = None
    iteration: Number | None = None
    metrics: dict[str, float] | None = Field(None, description="Those of the best trial that have limits.")
    completed: Count
    failed: Count
    stopped: Count | None = Field(None, description="How many were stopped early.")
    outside: Count | None = Field(None, description="How many of the completed trials break a limit or a constraint.")
    outside_of: list[Literal["limits", "constraints"]] | None = Field(None, description="Which of these are broken.")
    nearest: str | None = Field(None, description="Where all do: the trial that breaks them the least, and how.")
    trials: Count = Field(description="The budget: how many trials were asked for.")
    left: Count | None = Field(None, description="How many trials of the budget have not ended.")
    recommended: Recommendation | None = Field(None, description="Of a noisy study, by the model of its values.")
    ended: str | None = Field(None, description="Why the study has ended before its budget was spent.")
    cost: float | None = Field(None, description="What the trials have cost, by the rates of their jobs.")
    models_missing: str | None = Field(
        None, description="Of which completed trials the model could not be kept, the best one first, and why."
    )

    @classmethod
    def of(cls, study: Study, ledger: Iterable[Record]) -> Self:
        """Find the best trial of a ledger; of equal ones the first."""
        ledger = list(ledger)
        states = Counter(record.state for record in ledger)
        completed = [record for record in ledger if record.state == "completed"]
        counting = [record for record in completed if counts(study, record)]
        outside = len(completed) - len(counting)
        found = cls(
            study=study.name,
            fingerprint=study.fingerprint,
            completed=len(completed),
            failed=states["failed"],
            stopped=states["stopped"] or None,
            outside=outside if study.limits or outside else None,
            outside_of=_outside_of(study, completed) or None,
            nearest=_nearest(study, completed) if completed and not counting else None,
            trials=study.budget,
            left=study.budget - sum(record.is_final and record.trial <= study.budget for record in ledger),
            cost=cost_of(ledger),
        )
        if study.objectives:
            told = _front(study, counting)
            missing = _models_missing(completed, [each.trial for each in told["front"]])
            return found.model_copy(update=told | {"models_missing": missing})
        best = min(counting, key=lambda record: losses(study, record) or (), default=None)
        if best is None:
            return found.model_copy(update={"direction": study.direction})
        return found.model_copy(
            update={
                "direction": study.direction,
                "value": best.value,
                "parameters": best.parameters,
                "trial": best.trial,
                "iteration": best.iteration,
                "metrics": {name: best.values[name] for name in study.limits} or None,
                "models_missing": _models_missing(completed, [best.trial]),
            }
        )

    @property
    def is_found(self) -> bool:
        """Tell whether there is a best trial, or a front."""
        return self.value is not None or bool(self.front)

    @property
    def recorded(self) -> int:
        """The number of trials with a record, within the budget or not."""
        return self.completed + self.failed + (self.stopped or 0)

    @property
    def done(self) -> int:
        """The number of ended trials of the budget: completed, failed or stopped early, and not to be retried."""
        return min(self.recorded, self.trials) if self.left is None else self.trials - self.left

    @property
    def not_completed(self) -> str:
        """The numbers of failed and stopped trials, in words."""
        return f"{self.failed} failed" + (f", {self.stopped} stopped early" if self.stopped else "")

    @property
    def bounds(self) -> str:
        """The kinds of bounds that trials break, in words."""
        return " and ".join(self.outside_of or ["limits"])

    @property
    def counts(self) -> str:
        """The numbers of trials by outcome, in words."""
        outside = f", {self.outside} outside the {self.bounds}" if self.outside else ""
        return f"{self.completed} completed, {self.not_completed}{outside}"

    def __str__(self) -> str:
        """Return the best trial, or the size of the front, in one line."""
        if self.front:
            count = "1 trial" if len(self.front) == 1 else f"{len(self.front)} trials"
            return f"{count} on the front of {' and '.join(self.objectives or {})}"
        return "no best trial" if self.value is None else f"best value {self.value!r} in trial {self.trial}"

    @property
    def missing(self) -> str | None:
        """The reason there is no best trial, in words; None if there is one, or no trial has ended."""
        if self.is_found or not self.recorded:
            return None
        if not self.completed:
            way_out = (
                "failures.json has the reasons"
                if self.failed
                else "raise early_stopping.min_steps or trials, and run the same command again"
            )
            return f"no trial has completed ({self.not_completed}); {way_out}"
        more = "; what is proposed from now on keeps the constraints: raise the budget and run the same command again"
        return (
            f"none of the {self.completed} completed trials keeps all {self.bounds}; the nearest is {self.nearest}"
            f"{more if 'constraints' in self.bounds else ''}"
        )


def _models_missing(completed: Iterable[Record], best: Sequence[int]) -> str | None:
    """Return the trials whose model could not be kept, the best ones first, in words; None if there are none."""
    without = sorted((each for each in completed if each.output_missing), key=lambda each: each.trial not in best)
    if not without:
        return None
    others = len(without) - 1
    more = f", and so {'is that' if others == 1 else 'are those'} of {others} more" if others else ""
    return f"the model of trial {without[0].trial} is missing: {without[0].output_missing}{more}"


def _front(study: Study, counting: Sequence[Record]) -> dict[str, Any]:
    """Return the fields for several objectives, from the trials that count."""
    named = list(dict.fromkeys([*study.objectives, *study.limits]))
    points = [found for record in counting if (found := losses(study, record))]
    first = next(iter(study.objectives))
    best = sorted(front(points), key=lambda index: study.signs[first] * counting[index].values[first])
    told: dict[str, Any] = {
        "objectives": study.objectives,
        "front": [
            Compromise(
                trial=record.trial,
                iteration=record.iteration,
                parameters=record.parameters,
                values={name: record.values[name] for name in named},
            )
            for record in (counting[index] for index in best)
        ],
    }
    if points:
        reference = reference_of(study, points)
        told["hypervolume"] = hypervolume([points[index] for index in best], reference)
        told["reference"] = {
            name: sign * each for (name, sign), each in zip(study.signs.items(), reference, strict=True)
        }
    return told


def reference_of(study: Study, points: Sequence[Losses]) -> Losses:
    """Return the reference of the hypervolume, as losses: the study's, else the worst values of all points."""
    asked = [sign * study.reference[name] if name in study.reference else None for name, sign in study.signs.items()]
    return tuple(loss if each is None else each for each, loss in zip(asked, worst(points), strict=True))


def _outside_of(study: Study, completed: Sequence[Record]) -> list[Literal["limits", "constraints"]]:
    """Return the kinds of bounds that some trials break: limits, or constraints that were added later."""
    kinds: dict[Literal["limits", "constraints"], bool] = {
        "limits": any(limit.broken_by(record.values) for record in completed for limit in study.bounds),
        "constraints": not all(study.keeps(record.parameters) for record in completed),
    }
    return [kind for kind, is_broken in kinds.items() if is_broken]


def _nearest(study: Study, completed: Sequence[Record]) -> str:
    """Return the trial that breaks the limits and constraints of its study the least, and those that it breaks."""
    nearest = min(completed, key=lambda record: excess(study, record))
    return f"trial {nearest.trial}: {', '.join(broken(study, nearest))}"


class Failure(StrictModel):
    """A failed trial and its reason."""

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
    """Return the cost of the trials of a ledger; None if no cost is known."""
    costs = [record.cost for record in ledger if record.cost is not None]
    return round(math.fsum(costs), 6) if costs else None


def ledger_lines(ledger: Sequence[Record]) -> bytes:
    """Return the content of the ledger: JSON lines, one record each."""
    return "".join(record.to_line() + "\n" for record in ledger).encode()
