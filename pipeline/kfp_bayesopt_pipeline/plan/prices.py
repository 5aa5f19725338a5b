"""The prices of machines, which a person corrects in a file, and the cost of an hour of a step by them."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from kfp_bayesopt import workspace
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.foreign import checked, read_foreign_yaml
from kfp_bayesopt.strict import StrictModel
from kfp_bayesopt.study.machines import Step
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline import shipped

MAX_BYTES = 100_000

Price = Annotated[float, Field(ge=0, le=1e6)]
Seconds = Annotated[float, Field(ge=0, le=86400)]


class PlainStep(StrictModel):
    """The machine of a step without a machine type."""

    machine: str
    cpus: float = Field(gt=0)
    memory_gb: float = Field(gt=0)


class Spot(StrictModel):
    """Spot machines."""

    share: float = Field(gt=0, le=1, description="Of the price on demand.")
    losses_per_hour: float = Field(ge=0, le=10, description="How often one is taken away.")


class StartSeconds(StrictModel):
    """From the order of a machine to the start of our program."""

    vertex: Seconds
    persistent_resource: Seconds
    kfp: Seconds


class Prices(StrictModel):
    """A file of prices."""

    date: Annotated[date, BeforeValidator(lambda value: date.fromisoformat(value) if isinstance(value, str) else value)]
    currency: str = Field(pattern="^[A-Z]{3}$")
    region: str
    pipeline_run: Price
    plain_step: PlainStep
    machines: dict[str, Price]
    accelerators: dict[str, Price]
    spot: Spot
    start_seconds: StartSeconds

    def an_hour(self, step: Step, machine: str | None) -> float:
        """Return the on-demand cost of an hour of a step.

        Args:
            step: The step.
            machine: Its machine type, if it has one.

        Raises:
            UserError: A machine or an accelerator has no price.
        """
        plain = self.plain_step
        cost = self._price("machines", machine or plain.machine)
        if machine is None:
            cost *= max(1.0, step.cpus / plain.cpus, step.memory_gb / plain.memory_gb)
        if step.accelerator_type is not None:
            cost += self._price("accelerators", step.accelerator_type) * (step.accelerator_count or 1)
        return cost

    def of_trials(self, study: Study, spot: bool) -> float:
        """Return the cost of an hour of a machine that evaluates trials.

        Raises:
            UserError: It has no price.
        """
        step = study.steps.evaluate
        return self.an_hour(step, step.machine_type) * (self.spot.share if spot else 1.0)

    def _price(self, what: str, name: str) -> float:
        known: dict[str, float] = getattr(self, what)
        if name not in known:
            raise UserError(f"prices.yaml: {what} has no price of {name}; add it in a prices.yaml of your repository")
        return known[name]


def read_prices(path: Path | None = None) -> Prices:
    """Read a file of prices.

    Args:
        path: The file; without one the nearest prices.yaml of the person's repository, else the list prices.

    Raises:
        UserError: It is missing or has mistakes.
    """
    path = path or workspace.found(shipped.PRICES.name, os.path.isfile) or shipped.PRICES
    return checked(Prices, read_foreign_yaml(str(path), MAX_BYTES), str(path))
