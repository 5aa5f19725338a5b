"""Which trials of a batch lie within the budget of a study."""

from __future__ import annotations

import pytest

from bayesopt.budget import due
from bayesopt.space import Parameters
from tests.builders import a_batch, a_study

POINTS: list[Parameters] = [{"x1": 1.0, "x2": 2.0}, {"x1": 3.0, "x2": 4.0}]


@pytest.mark.parametrize(
    ("iteration", "first", "expected"), [(1, 1, 2), (2, 3, 2), (2, 4, 1), (2, 5, 0), (3, 3, 0), (3, 5, 0)]
)
def test_a_batch_is_due_up_to_the_last_trial_and_the_last_iteration(iteration: int, first: int, expected: int) -> None:
    study = a_study(iterations=2, parallel_trials=2)
    assert due(study, a_batch(study, POINTS, iteration, first)) == expected
