"""Decimal numbers: 0.1 + 0.2 is 0.3, in constraints, in initial trials, and where a value is compared with a step."""

from __future__ import annotations

import ast
import itertools
import json
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.exchange.importing import collect
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record, Suggestion, Trials
from kfp_bayesopt.proposing.batches import propose
from kfp_bayesopt.proposing.verify import verify
from kfp_bayesopt.search.encoding import Encoding
from kfp_bayesopt.search.engine import replay
from kfp_bayesopt.space.constraints import Constraint, parse, points
from kfp_bayesopt.space.decimals import canonical, difference, exactly
from kfp_bayesopt.space.expressions import computed
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.places import in_process as local
from tests.builders import a_record, a_study, a_suggestion, write_study

TENTHS = {"type": "real", "low": 0.0, "high": 1.0, "step": 0.1}
SPACE: dict[str, Any] = {
    "a": TENTHS,
    "b": TENTHS,
    "n": {"type": "integer", "low": 0, "high": 10},
    "odd": {"type": "real", "low": 0.05, "high": 0.95, "step": 0.1},
    "below": {"type": "real", "low": -0.3, "high": 0.3, "step": 0.1},
    "fine": {"type": "real", "low": 0.0, "high": 1e-3, "step": 1e-7},
    "log": {"type": "real", "low": 0.001, "high": 0.1, "step": 0.001, "log": True},
    "free": {"type": "real", "low": 0.0, "high": 1.0},
    "listed": {"type": "ordinal", "values": [0.1, 0.2, 0.3, 0.7]},
    "fixed": {"type": "constant", "value": 0.3},
    "kind": {"type": "categorical", "choices": ["a", None, 0.1, 1, True]},
}
STUDY = a_study(space=SPACE, objective={"python": "a:b"}, optimizer={"engine": "gp"})


def _holds(text: str, **values: Any) -> bool:
    return parse(text, STUDY.space).holds(values)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("b - a >= 0.1", lambda a, b: b - a >= 1),
        ("a + b <= 0.3", lambda a, b: a + b <= 3),
        ("a + b == 0.3", lambda a, b: a + b == 3),
        ("a + b != 0.3", lambda a, b: a + b != 3),
        ("a % 0.2 == 0", lambda a, _: a % 2 == 0),
        ("b // 0.1 == 3", lambda _, b: b == 3),
        ("a <= b - 0.1 < 0.7", lambda a, b: a <= b - 1 < 7),
        ("a + a + a + a + b + b + b <= 2.1", lambda a, b: 4 * a + 3 * b <= 21),
        ("a * 3 == b", lambda a, b: a * 3 == b),
        ("a <= 0.1 * 3", lambda a, _: a <= 3),
        ("a / 3 == 0.1", lambda a, _: a == 3),
        ("max(a, b) - min(a, b) == 0.1", lambda a, b: abs(a - b) == 1),
        ("abs(a - b) >= 0.3", lambda a, b: abs(a - b) >= 3),
        ("not (a - b - 0.1)", lambda a, b: a - b == 1),
        ("(a > b + 0.2) + 1 == 2 or -a == b - 0.7", lambda a, b: a > b + 2 or a + b == 7),
    ],
)
def test_a_constraint_judges_every_point_of_two_steps_as_a_person_does(text: str, kept: Any) -> None:
    constraint = parse(text, STUDY.space)
    for a, b in itertools.product(range(11), repeat=2):
        assert constraint.holds({"a": a / 10, "b": b / 10}) is kept(a, b), (text, a, b)


@pytest.mark.parametrize(
    ("text", "values", "holds"),
    [
        ("odd + odd == 0.7", {"odd": 0.35}, True),
        ("odd - 0.05 == 0.3", {"odd": 0.35}, True),
        ("below + 0.1 == -0.2", {"below": -0.3}, True),
        ("below % 0.1 == 0", {"below": -0.2}, True),
        ("fine * 3 == 9e-7", {"fine": 3e-7}, True),
        ("fine + 1e-7 <= 3e-7", {"fine": 2e-7}, True),
        ("log * 3 == 0.009", {"log": 0.003}, True),
        ("a * n <= 0.6", {"a": 0.2, "n": 3}, True),
        ("n / 10 == a", {"a": 0.7, "n": 7}, True),
        ("n // 3 == 2", {"n": 7}, True),
        ("listed + 0.1 == fixed", {"listed": 0.2, "fixed": 0.3}, True),
        ("listed == fixed", {"listed": 0.3, "fixed": 0.3}, True),
        ("kind + 0.2 == 0.3", {"kind": 0.1}, True),
        ("kind + 0.2 == 1.2", {"kind": True}, True),
        ("kind + 0.2 == 0.3", {"kind": "a"}, False),
        ("kind == 'a'", {"kind": "a"}, True),
        ("free + 0.2 == 0.3", {"free": 0.1}, True),
        ("free + 0.2 <= 0.3", {"free": 0.10000000000000002}, False),
        ("a == b", {"a": 0.30000000000000004, "b": 0.3}, True),
        ("a <= 0.3", {"a": 0.30000000000000004}, True),
        ("a + b <= 0.4", {"a": 0.30000000000000004, "b": 0.1}, True),
        ("1 / (a - 0.3) > 0", {"a": 0.3}, False),
        ("a < 1e400", {"a": 0.3}, True),
        ("a + 0.1 <= b", {"a": 0.3}, True),  # of what is not there nothing is asked
    ],
)
def test_steps_integers_lists_constants_and_literals_are_the_numbers_that_are_written(
    text: str, values: dict[str, Any], holds: bool
) -> None:
    assert _holds(text, **values) is holds


