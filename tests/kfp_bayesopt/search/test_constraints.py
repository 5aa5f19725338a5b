"""Constraints of a search space: what they may say, and that no engine breaks one."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.search.encoding import Encoding, Floats
from kfp_bayesopt.search.sampling import keeping, spread
from kfp_bayesopt.space.constraints import parse
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt_pipeline.building.check import middle_of
from tests.asking import search
from tests.builders import BRANIN_SPACE, a_study

SPACE: dict[str, Any] = {
    **BRANIN_SPACE,
    "n": {"type": "integer", "low": 1, "high": 9},
    "kind": {"type": "categorical", "choices": ["a", "b", None, True]},
}
STUDY = a_study(space=SPACE, objective={"python": "a:b"})
POINT: Parameters = {"x1": 2.0, "x2": 3.0, "n": 4, "kind": "a"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("x1 <= x2", True),
        ("x1 + x2 < 5", False),
        ("x1 + x2 <= 5 <= n + 1", True),
        ("n % 2 == 0 and kind == 'a'", True),
        ("kind != 'a' or n >= 5", False),
        ("not (x1 > x2)", True),
        ("max(x1, x2, n) == 4", True),
        ("abs(x1 - x2) == 1", True),
        ("x1 / (n - 4) > 0", False),
        ("x1 // 2 == 1", True),
        ("-x1 < 0", True),
        ("kind < 3", False),
        ("1e308 * x1 * x2 > 0", True),
        ("min(kind, 1) == 1", False),
    ],
)
def test_a_point_keeps_it_or_not(text: str, holds: bool) -> None:
    assert parse(text, STUDY.space).holds(POINT) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x1 <=", "must be a comparison such as `min_layers <= layers`, but got 'x1 <='"),
        ("", "must be a comparison such as `min_layers <= layers`, but got ''"),
        ("x1 + x2", "must compare, with <=, <, >=, >, == or !=, but got 'x1 + x2'"),
        ("1 < 2", "must name a parameter, but got '1 < 2'"),
        ("x9 < 2", "must name parameters (x1, x2, n, kind), not 'x9', but got 'x9 < 2'"),
        ("x1 ** 9 < 2", "must do without **, but got 'x1 ** 9 < 2'"),
        ("__import__('os').system('x') == x1", "may call min, max, abs alone"),
        ("x1.real < 2", "may compare, add, subtract, multiply and divide, with and, or and not"),
        ("[x for x in (1,)] == x1", "may compare, add, subtract, multiply and divide, with and, or and not"),
        ("(lambda: x1)() < 2", "may call min, max, abs alone"),
        ("x1 < 2j", "must have numbers and texts alone"),
        ("max(x1, key=abs) < 2", "may give a function values alone"),
        ("x1 < " + "1+" * 40 + "1", "must have at most 50 parts"),
        ("x1 < " + "1" * 250, "must have at most 200 characters, but has 255"),
        ("(" * 90 + "x1" + ")" * 90 + "<1", None),
    ],
)
def test_what_is_no_comparison_of_parameters_is_refused(text: str, said: str | None) -> None:
    if said is None:
        assert parse(text, STUDY.space).holds({"x1": 0.0})
        return
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        parse(text, STUDY.space)


def test_a_short_expression_makes_no_long_text() -> None:
    assert not parse("kind * 9999999 * 9999999 != 'b'", STUDY.space).holds(POINT)


@pytest.mark.parametrize(
    ("constraints", "said"),
    [
        (["x1 < x9"], "constraints[0]: must name parameters (x1, x2), not 'x9', but got 'x1 < x9'"),
        (["x1 < 0", "x1 > 0"], "constraints: none of the space keeps all of them; check them, or choose other bounds"),
        (["x1 == 2.5"], "constraints: none of the space keeps all of them; check them, or choose other bounds"),
    ],
)
def test_constraints_that_hardly_a_point_keeps_are_refused(constraints: list[str], said: str) -> None:
    with pytest.raises(UserError) as raised:
        a_study(constraints=constraints, optimizer={"engine": "gp"})
    assert raised.value.message == f"study: {said}"


def test_scikit_optimize_knows_none() -> None:
    with pytest.raises(UserError, match="constraints: the engine 'skopt' knows none"):
        a_study(constraints=["x1 < x2"], optimizer={"engine": "skopt"})


def test_an_initial_trial_that_breaks_one_is_refused() -> None:
    with pytest.raises(UserError, match=r"initial_trials\[0\]: breaks the constraint 'x1 < x2'"):
        a_study(constraints=["x1 < x2"], optimizer={"engine": "gp"}, initial_trials=[{"x1": 5.0, "x2": 1.0}])


TIGHT = ["x1 + x2 <= 1", "x1 * 2 >= x2 - 1"]


@pytest.mark.parametrize("schedule", ["batches", "asynchronous"])
@pytest.mark.parametrize("engine", ["gp", "random", "sobol", "grid", "optuna"])
def test_no_engine_breaks_one_and_no_point_is_tried_twice(engine: str, schedule: str) -> None:
    settings: dict[str, Any] = {"engine": engine}
    if engine == "grid":
        settings["points_per_parameter"] = 4
    study = a_study(
        optimizer=settings, schedule=schedule, iterations=None, trials=16, constraints=TIGHT,
        initial_trials=[{"x1": 9.0}],
    )  # fmt: skip
    points = search(study, lambda x1, x2: (x1 + 3) ** 2 + x2).points
    assert len({json.dumps(point) for point in points}) == len(points)
    assert len(points) == (16 if engine != "grid" else sum(map(a_study(**_tight()).keeps, _grid())))
    assert all(a_study(**_tight()).keeps(point) for point in points)


def _tight() -> dict[str, Any]:
    return {"constraints": TIGHT, "optimizer": {"engine": "gp"}}


def _grid() -> list[Parameters]:
    return [{"x1": -5.0 + 5 * i, "x2": 5.0 * j} for i in range(4) for j in range(4)]


def test_the_search_finds_an_optimum_at_a_constraint() -> None:
    study = a_study(optimizer={"engine": "gp"}, iterations=12, constraints=["x1 + x2 <= 10"])
    best = Best.of(study, search(study, lambda x1, x2: -x1 - 2 * x2).ledger)
    assert best.value is not None
    assert best.value < -24.0  # -25 at x1 = -5, x2 = 15


def test_the_start_design_keeps_them_and_fills_what_is_left() -> None:
    study = a_study(**_tight())
    encoding = Encoding(study.space, study.kept)
    rows = spread(encoding, 12, 0)
    assert len(rows) == 12
    assert encoding.keeps(rows).all()
    assert _closest(rows) > 2 * _closest(keeping(encoding, 12, np.random.default_rng(0)))


def _closest(rows: Floats) -> float:
    distances = [np.sqrt(((rows - row) ** 2).sum(1)) for row in rows]
    return min(float(np.sort(each)[1]) for each in distances)


@pytest.mark.parametrize("engine", ["gp", "random", "sobol", "grid", "optuna"])
def test_a_space_of_which_constraints_leave_few_points_is_exhausted(engine: str) -> None:
    space = {name: {"type": "integer", "low": 1, "high": 40} for name in ("a", "b")}
    settings: dict[str, Any] = {"engine": engine} | ({"points_per_parameter": 5} if engine == "grid" else {})
    study = a_study(
        space=space, objective={"python": "a:b"}, constraints=["a + b <= 5"], optimizer=settings, iterations=20
    )
    points = search(study, lambda a, **_: a).points
    assert len({json.dumps(point) for point in points}) == len(points) == (10 if engine != "grid" else 1)


def test_a_check_tries_a_point_that_keeps_them() -> None:
    study = a_study(constraints=["x1 > 8"], optimizer={"engine": "gp"})
    assert study.keeps(middle_of(study))


def test_they_do_not_identify_a_study() -> None:
    gp = {"engine": "gp"}
    assert a_study(constraints=["x1 < x2"], optimizer=gp).fingerprint == a_study(optimizer=gp).fingerprint
