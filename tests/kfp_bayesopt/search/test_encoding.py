"""The columns of numbers that a model sees of a space: the way there and back, and the values of discrete ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kfp_bayesopt.search.encoding import Encoding
from kfp_bayesopt.space.parameters import difference_of
from kfp_bayesopt.study.study import Study
from tests.builders import MIXED, RICH, a_study

STUDY: Study = a_study(
    space={
        **MIXED,
        "wide": {"type": "real", "low": 1e-300, "high": 1e300, "log": True},
        "huge": {"type": "integer", "low": -(10**12), "high": 10**12},
        "odd": {"type": "integer", "low": 3, "high": 7, "log": True},
    }
)
ENCODING = Encoding(STUDY.space)


def test_parameters_come_back_as_they_were() -> None:
    rows = ENCODING.from_cube(np.random.default_rng(0).random((200, len(ENCODING))))
    for row in rows:
        parameters = ENCODING.decode(row)
        again = ENCODING.decode(ENCODING.encode(parameters))
        assert list(parameters) == list(STUDY.space)
        for name, value in parameters.items():
            assert type(again[name]) is type(value)
            assert again[name] == (pytest.approx(value) if isinstance(value, float) else value), name
        assert ENCODING.key(ENCODING.encode(parameters)) == ENCODING.key(row)


def test_parameters_of_every_type_come_back_as_they_were() -> None:
    study = a_study(space=RICH, objective={"python": "a:b"})
    encoding = Encoding(study.space)
    assert "epochs" not in encoding.names
    for row in encoding.from_cube(np.random.default_rng(0).random((300, len(encoding)))):
        point = encoding.decode(row)
        assert list(point) == list(RICH)
        assert difference_of(study.space, point) is None
        again = encoding.decode(encoding.encode(point))
        for name, value in point.items():
            assert again[name] == (pytest.approx(value) if isinstance(value, float) else value)
        assert encoding.key(encoding.encode(point)) == encoding.key(row)


@pytest.mark.parametrize(
    ("name", "lower", "share"),
    [("momentum", 0.95, 0.37), ("keep", 0.5, 0.5), ("decay", 0.01, 0.57), ("width", 160, 0.57), ("batch", 20, 1 / 3)],
)
def test_a_scale_gives_each_part_its_share(name: str, lower: float, share: float) -> None:
    encoding = Encoding(a_study(space={name: RICH[name]}, objective={"python": "a:b"}).space)
    values = [encoding.decode(row)[name] for row in encoding.from_cube((np.arange(999)[:, None] + 0.5) / 999)]
    assert sum(float(str(value)) <= lower for value in values) / 999 == pytest.approx(share, abs=0.03)


def test_every_value_of_a_discrete_parameter_has_the_same_share_of_the_cube() -> None:
    encoding = Encoding(a_study(space={"n": {"type": "integer", "low": 2, "high": 11, "step": 3}}).space)
    rows = encoding.from_cube((np.arange(400)[:, None] + 0.5) / 400)
    values = [encoding.decode(row)["n"] for row in rows]
    assert {value: values.count(value) for value in values} == {2: 100, 5: 100, 8: 100, 11: 100}


def test_the_rows_of_a_finite_space_are_each_of_its_points_once() -> None:
    space = {name: MIXED[name] for name in ("width", "depth", "kind")}
    encoding = Encoding(a_study(space=space).space)
    points = {json.dumps(encoding.decode(encoding.row(number))) for number in range(int(encoding.size))}
    assert len(points) == encoding.size == 7 * 9 * 6


def test_levels_and_indices_are_each_others_inverse() -> None:
    for column, levels in enumerate(ENCODING.levels):
        for index in {0, levels // 2, levels - 1} if levels else ():
            assert ENCODING.index(column, ENCODING.level(column, index)) == index


def test_values_that_a_float_cannot_tell_apart_are_one_point() -> None:
    encoding = Encoding(a_study(space={"x": {"type": "real", "low": 1e9, "high": 1e9 + 100}}).space)
    rows = (np.arange(1000)[:, None] / 1000 + 0.7) * 1e-9  # around the first float above low
    values = {encoding.decode(row)["x"] for row in rows}
    assert len(values) == 1
    assert len({encoding.key(row) for row in rows}) == 1
