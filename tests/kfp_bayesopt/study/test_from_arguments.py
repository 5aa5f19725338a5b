"""A study from arguments in Python, and its file: what is written means the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.space.parameters import Categorical, Constant, Integer, Ordinal, Real
from kfp_bayesopt.study.study import Keys, Study
from tests import ROOT
from tests.builders import a_study
from tests.examples import studies


def branin(**changes: Any) -> Study:
    given: dict[str, Any] = {
        "name": "branin",
        "objective": "objectives.branin:branin",
        "space": {"x1": Real(-5.0, 10.0), "x2": Real(0.0, 15.0)},
        "iterations": 2,
        "parallel_trials": 2,
        "optimizer": {"engine": "skopt", "random_state": 1},
    }
    return Study(**{**given, **changes})


def refused(build: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        build()
    return caught.value.message


def test_a_study_from_arguments_is_that_of_the_file() -> None:
    study = branin()
    assert study == a_study()
    assert study.fingerprint == a_study().fingerprint


@pytest.mark.parametrize(
    ("parameter", "data"),
    [
        (Real(1e-4, 1, log=True), {"type": "real", "low": 1e-4, "high": 1.0, "log": True}),
        (Real(low=0, high=1, step=0.25), {"type": "real", "low": 0, "high": 1, "step": 0.25}),
        (Real(0.5, 0.999, scale="reverse_log"), {"type": "real", "low": 0.5, "high": 0.999, "scale": "reverse_log"}),
        (Integer(1, 8), {"type": "integer", "low": 1, "high": 8}),
        (Integer(2, 8, step=2, log=True), {"type": "integer", "low": 2, "high": 8, "step": 2, "log": True}),
        (Categorical(["a", None, [1, 2]]), {"type": "categorical", "choices": ["a", None, [1, 2]]}),
        (Ordinal([8, 32, 256]), {"type": "ordinal", "values": [8, 32, 256]}),
        (Constant(False), {"type": "constant", "value": False}),
        (Real(0, 1, when={"k": ["a"], "n": {"low": 2}}), {"type": "real", "low": 0, "high": 1,
                                                          "when": {"k": ["a"], "n": {"low": 2}}}),
    ],
)  # fmt: skip
def test_a_parameter_from_arguments_is_that_of_the_file(parameter: Any, data: dict[str, Any]) -> None:
    others = {"k": {"type": "categorical", "choices": ["a", "b"]}, "n": {"type": "integer", "low": 1, "high": 3}}
    of_file = a_study(space={**others, "x": data}, optimizer={"engine": "gp"}).space["x"]
    assert parameter == of_file
    assert parameter.identity == of_file.identity
    assert eval(repr(parameter)) == parameter


def test_numbers_of_numpy_and_tuples_are_plain_ones() -> None:
    space = {"x": Real(np.float64(0.5), float(np.float32(1))), "k": Categorical((np.int64(1), "a", (1, 2)))}
    study = branin(space=space, iterations=np.int64(3))
    assert study.to_data()["space"]["k"] == {"type": "categorical", "choices": [1, "a", [1, 2]]}
    assert type(study.iterations) is int


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: Real(1, 0), "Real: low < high must hold, but got low=1.0, high=0.0"),
        (lambda: Real("a", 1), "Real: low: must be a valid number, but got 'a'"),  # type: ignore[arg-type]
        (lambda: Integer(1, 2.5), "Integer: high: must be a valid integer, but got 2.5"),  # type: ignore[arg-type]
        (lambda: Categorical([]), "Categorical: choices: must not be empty, but got []"),
        (lambda: branin(direktion="maximize"), "Study: direktion: unknown key; did you mean 'direction'?"),
        (lambda: branin(parallel_trials=0), "Study: parallel_trials: must be greater than or equal to 1, but got 0"),
        (
            lambda: branin(space={"x1": {"type": "float"}}),
            "Study: space.x1.type: must be real, integer, ordinal, categorical or constant, but got 'float'; "
            "did you mean real?",
        ),
        (
            lambda: branin(objective=["train", "--x1={x1}"]),
            "Study: objective.command: the parameter x2 is not used; put {x2} into it, or give all parameters with "
            "args: flags",
        ),
        (
            lambda: branin(objective="train.py"),
            "Study: objective.python: must be module:function, but got 'train.py'",
        ),
        (
            lambda: branin(objectives={"a": "minimize", "b": "maximize"}, direction="minimize",
                           objective=["train", "{x1}", "{x2}"], optimizer={"engine": "gp"}),
            "Study: direction: each of the objectives has its own; remove the key",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_the_path_of_its_key(build: Callable[[], object], said: str) -> None:
    assert refused(build) == said


def test_all_mistakes_are_told_at_once() -> None:
    said = refused(lambda: branin(name="A", parallel_trials=0, space={"x": Real(0, 1), "y": 3}))
    assert said.splitlines() == [
        "Study: name: must be 1 to 63 lower case letters, digits and hyphens, beginning with a letter and not ending "
        "with a hyphen, but got 'A'",
        "Study: parallel_trials: must be greater than or equal to 1, but got 0",
        "Study: space.y: must be a mapping of keys to values, but got 3",
    ]


def test_studies_are_equal_where_they_mean_the_same() -> None:
    assert branin() == branin(direction="minimize")
    assert branin() != branin(iterations=3)
    assert branin(space={"x": Categorical([1, 2])}) != branin(space={"x": Categorical([1.0, 2.0])})
    assert branin() != "branin"


def test_the_arguments_are_the_keys_of_a_study_file() -> None:
    required = {"name", "objective", "space", "parallel_trials"}
    assert {*required, *Keys.__annotations__} == {*Study.model_fields}
    assert {name for name, field in Study.model_fields.items() if field.is_required()} == required


def test_every_study_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    for number, study in enumerate(studies()):
        path = tmp_path / f"{number}.yaml"
        if study.objective.function is None:
            study.save(path)
        else:  # the file of the example's function is nowhere
            path.write_text(study.to_text())
        again = Study.from_file(path)
        assert again == study
        assert again.model_dump() == study.model_dump()
        assert again.fingerprint == study.fingerprint
        assert again.said == study.said


@pytest.mark.parametrize("path", sorted(ROOT.glob("studies/**/*.yaml")), ids=str)
def test_the_studies_that_ship_are_written_as_they_mean(path: Path) -> None:
    study = Study.from_file(path)
    again = Study.from_text(study.to_text())
    assert again.model_dump() == study.model_dump()
    assert again.fingerprint == study.fingerprint
    assert study.folder == str(path.parent)


def test_texts_that_look_like_something_else_stay_texts() -> None:
    choices = ["1e-4", "on", "null", "~", "0x1f", "2024-01-01", "", " a", "a: b", "# c", "é", "*a", "!b", "{x}", "1_0"]
    study = branin(space={"x": Categorical(choices)}, optimizer={"engine": "gp"}, iterations=1)
    assert Study.from_text(study.to_text()).space["x"].listed == tuple(choices)


def test_what_no_study_file_can_hold_is_not_written(tmp_path: Path) -> None:
    study = branin(space={"x": Categorical(["a\x00", "b"])}, optimizer={"engine": "gp"}, iterations=1)
    said = refused(lambda: study.save(tmp_path / "study.yaml"))
    assert "text cannot contain the character '\\x00'" in said
    assert not (tmp_path / "study.yaml").exists()


def test_another_file_is_not_replaced_unless_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("name: mine\n")
    said = refused(lambda: branin().save(path))
    assert said == f"{path}: is there already, with other content; give another path, or replace=True"
    assert path.read_text() == "name: mine\n"
    branin().save(path, replace=True)
    branin().save(str(path))  # the same content
    assert Study.from_file(path).fingerprint == branin().fingerprint


def test_a_mistake_in_a_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("name: mine\n")
    assert refused(lambda: Study.from_file(path)).startswith(f"{path}: objective: required key is missing\n")
    assert refused(lambda: Study.from_file(tmp_path / "none.yaml")).startswith(f"{tmp_path}/none.yaml: ")
