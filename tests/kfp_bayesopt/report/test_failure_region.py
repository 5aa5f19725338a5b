"""Where failed trials lie."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import hypergeom

from kfp_bayesopt.report.failure_region import FailureRegion, failure_region, log_chance
from kfp_bayesopt.search.encoding import Encoding
from tests.builders import MIXED, a_study

ENCODING = Encoding(a_study(space=MIXED, objective={"python": "a:b"}).space)
POINTS = ENCODING.from_cube(np.random.default_rng(0).random((80, len(ENCODING))))
KIND = ENCODING.names.index("kind")


def test_a_choice_that_fails_is_named_with_its_type() -> None:
    found = failure_region(ENCODING, POINTS, POINTS[:, KIND] == 3)
    assert found is not None
    count = int((POINTS[:, KIND] == 3).sum())
    assert found == FailureRegion("kind", "=", "1", count, count, 0, 80 - count)


def test_a_bound_is_a_value_of_the_parameter() -> None:
    rate = ENCODING.names.index("rate")
    found = failure_region(ENCODING, POINTS, POINTS[:, rate] > 0.75)
    assert found is not None
    assert (found.name, found.relation, found.failed_elsewhere) == ("rate", ">=", 0)
    assert 1e-2 <= float(str(found.value)) < 2e-2


@pytest.mark.parametrize("n", [5, 80, 3000])
def test_the_chance_of_failures_is_that_of_the_hypergeometric_distribution(n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(40):
        failures, size = (int(each) for each in rng.integers(1, n, 2))
        there = int(rng.integers(max(0, size + failures - n), min(failures, size) + 1))
        expected = hypergeom.logsf(there - 1, n, failures, size)
        assert log_chance(there, n, failures, size) == pytest.approx(expected, rel=1e-8, abs=1e-9)


def test_failures_by_chance_are_in_no_region() -> None:
    by_chance = [failure_region(ENCODING, POINTS, np.random.default_rng(seed).random(80) < 0.15) for seed in range(40)]
    assert sum(found is not None for found in by_chance) <= 2


def test_a_few_failures_and_only_failures_are_in_no_region() -> None:
    assert failure_region(ENCODING, POINTS, np.arange(80) < 3) is None
    assert failure_region(ENCODING, POINTS, np.ones(80, dtype=bool)) is None
