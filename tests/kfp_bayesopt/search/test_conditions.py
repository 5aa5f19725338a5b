"""Parameters that are there only with some values of others."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.proposing.verify import verify
from kfp_bayesopt.report.contents import contents
from kfp_bayesopt.search.encoding import Encoding
from kfp_bayesopt.space.parameters import difference_of
from kfp_bayesopt_pipeline.building.check import middle_of
from tests.asking import search
from tests.builders import a_record, a_study

SPACE: dict[str, Any] = {
    "model": {"type": "categorical", "choices": ["svm", "forest", "none"]},
    "degree": {"type": "integer", "low": 2, "high": 5, "when": {"kernel": "poly"}},
    "kernel": {"type": "categorical", "choices": ["rbf", "poly"], "when": {"model": "svm"}},
    "gamma": {"type": "real", "low": 1e-5, "high": 1e-1, "log": True, "when": {"model": ["svm"]}},
    "trees": {"type": "integer", "low": 10, "high": 500, "when": {"model": "forest"}},
    "limit": {"type": "integer", "low": 2, "high": 8, "when": {"trees": {"low": 100}}},
    "seed": {"type": "constant", "value": 7, "when": {"model": "none"}},
}


def objective(
    model: str,
    degree: int | None = None,
    kernel: str | None = None,
    gamma: float | None = None,
    trees: int | None = None,
    limit: int | None = None,
    seed: int | None = None,
) -> float:
    assert (kernel is None) == (gamma is None) == (model != "svm")
    assert (degree is None) == (kernel != "poly")
    assert (trees is None) == (model != "forest")
    assert (limit is None) == (trees is None or trees < 100)
    assert seed == (7 if model == "none" else None)
    return {"svm": gamma or 0, "forest": (trees or 0) / 1000, "none": 1.0}[model]


def study_of(**changes: Any) -> Any:
    return a_study(**{"space": SPACE, "objective": {"python": "a:b"}, "optimizer": {"engine": "gp"}, **changes})


def test_a_point_has_what_is_there_and_comes_back_as_it_was() -> None:
    study = study_of()
    encoding = Encoding(study.space)
    rows = encoding.from_cube(np.random.default_rng(0).random((300, len(encoding))))
    seen = Counter[tuple[str, ...]]()
    for row in rows:
        point = encoding.decode(row)
        assert difference_of(study.space, point) is None
        assert [name for name in SPACE if name in point] == list(point)
        seen[tuple(point)] += 1
        again = encoding.decode(encoding.encode(point))
        assert again == {name: pytest.approx(value) if name == "gamma" else value for name, value in point.items()}
    assert set(seen) == {
        ("model", "kernel", "gamma"), ("model", "degree", "kernel", "gamma"), ("model", "trees"),
        ("model", "trees", "limit"), ("model", "seed"),
    }  # fmt: skip


def test_what_is_not_there_tells_no_two_points_apart() -> None:
    encoding = Encoding(study_of().space)
    rows = encoding.from_cube(np.random.default_rng(0).random((300, len(encoding))))
    nothing = [row for row in rows if encoding.decode(row)["model"] == "none"]
    assert len({encoding.key(row) for row in nothing}) == 1
    assert len({row.tobytes() for row in nothing}) == 1  # the model sees one point


@pytest.mark.parametrize("schedule", ["batches", "asynchronous"])
@pytest.mark.parametrize("engine", ["gp", "random", "sobol", "grid", "optuna"])
def test_no_engine_gives_what_is_not_there(engine: str, schedule: str) -> None:
    settings: dict[str, Any] = {"engine": engine} | ({"points_per_parameter": 1} if engine == "grid" else {})
    study = study_of(
        optimizer=settings, schedule=schedule, iterations=None, trials=24,
        initial_trials=[{"model": "forest", "trees": 300}, {"model": "none"}],
    )  # fmt: skip
    points = search(study, objective).points
    assert points[0]["trees"] == 300
    assert "limit" in points[0]
    assert points[1] == {"model": "none", "seed": 7}
    assert len({json.dumps(point) for point in points}) == len(points)
    assert len(points) == 24 or engine == "grid"


def test_the_search_finds_the_best_branch() -> None:
    study = study_of(iterations=16)
    done = search(study, objective)
    best = Best.of(study, done.ledger)
    assert best.value is not None
    assert best.value < 0.003
    found = verify(study, done.ledger, done.suggestions, False)
    assert {each.verdict for each in found} == {"same"}


def test_a_small_space_is_exhausted() -> None:
    space = {
        "model": {"type": "categorical", "choices": ["a", "b", "c"]},
        "size": {"type": "integer", "low": 1, "high": 3, "when": {"model": ["b"]}},
        "depth": {"type": "integer", "low": 1, "high": 60, "when": {"model": "b", "size": {"high": 1}}},
    }
    done = search(study_of(space=space, iterations=60), lambda depth=0, **_: depth)
    # a, c, b with the sizes 2 and 3, and b with the size 1 and 60 depths
    assert len(done.ledger) == 2 + 2 + 60
    assert len({json.dumps(point) for point in done.points}) == len(done.points)


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ({"x": 1.0}, "space.x.when: names the parameter itself"),
        ({"z": 1}, "space.x.when: z is no parameter of the study; known: x, y, kind"),
        ({"kind": "c"}, 'space.x.when: kind="c" is none of the choices'),
        ({"kind": ["a", "c"]}, 'space.x.when: kind="c" is none of the choices'),
        ({"kind": {"low": 1}}, "space.x.when: kind is no number; name its values"),
        ({"y": 99.0}, "space.x.when: y=99.0 does not lie between 0.0 and 1.0"),
        ({"y": {}}, "space.x.when.y: low or high must be given"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(when: dict[str, Any], said: str) -> None:
    real = {"type": "real", "low": 0.0, "high": 1.0}
    space = {"x": {**real, "when": when}, "y": real, "kind": {"type": "categorical", "choices": ["a", "b"]}}
    with pytest.raises(UserError) as raised:
        study_of(space=space)
    assert said in raised.value.message


def test_conditions_in_a_circle_are_refused() -> None:
    real = {"type": "real", "low": 0.0, "high": 1.0}
    space = {"x": {**real, "when": {"y": {"low": 0.5}}}, "y": {**real, "when": {"x": {"low": 0.5}}}, "z": real}
    with pytest.raises(UserError, match="space: x, y are there only when each other are; leave one `when` out"):
        study_of(space=space)


def test_what_cannot_have_them_says_so() -> None:
    with pytest.raises(UserError, match=r"space\.degree\.when: the engine 'skopt' knows no `when`"):
        study_of(optimizer={"engine": "skopt"})
    command = {"command": ["train", *(f"{{{name}}}" for name in SPACE)]}
    with pytest.raises(UserError, match=r"space\.degree\.when: a placeholder needs a value in each trial"):
        study_of(objective=command)


def test_a_record_with_what_should_not_be_there_is_of_another_study() -> None:
    space = study_of().space
    assert difference_of(space, {"model": "none", "seed": 7, "trees": 10}) == (
        'its trees is there, though {"model": "forest"} does not hold'
    )
    assert difference_of(space, {"model": "forest"}) == "it has no trees"


def test_a_constraint_asks_nothing_of_what_is_not_there() -> None:
    study = study_of(constraints=["trees >= 200", "degree != 3"])
    assert study.keeps({"model": "none", "seed": 7})
    assert not study.keeps({"model": "forest", "trees": 100, "limit": 2})


def test_a_check_and_a_report_take_them() -> None:
    study = study_of()
    assert middle_of(study) == {"model": "forest", "trees": 255, "limit": 5}
    encoding = Encoding(study.space)
    rows = encoding.from_cube(np.random.default_rng(0).random((30, len(encoding))))
    ledger = [
        a_record(study, number, float(number % 7), parameters=encoding.decode(row))
        for number, row in enumerate(rows, 1)
    ]
    found = contents(study, ledger, Best.of(study, ledger))
    trees = next(each for each in found["parameters"] if each["name"] == "trees")
    assert trees["values"] == [record.parameters.get("trees") for record in ledger]
    assert None in trees["values"]


def test_a_condition_is_part_of_what_identifies_a_study() -> None:
    real = {"type": "real", "low": 0.0, "high": 1.0}
    kind = {"type": "categorical", "choices": ["a", "b"]}
    plain = study_of(space={"x": real, "kind": kind})
    assert study_of(space={"x": {**real, "when": {}}, "kind": kind}).fingerprint == plain.fingerprint
    assert study_of(space={"x": {**real, "when": {"kind": "a"}}, "kind": kind}).fingerprint != plain.fingerprint
