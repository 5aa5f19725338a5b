"""Runs a study elsewhere, stops it, and finds it again, for somebody in Python."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass
from typing import Any

from kfp_bayesopt.errors import UserError, shown
from kfp_bayesopt.folder.jobs import last_job, read_job
from kfp_bayesopt.folder.roots import local_root
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.session.opening import GoingOn
from kfp_bayesopt.session.view import View
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.elsewhere.order import Order
from kfp_bayesopt_pipeline.places import HERE, SERVICES, load_place
from kfp_bayesopt_pipeline.places.protocol import Place
from kfp_bayesopt_pipeline.plan.plan import plan, trial_time
from kfp_bayesopt_pipeline.plan.prices import read_prices


def run_elsewhere(
    study: Study,
    on: str,
    *,
    root: str | None,
    going_on: GoingOn,
    image: str | None,
    data: str,
    max_cost: float | None,
    wait: bool,
    view: View,
) -> str:
    """Run a study in a place, and return the study folder.

    Args:
        study: The study.
        on: The name of the place.
        root: The study folder; by default where the place has it.
        going_on: How the study goes on.
        image: The image of the trials, or `build` for one that is built; by default that of the Python of a function,
            else the one that was built from the folder of the code.
        data: What the objective is given.
        max_cost: What the trials may cost, where they have a price: the study ends there.
        wait: Wait for the end, where a job goes on without us.
        view: How it is shown.

    Raises:
        UserError: There is no such place, a setting or an image is missing, the plan of the study costs more, the
            study cannot go on, or has failed.
    """
    place = _place(on)
    if max_cost is not None and place.has_prices:
        estimate = estimate_of(study, on)
        if estimate is not None and estimate.cost is not None and estimate.cost > max_cost:
            raise UserError(
                f"max_cost: the study may cost {estimate.cost:,.2f} {estimate.currency} ({estimate.source}), more than "
                f"{max_cost:g}; give it fewer trials or another machine, or a higher max_cost"
            )
        stop = study.stop.model_copy(update={"max_cost": float(max_cost)})
        study = study.model_copy(update={"stop": stop})
    order = Order(study, on, root, going_on, image, data, wait, view)
    found: str = _module(place).run(order)
    return found


def stop_elsewhere(root: str) -> str:
    """Stop the last job of a study folder where it runs, and return what happens now.

    Raises:
        UserError: There is no job, it has ended, or its place cannot stop it from here.
    """
    job = last_job(root)
    if job is None:
        raise UserError(f"{root}: has no job to stop")
    opened = read_job(root, job)
    said: str = _module(_place(opened.place)).stop(root, opened)
    return said


def find_root(name: str, on: str) -> str:
    """Return the newest study folder of a name in a place.

    Raises:
        NotFoundError: There is none.
        UserError: A setting is missing, or the place cannot be looked at.
    """
    found: str = _module(_place(on)).find(name, on)
    return found


@dataclass(frozen=True)
class Estimate:
    """What a study is expected to cost.

    Attributes:
        cost: The cost that nine of ten simulations stay below; None where nothing is known of its trials' time.
        currency: Its currency.
        source: What it follows from, or what is missing.
    """

    cost: float | None
    currency: str
    source: str


def estimate_of(study: Study, on: str, root: str | None = None) -> Estimate | None:
    """Return what a study is expected to cost in a place; None where nothing has a price.

    Args:
        study: The study.
        on: The name of the place.
        root: A study folder whose trials tell how long one takes; by default that of this machine.

    Raises:
        UserError: There is no such place, or a machine has no price.
    """
    place = _place(on)
    if not place.has_prices:
        return None
    prices = read_prices()
    try:
        time, source = trial_time(None, StudyFolder(root or local_root(study), study))
    except UserError as error:
        return Estimate(None, prices.currency, error.message)
    cost = plan(study, time, prices, place, study.steps.evaluate.spot).cost()
    assert cost is not None, "the place has prices"
    return Estimate(cost[1], prices.currency, f"by {source}, and prices.yaml of {prices.date}")


def _place(name: str) -> Place:
    known = HERE | SERVICES
    if name not in known:
        near = difflib.get_close_matches(str(name)[:100], known, 1)
        offered = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
        raise UserError(f"on: no place {shown(name)}; {offered}")
    return load_place(name)


def _module(place: Place) -> Any:
    """Return the module of this folder that runs, stops and finds studies in a place."""
    return importlib.import_module(f"{__package__}.{place.elsewhere}")
