"""What a noisy study recommends."""

from __future__ import annotations

import numpy as np
import pytest

from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.proposing.recommendation import recommend
from kfp_bayesopt.study.study import Study
from tests.builders import a_record, a_study

SPACE = {"x": {"type": "real", "low": 0.0, "high": 1.0}}


def noisy_ledger(study: Study) -> list[Record]:
    """Return 40 noisy values of a parabola with its best at 0.3, and a lucky one far from there."""
    rng = np.random.default_rng(0)
    sign = 1 if study.direction == "minimize" else -1
    ledger = [
        a_record(study, trial, sign * float(4 * (x - 0.3) ** 2 + rng.normal(0, 0.2)), parameters={"x": float(x)})
        for trial, x in enumerate(rng.random(40), 1)
    ]
    lucky = a_record(study, 41, sign * -1.0, parameters={"x": 0.9})
    return [*ledger, lucky, a_record(study, 42, None, parameters={"x": 0.31})]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("engine", ["gp", "random"])
def test_it_is_where_the_model_is_best_and_not_the_luckiest_trial(direction: str, engine: str) -> None:
    study = a_study(space=SPACE, direction=direction, noisy=True, optimizer={"engine": engine})
    ledger = noisy_ledger(study)
    assert Best.of(study, ledger).trial == 41
    recommended = recommend(study, ledger)
    assert recommended is not None
    assert abs(float(str(recommended.parameters["x"])) - 0.3) < 0.15
    assert recommended.value == ledger[recommended.trial - 1].value
    assert abs(recommended.mean) < 0.2


def test_two_trials_tell_nothing_about_noise() -> None:
    study = a_study(space=SPACE, noisy=True)
    assert recommend(study, noisy_ledger(study)[:2]) is None
    assert recommend(study, []) is None


def test_it_is_found_among_values_that_are_all_equal() -> None:
    study = a_study(space=SPACE, noisy=True)
    recommended = recommend(study, [a_record(study, n, 2.0, parameters={"x": n / 10}) for n in range(1, 6)])
    assert recommended is not None
    assert recommended.mean == pytest.approx(2.0)