NAMES = ("a", "b", "n", "odd", "below", "fine", "log", "free", "listed", "fixed")


def _expression(numbers: random.Random, depth: int) -> str:
    if depth == 0 or numbers.random() < 0.2:
        literal = str(round(numbers.uniform(-1, 1), numbers.choice([1, 2, 3])))
        return numbers.choice([*NAMES, literal, str(numbers.randrange(4))])
    one, other = (_expression(numbers, depth - 1) for _ in range(2))
    return numbers.choice(
        [f"({one} + {other})", f"({one} - {other})", f"({one} * {other})", f"({one} / {other})",
         f"({one} // {other})", f"({one} % {other})", f"max({one}, {other})", f"abs({one})", f"-{one}"]
    )  # fmt: skip


def test_what_floats_decide_is_what_exact_numbers_say() -> None:
    numbers, compared, near = random.Random(1), 0, 0
    while compared < 4000:
        sides = [_expression(numbers, 2) for _ in range(numbers.choice([2, 2, 3]))]
        text = sides[0] + "".join(f" {numbers.choice(['<', '<=', '==', '!=', '>='])} {each}" for each in sides[1:])
        try:
            found = parse(text, STUDY.space)
        except ValueError:  # too long, or no parameter in it
            continue
        exact = Constraint(text, computed(ast.parse(text, mode="eval").body, "exact", STUDY.space), None)
        binary = parse(text, STUDY.space, binary=True)
        for point in points(STUDY.space, numbers, 8):
            assert found.holds(point) is exact.holds(point), (text, point)
            near += binary.holds(point) is not exact.holds(point)
            compared += 1
    assert near > 20, "there are points among them that floats alone judge wrongly"


def test_a_long_product_of_the_largest_and_smallest_numbers_is_computed_at_once() -> None:
    assert not _holds("free * " + " * ".join(["1e308"] * 10) + " <= 1", free=0.5)
    assert _holds("free * " + " * ".join(["1e-320"] * 10) + " > 0", free=0.5)
    assert _holds("free * 1e308 % 1e-308 >= 0", free=0.1)


@pytest.mark.parametrize(
    ("parameter", "value", "meant"),
    [
        ("a", 0.30000000000000004, 0.3),
        ("a", 0.7000000000000001, 0.7),
        ("a", 1.0000000000000002, 1.0),
        ("a", -1e-17, 0.0),
        ("a", sum([0.1] * 7), 0.7),
        ("odd", 0.15000000000000002, 0.15),
        ("below", -0.30000000000000004, -0.3),
        ("fine", 3 * 1e-7, 3e-7),
        ("log", 0.001 * 3, 0.003),
        ("a", 0.3, 0.3),
        ("free", 0.30000000000000004, 0.30000000000000004),
        ("a", 0.31, 0.31),
        ("a", 0.3000001, 0.3000001),
        ("a", 1.1, 1.1),
        ("a", True, True),
        ("a", "0.3", "0.3"),
    ],
)
def test_a_value_that_floats_have_computed_means_the_step_beside_it(parameter: str, value: Any, meant: Any) -> None:
    assert canonical(STUDY.space[parameter], value) == meant


def test_a_whole_number_of_a_step_stays_as_it_is_written() -> None:
    assert json.dumps(canonical(STUDY.space["a"], 1)) == "1"


def test_every_step_means_itself() -> None:
    for name in ("a", "odd", "below", "log"):
        parameter = STUDY.space[name]
        for index in range(parameter.levels or 0):
            value = parameter.value_at(index)
            assert canonical(parameter, value) == value
            assert isinstance(exactly(value), Fraction)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (0.30000000000000004, None),
        (1.0000000000000002, None),
        (0.31, "its a=0.31 is not 0.0 plus a multiple of 0.1"),
        (1.1, "its a=1.1 does not lie between 0.0 and 1.0"),
    ],
)
def test_a_value_beside_a_step_belongs_to_the_space(value: float, found: str | None) -> None:
    study = a_study(space={"a": TENTHS}, objective={"python": "a:b"})
    assert difference(study.space, {"a": value}) == found


