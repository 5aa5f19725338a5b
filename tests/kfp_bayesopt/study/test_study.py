"""The study file: what it may hold, and what is said about each mistake."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import Field
from ruamel.yaml import YAML

from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.space.parameters import Real
from kfp_bayesopt.study.objective import Objective
from kfp_bayesopt.study.study import Study
from tests import ROOT
from tests.builders import X, a_study, study_data, study_text

TYPES = "real, integer, ordinal, categorical or constant"
KEYS = ("when", "type", "low", "high", "log", "scale", "step")

STUDIES = sorted(ROOT.glob("studies/**/*.yaml"))


def mistakes(content: bytes | str) -> list[str]:
    """Return the lines that are said about a bad study file."""
    with pytest.raises(UserError) as caught:
        Study.from_text(content.encode() if isinstance(content, str) else content, "study.yaml")
    lines = caught.value.message.splitlines()
    assert all(line.startswith("study.yaml: ") for line in lines)
    return [line.removeprefix("study.yaml: ") for line in lines]


def mistakes_with(**changes: Any) -> list[str]:
    """Return what is said about a study that is good but for these changes."""
    return mistakes(study_text(**changes))


def mistakes_of(**parameter: Any) -> list[str]:
    """Return what is said about the only parameter of a space."""
    return mistakes_with(space={"lr": parameter})


# --- files -------------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        Study.from_file(str(tmp_path / "none.yaml"))
    assert caught.value.message == f"{tmp_path}/none.yaml: no such file"


@pytest.mark.parametrize("content", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_is_no_study(content: str) -> None:
    assert mistakes(content) == ["the file is empty; describe a study in it, as docs/study.md explains"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name: [", "line 1: not valid YAML: expected the node content, but found '<stream end>'"),
        ("a: b: c", "line 1: not valid YAML: mapping values are not allowed here"),
        ("a: 1\n\tb: 2", "line 2: not valid YAML: found character '\\t' that cannot start any token"),
        ("a: 1\n---\nb: 2", "line 2: a second document begins; keep one in the file"),
        ("- a", "must be a mapping of keys to values, but got a list: ['a']"),
        ("hello", "must be a mapping of keys to values, but got 'hello'"),
    ],
)
def test_what_is_not_a_yaml_mapping_is_refused_with_its_line(content: str, said: str) -> None:
    assert mistakes(content) == [said]


def test_bytes_that_are_not_utf8_are_refused() -> None:
    assert mistakes(b"name: \xff") == ["not UTF-8 text: invalid start byte at byte 6; save it as UTF-8"]


def test_control_characters_are_refused() -> None:
    assert mistakes("name: \x00") == [
        "not valid YAML: unacceptable character #x0000: special characters are not allowed"
    ]


def test_yaml_that_names_a_python_class_builds_nothing() -> None:
    (said,) = mistakes("a: !!python/object/apply:os.system ['echo no']")
    assert said == (
        "line 1: tags such as !!str are not supported; write the value alone, text that begins with ! in quotes"
    )


# --- mistakes ----------------------------------------------------------------------------------


def test_low_must_be_below_high() -> None:
    said = ["space.lr: low < high must hold, but got low=0.1, high=0.001"]
    assert mistakes_of(type="real", low=0.1, high=0.001) == said
    assert mistakes_of(type="integer", low=3, high=3) == ["space.lr: low < high must hold, but got low=3, high=3"]


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_a_log_range_must_be_positive(low: float) -> None:
    said = [f"space.lr: low > 0 must hold for a log scale, but got low={low}, high=1.0"]
    assert mistakes_of(type="real", low=low, high=1.0, log=True) == said


def test_a_range_that_overflows_is_refused() -> None:
    said = ["space.lr: high - low must be a finite number, but got low=-1e+308, high=1e+308"]
    assert mistakes_of(type="real", low=-1e308, high=1e308) == said


@pytest.mark.parametrize("high", [".inf", ".nan"])
def test_bounds_must_be_finite(high: str) -> None:
    text = study_text(space={"lr": {"type": "real", "low": 0, "high": "HIGH"}}).decode()
    said = [f"space.lr.high: must be a finite number, but got {high[1:]}"]
    assert mistakes(text.replace('"HIGH"', high)) == said


def test_an_empty_categorical_is_refused() -> None:
    assert mistakes_of(type="categorical", choices=[]) == ["space.lr.choices: must not be empty, but got []"]


@pytest.mark.parametrize("choice", [".nan", "[1, .inf]", "{a: [.nan]}"])
def test_a_choice_without_a_finite_number_is_one_mistake(choice: str) -> None:
    text = study_text(space={"lr": {"type": "categorical", "choices": ["CHOICE", 1]}}).decode()
    (said,) = mistakes(text.replace('"CHOICE"', choice))
    rule = "must be text, a finite number, a boolean or null"
    assert re.fullmatch(rf"space\.lr\.choices\[0\](\[\d\])?: {rule}, but got (nan|inf)", said), said


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ({"type": "float"}, "but got 'float'; did you mean real?"),
        ({"type": "int"}, "but got 'int'; did you mean integer?"),
        ({"type": "bool"}, "but got 'bool'; did you mean categorical?"),
        ({"type": "discrete"}, "but got 'discrete'; did you mean ordinal?"),
        ({"type": "loguniform"}, "but got 'loguniform'; did you mean real with log: true?"),
    ],
)
def test_a_type_of_another_tool_is_told_what_it_is_here(parameter: dict[str, Any], said: str) -> None:
    (line,) = mistakes_of(**parameter)
    assert line.endswith(said)


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        (
            {"type": "real", "low": 0.1, "high": 0.55, "step": 0.1},
            "high must be low plus a multiple of step, but got low=0.1, high=0.55, step=0.1; use high: 0.5",
        ),
        (
            {"type": "real", "low": 0, "high": 1, "step": 2},
            "step <= high - low must hold, but got low=0.0, high=1.0, step=2.0",
        ),
        (
            {"type": "real", "low": 0, "high": 1, "step": 1e-9},
            "there must be at most 1,000,000 steps, but got low=0.0, high=1.0, step=1e-09; leave step out",
        ),
        (
            {"type": "real", "low": 0.5, "high": 1, "scale": "reverse_log"},
            "0 <= low < high < 1 must hold for a reverse_log scale, but got low=0.5, high=1.0",
        ),
        (
            {"type": "real", "low": 0, "high": 0.9, "scale": "logit"},
            "0 < low < high < 1 must hold for a logit scale, but got low=0.0, high=0.9",
        ),
        (
            {"type": "real", "low": 1, "high": 9, "scale": "log", "log": True},
            "log and scale say the same; give one of them",
        ),
        (
            {"type": "ordinal", "values": [8, 256, 32]},
            "numbers must go up or down, but got [8, 256, 32]; without an order use categorical",
        ),
        ({"type": "ordinal", "values": ["low", "low"]}, 'duplicate value "low"'),
        ({"type": "categorical", "choices": [[1, 2], [1, 2]]}, "duplicate choice [1, 2]"),
        ({"type": "categorical", "choices": [{"a": 1, "b": 2}, {"b": 2, "a": 1}]}, 'duplicate choice {"b": 2, "a": 1}'),
        ({"type": "constant", "value": 3}, "every parameter is constant; give one to search"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused(parameter: dict[str, Any], said: str) -> None:
    (line,) = mistakes_of(**parameter)
    assert line.partition(": ")[2] == said


def test_a_scale_is_the_same_study_as_the_key_that_means_it() -> None:
    x = {"type": "real", "low": 1.0, "high": 10.0}
    assert (
        a_study(space={"x": {**x, "scale": "log"}}).fingerprint == a_study(space={"x": {**x, "log": True}}).fingerprint
    )
    assert a_study(space={"x": {**x, "scale": "linear"}}).fingerprint == a_study(space={"x": x}).fingerprint
    assert a_study(space={"x": {**x, "step": 0.5}}).fingerprint != a_study(space={"x": x}).fingerprint


def test_a_choice_that_comes_twice_is_refused() -> None:
    said = ['space.lr.choices: duplicate choice "a"']
    assert mistakes_of(type="categorical", choices=["a", "b", "a"]) == said


def test_choices_must_be_a_list() -> None:
    assert mistakes_of(type="categorical", choices="rbf") == ["space.lr.choices: must be a list, but got 'rbf'"]


def test_a_duplicate_parameter_is_refused() -> None:
    text = """name: a
