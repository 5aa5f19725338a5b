"""What a report says of studies with early stopping, by ledgers of which the truth is known."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.report.contents import contents
from tests.builders import a_record
from tests.made_curves import CATEGORICAL, CONDITIONAL, Curves, curve, stopped_early

KINDS: dict[str, dict[str, Any]] = {
    "asha": {},
    "asha of few steps": {"early_stopping": {"rule": "asha", "max_steps": 27, "min_steps": 1, "eta": 3}},
    "median": {"early_stopping": {"rule": "median", "max_steps": 27}},
    "hyperband": {"early_stopping": {"rule": "hyperband", "max_steps": 27}},
    "maximize": {"direction": "maximize"},
    "a choice": {"space": CATEGORICAL},
    "a parameter that is not always there": {"space": CONDITIONAL},
    "asynchronous": {"schedule": "asynchronous"},
    "noise": {"noise": 0.1},
    "the best value of a curve": {"best": True},
    "failures": {"failing": 0.25},
    "random": {"optimizer": {"engine": "random", "random_state": 1}},
    "few trials": {"trials": 16},
}


# Where too few whole trials are among them to say it, nothing is said.
CONDITIONS = "a parameter that is not always there"
UNSURE = {
    ("few trials", 0),
    ("few trials", 1),
    ("a choice", 0),
    ("a parameter that is not always there", 0),
    (CONDITIONS, 3),
}
MADE = [pytest.param(kind, seed, marks=[pytest.mark.long] if seed else []) for kind in KINDS for seed in (0, 1)]


@functools.cache
def made(kind: str, seed: int) -> Curves:
    return stopped_early(seed, **KINDS[kind])


def said(curves: Curves, ledger: list[Record]) -> dict[str, Any]:
    return contents(curves.study, ledger, Best.of(curves.study, ledger))


@functools.cache
def said_of(kind: str, seed: int) -> dict[str, Any]:
    return said(made(kind, seed), made(kind, seed).ledger)


@pytest.mark.parametrize(("kind", "seed"), [*MADE, pytest.param(CONDITIONS, 3, marks=pytest.mark.long)])
def test_the_model_learns_stopped_trials_with_their_steps(kind: str, seed: int) -> None:
    """The survivors are all good, and a model of them alone took whatever differed among them for what matters."""
    curves = made(kind, seed)
    sign = 1 if curves.study.direction == "minimize" else -1
    assert sum(record.state == "stopped" for record in curves.ledger) >= 5
    model = said_of(kind, seed)["model"]
    assert [each["name"] for each in model["importance"][:1]] in ([], ["rate"])
    assert model["importance"] or (kind, seed) in UNSURE
    if not model["random"]:
        assert (kind, seed) in UNSURE
        assert (
            model["random_unknown"]
            == "the trials that were stopped early tell too little of what whole ones would give"
        )
        return
    drawn = {trials: sign * value for trials, value in model["random"]}
    band = {trials: sorted((sign * one, sign * other)) for trials, one, other in model["random_band"]}
    for trials in (5, 17, len(curves.ledger)):
        nearest = min(drawn, key=lambda each: abs(each - trials))
        low, high = band[nearest]
        assert low - 0.02 <= curves.expected(nearest) <= high + 0.02, (nearest, curves.expected(nearest), low, high)
        assert drawn[nearest] == pytest.approx(
            curves.expected(nearest), rel=0.6, abs=0.15 if kind in ("noise", CONDITIONS) else 0.05
        )


@pytest.mark.parametrize(("kind", "seed"), MADE)
def test_no_advice_takes_the_steps_of_a_trial_for_something_else(kind: str, seed: int) -> None:
    """A bad value of a trial that was stopped is neither noise, nor its parameters' fault, nor a failure."""
    curves = made(kind, seed)
    sentences = {each["kind"]: each["text"] for each in said_of(kind, seed)["advice"]}
    assert "noise" not in sentences, sentences
    assert "bound" not in sentences or "rate" not in sentences["bound"].partition(". ")[0]
    assert "failures" not in sentences
    assert "rate" not in sentences.get("unimportant", "")
    assert "nothing to compare" not in sentences
    progress = sentences["progress"]
    assert not progress.startswith("The search has not converged"), "all trials have ended, the stopped ones too"
    if progress.startswith("The search has converged"):
        best = min(curve(record.parameters)[-1] for record in curves.ledger if record.state == "completed")
        assert best - curves.whole.min() < 0.05


@pytest.mark.parametrize("survivors", [0, 1, 2])
def test_few_survivors_are_enough_to_know_what_matters_and_none_is_not(survivors: int) -> None:
    curves = made("random", 0)
    completed = [record for record in curves.ledger if record.state == "completed"][:survivors]
    ledger = sorted(
        [record for record in curves.ledger if record.state == "stopped"] + completed, key=lambda each: each.trial
    )
    found = said(curves, ledger)
    if not survivors:
        assert found["model"] is None
        assert [each["text"] for each in found["advice"]] == [
            f"No trial has completed: {len(ledger)} were stopped early, so that there is no best one. Raise "
            "early_stopping.min_steps, or the number of trials."
        ]
    else:
        assert [each["name"] for each in found["model"]["importance"][:1]] == ["rate"]


def test_a_limit_on_a_metric_that_a_stopped_trial_never_gave_is_no_failure() -> None:
    curves = made("asha", 0)
    study = curves.study.model_copy(update={"limits": {"latency": "<= 100"}})
    study.__dict__.pop("bounds", None)
    ledger = [
        record.model_copy(update={"values": {**record.values, "latency": 1.0}})
        if record.state == "completed" else record
        for record in curves.ledger
    ]  # fmt: skip
    found = contents(study, ledger, Best.of(study, ledger))
    assert "failures" not in {each["kind"] for each in found["advice"]}


def test_a_stopped_trial_of_which_nobody_knows_how_far_it_came_is_left_out() -> None:
    curves = made("asha", 0)
    study = curves.study
    ledger = [*curves.ledger, a_record(study, 41, 7e9, state="stopped", parameters=curves.ledger[0].parameters)]
    assert said(curves, ledger)["model"]["importance"] == said_of("asha", 0)["model"]["importance"]