def test_conditions_ask_for_the_step_that_a_value_means() -> None:
    space = {"a": TENTHS, "c": {"type": "integer", "low": 1, "high": 4, "when": {"a": {"high": 0.3}}}}
    study = a_study(space=space, objective={"python": "a:b"}, optimizer={"engine": "gp"})
    assert difference(study.space, {"a": 0.30000000000000004, "c": 2}) is None


# --- studies -----------------------------------------------------------------------------------


def _study(**changes: Any) -> Study:
    given = {
        "space": {"a": TENTHS, "b": TENTHS}, "objective": {"python": "a:b"}, "optimizer": {"engine": "random"},
        "constraints": ["a + b <= 0.3"], **changes,
    }  # fmt: skip
    return a_study(**given)


def test_an_initial_trial_that_keeps_a_constraint_exactly_is_taken_and_one_beyond_it_is_refused() -> None:
    assert _study(initial_trials=[{"a": 0.1, "b": 0.2}]).initial_trials == [{"a": 0.1, "b": 0.2}]
    with pytest.raises(UserError, match=r"initial_trials\[0\]: breaks the constraint 'a \+ b <= 0.3'"):
        _study(initial_trials=[{"a": 0.2, "b": 0.2}])


def test_an_initial_trial_from_another_program_is_tried_as_the_step_that_it_means(tmp_path: Path) -> None:
    study = write_study(
        tmp_path, "def objective(a, b):\n    return a + b\n", space={"a": TENTHS, "b": TENTHS}, iterations=1,
        optimizer={"engine": "random"}, initial_trials=[{"a": 0.30000000000000004, "b": 0.7000000000000001}],
    )  # fmt: skip
    local.run(str(study), str(tmp_path / "out"), 1, local.Options())
    first = json.loads((tmp_path / "out" / "trials" / "000001" / "record-1.json").read_text())
    assert first["parameters"] == {"a": 0.3, "b": 0.7}


def test_two_initial_trials_that_mean_the_same_are_one() -> None:
    with pytest.raises(UserError, match=r"initial_trials\[1\]: the same point as initial_trials\[0\]"):
        _study(constraints=[], initial_trials=[{"a": 0.3, "b": 0.1}, {"a": 0.30000000000000004, "b": 0.1}])


def test_a_table_that_another_program_wrote_is_taken_as_trials_of_the_study(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b,value\n0.30000000000000004,0.0,1\n0.1,0.2,2\n0.7000000000000001,0.1,3\n")
    found = collect(_study(), ["table.csv"], tmp_path)
    assert [(each.parameters, each.same) for each in found] == [
        ({"a": 0.3, "b": 0.0}, True), ({"a": 0.1, "b": 0.2}, True), ({"a": 0.7, "b": 0.1}, False),
    ]  # fmt: skip


def test_a_record_of_before_that_is_beside_a_step_is_the_same_point_and_keeps_its_bytes(tmp_path: Path) -> None:
    study = _study(trials=4, iterations=None, schedule="asynchronous")
    folder = StudyFolder(str(tmp_path), study)
    suggestion = a_suggestion(study, 1, {"a": 0.30000000000000004, "b": 0.0})
    folder.write_suggestions([suggestion])
    folder.write_record(a_record(study, 1, parameters=suggestion.parameters))
    uri = Path(folder.record_uri(1, 1))
    before = uri.read_bytes()
    (read,) = folder.read().ledger
    assert read.parameters == {"a": 0.30000000000000004, "b": 0.0}
    assert study.keeps(read.parameters)
    encoding = Encoding(study.space, study.kept)
    assert encoding.key(encoding.encode(read.parameters)) == encoding.key(encoding.encode({"a": 0.3, "b": 0.0}))
    assert uri.read_bytes() == before


def test_suggestions_of_before_are_computed_again_as_they_were_with_floats() -> None:
    now = _study(iterations=6, parallel_trials=4, constraints=["b - a >= 0.1"], optimizer={"engine": "sobol"})
    before = now.model_copy()
    before._binary = True
    old, old_records = _batches(before)
    new, new_records = _batches(now)
    assert {str(each.asked) for each in old} == {"{'constraints': ['b - a >= 0.1']}"}
    assert {str(each.asked) for each in new} == {"{'constraints': ['b - a >= 0.1'], 'decimal': True}"}
    assert [each.parameters for each in old] != [each.parameters for each in new], "some of the points are kept now"
    for suggestions, records in ((old, old_records), (new, new_records)):
        assert {each.verdict for each in verify(now, records, suggestions, retried=False)} == {"same"}


def _batches(study: Study) -> tuple[list[Suggestion], list[Record]]:
    suggestions: list[Suggestion] = []
    trials = Trials()
    for last in range(study.parallel_trials, study.budget + 1, study.parallel_trials):
        for each in propose(study, replay(study, trials.ledger), trials, last):
            suggestions.append(each)
            trials.add(a_record(study, each.trial, 0.5, parameters=each.parameters, iteration=each.iteration))
    return suggestions, trials.ledger