objective: {python: "a:b"}
space:
  lr: {type: real, low: 0, high: 1}
  lr: {type: real, low: 0, high: 2}
iterations: 1
parallel_trials: 1
"""
    assert mistakes(text) == ["line 5: duplicate key 'lr'"]


@pytest.mark.parametrize("key", ["iterations", "parallel_trials"])
def test_the_budget_must_be_one_at_least(key: str) -> None:
    assert mistakes_with(**{key: 0}) == [f"{key}: must be greater than or equal to 1, but got 0"]


@pytest.mark.parametrize("value", ["4", 4.5, True])
def test_the_budget_is_not_guessed_from_other_types(value: object) -> None:
    assert mistakes_with(iterations=value) == [f"iterations: must be a valid integer, but got {value!r}"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"iteratons": 3}, "iteratons: unknown key; did you mean 'iterations'?"),
        ({"objective": {"pyton": "a:b"}}, "objective.pyton: unknown key; did you mean 'python'?"),
        ({"optimizer": {"random_stat": 1}}, "optimizer.random_stat: unknown key; did you mean 'random_state'?"),
        ({"space": {"x": {**X, "lg": True}}}, "space.x.lg: unknown key; did you mean 'log'?"),
        (
            {"space": {"x": {**X, "width": 2}}},
            f"space.x.width: unknown key; known keys: {', '.join(KEYS)}",
        ),
        (
            {"space": {"x": {"type": "integer", "low": 0, "high": 4, "setp": 2}}},
            "space.x.setp: unknown key; did you mean 'step'?",
        ),
    ],
)
def test_a_misspelt_key_is_told_the_nearest_known_key(changes: dict[str, Any], said: str) -> None:
    assert mistakes_with(**changes) == [said]


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        (
            {"type": "reel"},
            f"space.lr.type: must be {TYPES}, but got 'reel'; did you mean 'real'?",
        ),
        ({"type": "x"}, f"space.lr.type: must be {TYPES}, but got 'x'"),
        (
            {"low": 1},
            f"space.lr.type: required key is missing; it must be {TYPES}",
        ),
        (3, "space.lr: must be a mapping of keys to values, but got 3"),
        ([1], "space.lr: must be a mapping of keys to values, but got [1]"),
        (None, "space.lr: must be a mapping of keys to values, but got None"),
    ],
)
def test_a_parameter_without_a_known_type_is_refused(parameter: object, said: str) -> None:
    assert mistakes_with(space={"lr": parameter}) == [said]


@pytest.mark.parametrize("name", ["float", "int", "bool", "str", "none", "real", "categorical", "choices"])
def test_a_parameter_may_be_named_like_a_type_and_is_named_in_full(name: str) -> None:
    assert mistakes_with(space={name: {**X, "low": "a"}}) == [f"space.{name}.low: must be a valid number, but got 'a'"]


BAD_NAME = (
    "space: the name of a parameter must be letters, digits, _, - and ., beginning with a letter or _, but got {!r}"
)


def test_all_names_that_are_no_names_are_told() -> None:
    bad = ["learning rate", "2nd", "-x"]
    assert mistakes_with(space={"x": X, **dict.fromkeys(bad, X)}) == [BAD_NAME.format(name) for name in bad]


def test_a_name_that_is_no_text_is_refused() -> None:
    text = study_text(space={"NAME": X, "x": X}).decode().replace('"NAME"', "1")
    assert mistakes(text) == ["line 1: a key must be text, but got 1; put it in quotes"]


def test_several_mistakes_are_told_at_once() -> None:
    said = mistakes_with(
        name="Bad Name",
        objective={"python": "no.colon"},
        direction="min",
        iterations=0,
        space={"a": {**X, "low": 20}, "b": {"type": "integer", "low": 0, "hihg": 1}},
        optimizer=3,
        max_trial_seconds=0,
        itertions=1,
    )
    assert said == [
        "name: must be 1 to 63 lower case letters, digits and hyphens, beginning with a letter "
        "and not ending with a hyphen, but got 'Bad Name'",
        "objective.python: must be module:function, but got 'no.colon'",
        "direction: must be 'minimize' or 'maximize', but got 'min'",
        "iterations: must be greater than or equal to 1, but got 0",
        "space.a: low < high must hold, but got low=20.0, high=10.0",
        "space.b.high: required key is missing",
        "space.b.hihg: unknown key; did you mean 'high'?",
        "optimizer: must be a mapping of keys to values, but got 3",
        "max_trial_seconds: must be greater than 0, but got 0",
        "itertions: unknown key; did you mean 'iterations'?",
    ]


def test_mistakes_between_sections_are_told_with_those_within_them() -> None:
    said = mistakes_with(
        objective={"command": ["train", "{x}", "{y}", "{"]},
        iterations=3,
        parallel_trials=3,
        space={"x": X, "z": {**X, "low": "a"}, "2nd": X},
        optimizer={"engine": "grid", "points_per_parameter": 4},
        direction="min",
    )
    assert said == [
        "direction: must be 'minimize' or 'maximize', but got 'min'",
        "space.z.low: must be a valid number, but got 'a'",
        BAD_NAME.format("2nd"),
        "objective.command: {y} is not a parameter of the space; double the braces where none is meant",
        "objective.command: a single { has no partner; double it where no parameter is meant",
        "objective.command: the parameter 2nd is not used; put {2nd} into it, or give all parameters with args: flags",
        "objective.command: the parameter z is not used; put {z} into it, or give all parameters with args: flags",
        "optimizer: the grid must fit into the budget of 9 trials (iterations x parallel_trials), but has 16 points "
        "(x: 4 x 2nd: 4); lower points_per_parameter or raise iterations",
    ]


def test_every_required_key_is_asked_for() -> None:
    assert mistakes("direction: minimize") == [
        *(f"{key}: required key is missing" for key in ("name", "objective", "parallel_trials", "space")),
        "iterations: required key is missing; the budget is iterations x parallel_trials, or trials",
    ]


def test_a_budget_is_iterations_or_trials() -> None:
    assert a_study(iterations=3, parallel_trials=4).budget == 12
    assert a_study(iterations=None, trials=10, parallel_trials=4).budget == 10
    assert mistakes_with(trials=10) == ["trials: give iterations or trials, not both; each is the whole budget"]
    assert mistakes_with(iterations=None) == [
        "iterations: required key is missing; the budget is iterations x parallel_trials, or trials"
    ]


def test_a_budget_of_trials_is_no_longer_than_batches_can_be() -> None:
    """The graph of batches grows with them; that of workers does not."""
    (mistake,) = mistakes_with(iterations=None, trials=2001, parallel_trials=2)
    assert mistake == (
        "trials: 2001 are more than 1000 iterations of 2 trials; say schedule: asynchronous, or raise parallel_trials"
    )
    asynchronous = {"optimizer": {"engine": "random"}, "schedule": "asynchronous"}
    assert a_study(iterations=None, trials=2001, parallel_trials=2, **asynchronous).budget == 2001


def test_an_engine_that_knows_no_pending_trials_is_refused_where_they_run() -> None:
    assert mistakes_with(schedule="asynchronous", optimizer={"engine": "skopt"}) == [
        "schedule: asynchronous needs another engine: scikit-optimize learns whole batches, and cannot be told of "
        "trials that run; say optimizer: {engine: gp}"
    ]


def test_neither_schedule_nor_budget_identify_a_study() -> None:
    gp = {"optimizer": {"engine": "gp"}}
    one, other = a_study(**gp), a_study(**gp, schedule="asynchronous", iterations=None, trials=7, lease_minutes=15)
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("lease", [11.9, 0, -1, 1e6])
def test_a_lease_is_long_enough_for_signs_of_life(lease: float) -> None:
    (mistake,) = mistakes_with(lease_minutes=lease)
    assert mistake.startswith("lease_minutes: must be")


@pytest.mark.parametrize("name", ["", "Branin", "a_b", "-a", "a-", "1a", "a" * 64])
def test_a_name_that_cannot_name_jobs_is_refused(name: str) -> None:
    rule = "name: must be 1 to 63 lower case letters, digits and hyphens, beginning with a letter"
    assert mistakes_with(name=name) == [f"{rule} and not ending with a hyphen, but got {name!r}"]


# --- numbers and choices -----------------------------------------------------------------------


def test_the_types_of_choices_survive() -> None:
    choices = [1, 1.0, True, "1", None, False, 0, "true", -0.5]
    parsed = a_study(space={"x": {"type": "categorical", "choices": choices}}).space["x"].choices  # type: ignore[union-attr]
    assert [(type(choice), choice) for choice in parsed] == [(type(choice), choice) for choice in choices]


def test_a_number_in_scientific_notation_without_a_point_is_a_number() -> None:
    text = study_text(space={"lr": {"type": "real", "low": "LOW", "high": "HIGH", "log": True}}).decode()
    parameter = Study.from_text(text.replace('"LOW"', "1e-4").replace('"HIGH"', "1e1").encode()).space["lr"]
    assert (parameter.low, parameter.high) == (1e-4, 10.0)  # type: ignore[union-attr]


def test_yaml_words_such_as_no_and_on_are_strings() -> None:
    text = study_text(space={"x": {"type": "categorical", "choices": ["CHOICES"]}}).decode()
    assert Study.from_text(text.replace('"CHOICES"', "no, on, y").encode()).space["x"].choices == ("no", "on", "y")  # type: ignore[union-attr]


def test_an_integer_step_must_reach_high() -> None:
    assert mistakes_of(type="integer", low=0, high=10, step=3) == [
        "space.lr: high must be low plus a multiple of step, but got low=0, high=10, step=3; use high: 9"
    ]


def test_a_step_wider_than_the_range_is_refused_without_a_useless_way_out() -> None:
    assert mistakes_of(type="integer", low=0, high=10, step=20) == [
        "space.lr: step <= high - low must hold, but got low=0, high=10, step=20"
    ]


def test_a_step_must_be_positive() -> None:
    assert mistakes_of(type="integer", low=1, high=9, step=0) == [
        "space.lr.step: must be greater than or equal to 1, but got 0"
    ]


def test_an_integer_takes_no_fractions() -> None:
    assert mistakes_of(type="integer", low=0, high=2.5) == ["space.lr.high: must be a valid integer, but got 2.5"]


# --- commands ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ["train"],
            "objective.command: the parameter x is not used; put {x} into it, or give all parameters with args: flags",
        ),
        (
            ["train", "{x}", "{y}"],
            "objective.command: {y} is not a parameter of the space; double the braces where none is meant",
        ),
        (["train", "{x}", "{}"], "objective.command: {} names no parameter; write {{}} for plain braces"),
        (
            ["train", "{x:.3f}"],
            "objective.command: {x:.3f} has a format; write the name alone, for the value with all its digits",
        ),
        (
            ["train", "{x!r}"],
            "objective.command: {x!r} has a format; write the name alone, for the value with all its digits",
        ),
        (
            ["train", "{x}", "{x"],
            "objective.command: a single { has no partner; double it where no parameter is meant",
        ),
        ([], "objective.command: must not be empty, but got []"),
        ("train {x}", "objective.command: must be a list, but got 'train {x}'"),
    ],
)
def test_the_placeholders_of_a_command_must_be_the_parameters(command: object, said: str) -> None:
    assert mistakes_with(objective={"command": command}, space={"x": X}) == [said]


def test_doubled_braces_stay_in_a_command() -> None:
    assert a_study(objective={"command": ["awk", "{{print}}", "{x}"]}, space={"x": X}).objective.placeholders() == ["x"]


@pytest.mark.parametrize("objective", [{}, {"python": "a:b", "command": ["{x}"]}])
def test_an_objective_is_a_function_or_a_command(objective: dict[str, Any]) -> None:
    assert mistakes_with(objective=objective, space={"x": X}) == [
        "objective: give either python or command, and not both"
    ]


# --- fingerprint and schema --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("study", "objective", "fingerprint"),
    [
        ("branin.yaml", None, "f51e5293970f263b"),
        # Its module was called so in 0.1.0.
        ("digits/study.yaml", "digits.objective:accuracy", "ed8eb3474d1f6c8f"),
    ],
)
def test_the_fingerprints_of_finished_studies_never_change(study: str, objective: str | None, fingerprint: str) -> None:
    text = (ROOT / "studies" / study).read_text()
    if objective is not None:
        text = text.replace("objective:accuracy", objective)
    assert Study.from_text(text.encode()).fingerprint == fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"iterations": 9},
        {"parallel_trials": 9},
        {"max_failed_trials": 3},
        {"max_trial_seconds": 3.0},
        {"optimizer": {"random_state": 7}},
    ],
)
def test_another_budget_or_optimizer_keeps_the_fingerprint(changes: dict[str, Any]) -> None:
    assert a_study(**changes).fingerprint == a_study().fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"objective": {"python": "a:b"}},
        {"direction": "maximize"},
        {"space": {"x1": X}},
        {"space": {"x1": X, "x2": {"type": "real", "low": 0.0, "high": 15.1}}},
    ],
)
def test_another_name_objective_direction_or_space_changes_the_fingerprint(changes: dict[str, Any]) -> None:
    assert a_study(**changes).fingerprint != a_study().fingerprint


def test_a_copy_with_other_fields_works_out_a_fingerprint_of_its_own() -> None:
    study = a_study()
    before = study.fingerprint
    copied = study.model_copy(update={"direction": "maximize"})
    assert copied.fingerprint == a_study(direction="maximize").fingerprint != before


def test_choices_of_other_types_change_the_fingerprint() -> None:
    prints = {
        a_study(space={"x": {"type": "categorical", "choices": [choice]}}).fingerprint for choice in (1, 1.0, True, "1")
    }
    assert len(prints) == 4


INTEGER = {"type": "integer"}
REAL = {"type": "real", "low": 0.0, "high": 1.0}


@pytest.mark.parametrize(
    ("changes", "fingerprint"),
    [
        ({"x": REAL}, "24662982829383c2"),
        ({"x": {"type": "real", "low": 1e-3, "high": 1.0, "log": True}}, "e2ec0e7897de61a8"),
        ({"x": {"type": "integer", "low": 0, "high": 9}}, "53dded8f7764f4ec"),
        ({"x": {"type": "integer", "low": 0, "high": 9, "step": 3}}, "2e43d2b484980427"),
        ({"x": {"type": "integer", "low": 1, "high": 9, "log": True}}, "8ced2921c0ea2ea9"),
        ({"x": {"type": "categorical", "choices": [1, 1.0, True, "1", None]}}, "7ca8df46f36304db"),
    ],
    ids=str,
)
def test_the_fingerprint_of_each_type_of_parameter_never_changes(changes: dict[str, Any], fingerprint: str) -> None:
    assert a_study(name="s", objective={"python": "a:b"}, space=changes).fingerprint == fingerprint


@pytest.mark.parametrize(
    ("changes", "fingerprint"),
    [
        ({"objective": {"command": ["train", "--x={x}"]}}, "d145a801ac59f865"),
        ({"objective": {"python": "a:b"}, "direction": "maximize"}, "01940c60391c7a75"),
    ],
    ids=str,
)
def test_the_fingerprint_of_a_command_and_of_a_direction_never_changes(
    changes: dict[str, Any], fingerprint: str
) -> None:
    assert a_study(name="s", space={"x": REAL}, **changes).fingerprint == fingerprint


@pytest.mark.parametrize(
    "space",
    [
        {"n": {"type": "integer", "low": 0, "high": 9}, "x": REAL},
        {"x": {"high": 1, "log": False, "low": 0, "type": "real"}, "n": {"step": 1, "high": 9, "low": 0, **INTEGER}},
    ],
    ids=["defaults left out", "defaults written, other order, 1 for 1.0"],
)
def test_files_that_mean_the_same_have_the_same_fingerprint(space: dict[str, Any]) -> None:
    studies = [
        a_study(name="s", objective={"python": "a:b"}, space=space, direction=direction)
        for direction in (None, "minimize")
    ]
    assert {study.fingerprint for study in studies} == {"f48251b2e7343ffd"}


class LaterReal(Real):
    """A real parameter with keys that came later."""

    later_keys = ("unit",)

    unit: str = "metre"
    hint: str | None = None


class LaterObjective(Objective):
    """An objective with keys that came later, one of which changes what a trial returns."""

    later_keys = ("parts",)

    parts: list[int | bool] = Field([])
    note: str = ""


class LaterStudy(Study):
    """A study with keys that came later."""

    later_keys = ("seeds",)

    objective: LaterObjective
    space: dict[str, LaterReal]  # type: ignore[assignment]
    seeds: int = 1
    weights: dict[str, float] = Field({})


def later(objective: dict[str, Any], parameter: dict[str, Any], **changes: Any) -> LaterStudy:
    """Return a study of a later version."""
    data = study_data(name="s", objective={"python": "a:b", **objective}, space={"x": {**REAL, **parameter}}, **changes)
    return LaterStudy.model_validate(data)


def test_keys_that_come_later_change_no_fingerprint_of_a_file_without_them() -> None:
    assert later({}, {}).fingerprint == "24662982829383c2"
    assert later({"parts": []}, {"unit": "metre"}, seeds=1).fingerprint == "24662982829383c2"


@pytest.mark.parametrize(
    ("objective", "parameter", "changes"),
    [({"note": "a"}, {}, {}), ({}, {"hint": "a"}, {}), ({}, {}, {"weights": {"a": 1.0}})],
    ids=str,
)
def test_a_key_that_changes_no_trial_changes_no_fingerprint(
    objective: dict[str, Any], parameter: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert later(objective, parameter, **changes).fingerprint == "24662982829383c2"


def test_a_later_key_that_changes_trials_changes_the_fingerprint_where_it_is_used() -> None:
    studies = [
        later({}, {}), later({"parts": [1]}, {}), later({"parts": [True]}, {}), later({}, {"unit": "mile"}),
        later({}, {}, seeds=2),
    ]  # fmt: skip
    assert len({study.fingerprint for study in studies}) == len(studies)
    assert studies[1].identity["objective"] == {"python": "a:b", "command": None, "parts": [1]}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_study_that_ships_is_good_and_fits_the_schema(path: Path) -> None:
    Study.from_file(path)
    schema = json.loads((ROOT / "docs" / "study.schema.json").read_text())
    jsonschema.validate(YAML(typ="safe", pure=True).load(path), schema)


def test_the_schema_refuses_a_misspelt_key() -> None:
    with pytest.raises(jsonschema.ValidationError, match="iteratons"):
        jsonschema.validate(study_data(iteratons=1), Study.model_json_schema())


# --- budget ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("iterations", "parallel", "allowed"), [(4, 4, 4), (10, 4, 10), (1, 8, 8), (1, 1, 1)])
def test_a_quarter_of_the_trials_may_fail_and_one_batch_at_least(iterations: int, parallel: int, allowed: int) -> None:
    assert a_study(iterations=iterations, parallel_trials=parallel).failures_allowed == allowed


def test_max_failed_trials_may_be_zero() -> None:
    assert a_study(max_failed_trials=0).failures_allowed == 0


def test_better_follows_the_direction() -> None:
    assert a_study(direction="minimize").is_better(1.0, 2.0)
    assert a_study(direction="maximize").is_better(2.0, 1.0)
