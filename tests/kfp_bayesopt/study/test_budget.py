"""Which trials are proposed together."""

from __future__ import annotations

import pytest

from kfp_bayesopt.study.budget import batch_after, batches
from tests.builders import a_study


@pytest.mark.parametrize(("after", "expected"), [(0, [1, 2, 3]), (3, [4, 5, 6]), (5, [6]), (6, []), (100, [])])
def test_a_batch_begins_after_a_trial_and_ends_with_the_budget(after: int, expected: list[int]) -> None:
    assert list(batch_after(a_study(iterations=2, parallel_trials=3), after)) == expected


def test_the_batches_of_a_study_are_its_whole_budget() -> None:
    assert batches(a_study(iterations=3, parallel_trials=2)) == [range(1, 3), range(3, 5), range(5, 7)]
