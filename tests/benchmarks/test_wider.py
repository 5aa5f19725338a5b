"""The problems of several objectives, of limits and of other studies: their known values."""

from __future__ import annotations

import pytest

from benchmarks import limits, objectives, transfer
from benchmarks.engine_runs import run_study, study_of


def test_the_objectives_of_the_literature_have_their_known_fronts() -> None:
    zdt1, zdt2, _, dtlz2, three, branin_currin, _ = (problem.function for problem in objectives.PROBLEMS)
    assert zdt1([0.25, 0, 0, 0, 0, 0]) == pytest.approx((0.25, 0.5))
    assert zdt2([0.5, 0, 0, 0, 0, 0]) == pytest.approx((0.5, 0.75))
    assert sum(value**2 for value in dtlz2([0.3, 0.5, 0.5, 0.5])) == pytest.approx(1.0)
    assert sum(value**2 for value in three([0.3, 0.7, 0.5, 0.5, 0.5])) == pytest.approx(1.0)
    assert branin_currin([(9.42478 + 5) / 15, 2.475 / 15])[0] == pytest.approx(0.397887, abs=1e-4)


def test_the_best_points_within_the_limits_keep_them() -> None:
    assert limits.gramacy([0.1954, 0.4044]) == pytest.approx((0.5998, 0.0), abs=1e-3)
    assert limits.bowl_beside_a_plane([0.4] * 5) == pytest.approx((1.25, 0.0))
    assert limits.branin_in_a_disc([8.1416 / 15, 2.275 / 15])[1] < 0


def test_a_run_evaluates_whole_batches() -> None:
    function, _, dimensions = transfer.FAMILIES["Branin, shifted"]
    ledger = run_study(study_of(dimensions, "random", 0), lambda point: {"value": function(point)}, 8)
    assert [record.trial for record in ledger] == list(range(1, 9))
    assert all(record.values["value"] >= 0.397 for record in ledger)
