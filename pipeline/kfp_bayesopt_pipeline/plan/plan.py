"""Says what a study will take, for both schedules, on demand and on spot machines, with every assumption."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.jobs import Rate
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session.studies import table
from kfp_bayesopt.study.budget import workers
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.building.check import noted_seconds
from kfp_bayesopt_pipeline.places.protocol import Place
from kfp_bayesopt_pipeline.plan.prices import Prices, read_prices
from kfp_bayesopt_pipeline.plan.simulation import (
    Machines,
    Taken,
    TrialTime,
    between,
    percentiles,
    repeat,
)

LEAST_KNOWN = 3
"""Fewer trials that have run whole say too little."""


@dataclass(frozen=True)
class Plan:
    """What a study takes in one way.

    Attributes:
        study: The study, with its schedule.
        spot: Whether on spot machines.
        taken: What it took in simulations.
        price: What it costs in each of them; None where nothing has a price.
    """

    study: Study
    spot: bool
    taken: list[Taken]
    price: list[float] | None

    def wall(self) -> str:
        """Return from and to how long it takes."""
        return _times(between(self.taken, lambda each: each.wall))

    def machines(self) -> str:
        """Return from and to how long machines that evaluate are needed, all together."""
        return _times(between(self.taken, lambda each: each.trials))

    def is_asked_by(self, study: Study) -> bool:
        """Tell whether it is the way that the study asks for."""
        return (self.study.schedule, self.spot) == (study.schedule, study.steps.evaluate.spot)

    def facts(self) -> dict[str, Any]:
        """Return it as data for JSON, each number from and to."""
        return {
            "schedule": self.study.schedule,
            "spot": self.spot,
            "seconds": between(self.taken, lambda each: each.wall),
            "machine_seconds": between(self.taken, lambda each: each.trials),
            "cost": self.cost(),
        }

    def cost(self) -> tuple[float, float] | None:
        """Return from and to how much it costs."""
        return None if self.price is None else percentiles(self.price)


def trial_time(minutes: float | None, folder: StudyFolder) -> tuple[TrialTime, str]:
    """Return how long trials take, and where that is known from.

    That is what a person says, else records that are there, else the trial that `make check` ran.

    Raises:
        UserError: Nothing is known.
    """
    if minutes is not None:
        return TrialTime(minutes * 60), str(hints.TRIAL_MINUTES)
    ended = [record for record in folder.read().ended if record.trial <= folder.study.budget]
    known = tuple(record.seconds for record in ended)
    whole = [record.seconds for record in ended if record.state == "completed"]
    if len(whole) < LEAST_KNOWN:
        if (checked := noted_seconds(folder.study)) is not None:
            return TrialTime(checked, known=known), f"`{hints.CHECK}`, on this machine"
        raise UserError(
            f"how long a trial takes is not known: give {hints.GIVE_TRIAL_MINUTES}, run `{hints.CHECK}`, which times "
            "one trial, or "
            f"let {LEAST_KNOWN} trials {'run whole' if folder.study.early_stopping else 'end'} in {folder.root}"
        )
    return replace(TrialTime.of(whole), known=known), f"{len(whole)} trials in {folder.root}"


def plan(study: Study, time: TrialTime, prices: Prices, place: Place, spot: bool) -> Plan:
    """Simulate a study on a target.

    Raises:
        UserError: A machine has no price.
    """
    start = place.start_seconds(study, prices)
    machines = Machines(start, place.step_seconds, prices.spot.losses_per_hour if spot else 0.0)
    taken = repeat(study, time, machines)
    if not place.has_prices:
        return Plan(study, spot, taken, None)
    trials, steps = prices.of_trials(study, spot), prices.an_hour(study.steps.update, None)
    cost = [prices.pipeline_run + (each.trials * trials + each.steps * steps) / 3600 for each in taken]
    return Plan(study, spot, taken, cost)


def rate_of(study: Study, place: Place) -> Rate | None:
    """Return what the trials of a study cost in a place; None where their machine has no price.

    Raises:
        UserError: It has none, and the study is to end by its cost.
    """
    if not place.has_prices:
        return None
    try:
        prices = read_prices()
        hour = prices.of_trials(study, study.steps.evaluate.spot)
    except UserError as error:
        if study.stop.max_cost is not None:
            raise UserError(f"stop.max_cost: {error.message}") from None
        return None
    start = place.start_seconds(study, prices)
    return Rate(hour=hour, start_seconds=start, currency=prices.currency, prices=str(prices.date))


def with_schedule(study: Study, schedule: str) -> Study | None:
    """Return the study with another schedule; None where that cannot be."""
    changed = study.model_copy(update={"schedule": schedule, "iterations": None, "trials": study.budget})
    return None if any(SCHEDULES[schedule].mistakes(changed)) else changed


def lines(study: Study, minutes: float | None, prices: Prices, place: Place, folder: StudyFolder) -> Iterator[str]:
    """Yield what a study takes in each way, and all that was assumed.

    Raises:
        UserError: How long a trial takes, or what a machine costs, is not known.
    """
    time, source = trial_time(minutes, folder)
    yield from _headline(study, time, source, place)
    rows = [_row(each, place, each.is_asked_by(study), prices.currency) for each in _ways(study, time, prices, place)]
    yield from table(["", "time", "of machines", *(["price"] if place.has_prices else [])], rows)
    yield "* as the study asks for; from the 10th to the 90th percentile of simulations"
    yield from _assumptions(study, time, prices, place)


def facts(study: Study, minutes: float | None, prices: Prices, place: Place, folder: StudyFolder) -> dict[str, Any]:
    """Return the same as data for JSON: times in seconds, each from the 10th to the 90th percentile.

    Raises:
        UserError: As of `lines`.
    """
    time, source = trial_time(minutes, folder)
    return {
        "study": study.name,
        "trials": study.budget,
        "done": len(time.known),
        "at_once": workers(study),
        "trial_seconds": time.median,
        "known_by": source,
        "currency": prices.currency if place.has_prices else None,
        "ways": [{**each.facts(), "asked": each.is_asked_by(study)} for each in _ways(study, time, prices, place)],
        "assumed": [line.removeprefix("- ") for line in _assumed(study, time, prices, place)],
    }


def _ways(study: Study, time: TrialTime, prices: Prices, place: Place) -> Iterator[Plan]:
    """Yield the plan of each schedule that the study can have, on demand and on spot machines where both are priced."""
    can_be_spot = place.has_prices and study.steps.evaluate.machine_type is not None
    for schedule in SCHEDULES:
        if (changed := with_schedule(study, schedule)) is not None:
            for spot in (False, True) if can_be_spot else (False,):
                yield plan(changed, time, prices, place, spot)


def short(study: Study, place: Place, folder: StudyFolder) -> Iterator[str]:
    """Yield the plan of a study in at most three lines, before it is submitted."""
    try:
        time, source = trial_time(None, folder)
    except UserError:
        yield f"plan: how long a trial takes is not known; `{hints.PLAN_WITH_MINUTES}` tells more"
        return
    try:
        prices = read_prices()
        found = plan(study, time, prices, place, study.steps.evaluate.spot)
    except UserError as error:
        yield f"plan: {error.message}"
        return
    cost = found.cost()
    price = "" if cost is None else f", {_range(cost)} {prices.currency} by prices.yaml of {prices.date}"
    yield f"plan: {found.wall()}{price} (by {source})"
    quicker = SCHEDULES[study.schedule].quicker
    other = None if quicker is None else with_schedule(study, quicker)
    if other is not None:
        faster = plan(other, time, prices, place, study.steps.evaluate.spot)
        yield f"      with schedule: {quicker} {faster.wall()}; `{hints.PLAN}` tells more"


def _headline(study: Study, time: TrialTime, source: str, place: Place) -> Iterator[str]:
    machine = study.steps.evaluate.machine_type or "machines of plain steps"
    on = f" on {machine}" if place.has_prices else ""
    done = f", {len(time.known)} of them done" if time.known else ""
    yield f"{study.budget} trials{done}, {workers(study)} at once{on}"
    slow = _duration(time.median * math.exp(1.2816 * time.spread))
    yield f"a trial takes {_duration(time.median)}, 10 % take over {slow} (by {source})"
    yield ""


def _row(found: Plan, place: Place, is_asked: bool, currency: str) -> list[str]:
    name: str = found.study.schedule
    if place.has_prices:
        name += ", spot" if found.spot else ", on demand"
    row = [f"{'*' if is_asked else ' '} {name}", found.wall(), found.machines()]
    cost = found.cost()
    return row if cost is None else [*row, f"{_range(cost)} {currency}"]


def _assumptions(study: Study, time: TrialTime, prices: Prices, place: Place) -> Iterator[str]:
    yield ""
    yield "assumed:"
    yield from _assumed(study, time, prices, place)


def _assumed(study: Study, time: TrialTime, prices: Prices, place: Place) -> Iterator[str]:
    yield f"- the logarithm of the time of a trial has a spread of {time.spread:.2f}"
    if study.early_stopping is not None:
        yield "- every trial runs whole, though early_stopping ends some of them sooner"
    yield from place.assumptions(study, prices)


def _range(values: Sequence[float]) -> str:
    """Return from and to as text, to three digits of the larger one."""
    digits = 0 if max(values) >= 100 else 1 if max(values) >= 10 else 2
    low, high = (f"{value:,.{digits}f}" for value in values)
    return low if low == high else f"{low} to {high}"


def _duration(seconds: float) -> str:
    unit, name = _unit(seconds)
    return f"{seconds / unit:.1f} {name}"


def _times(seconds: tuple[float, float]) -> str:
    unit, name = _unit(seconds[1])
    return f"{_range([each / unit for each in seconds])} {name}"


def _unit(seconds: float) -> tuple[float, str]:
    """Return the unit of a time that people would use, in seconds, and its name."""
    return (1.0, "s") if seconds < 90 else (60.0, "min") if seconds < 5400 else (3600.0, "h")
