"""Points that a study begins with."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.proposing.verify import verify
from kfp_bayesopt_pipeline.places import in_process as local
from tests.asking import search
from tests.builders import a_study, write_study

INITIAL: list[dict[str, Any]] = [{"x1": 2.5, "x2": 3.5}, {"x2": 1.0}]
CODE = "def objective(x1, x2):\n    return x1**2 + x2\n"


def points_of(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["parameters"] for line in (root / "trials.jsonl").read_text().splitlines()]


ENGINES = ("gp", "random", "sobol", "grid", "optuna")
BOTH = [(engine, schedule) for engine in ENGINES for schedule in ("batches", "asynchronous")]


# scikit-optimize cannot be told of trials that run.
@pytest.mark.parametrize(("engine", "schedule"), [*BOTH, ("skopt", "batches")])
def test_they_are_tried_first_and_what_they_leave_out_is_proposed(engine: str, schedule: str) -> None:
    settings: dict[str, Any] = {"engine": engine}
    if engine == "grid":
        settings["points_per_parameter"] = 2
    study = a_study(optimizer=settings, schedule=schedule, iterations=None, trials=6, initial_trials=INITIAL)
    points = search(study, lambda x1, x2: x1**2 + x2).points
    assert points[0] == INITIAL[0]
    assert points[1]["x2"] == 1.0
    assert -5 <= float(str(points[1]["x1"])) <= 10
    assert len({json.dumps(point) for point in points}) == len(points) == 6


def test_every_other_suggestion_can_be_computed_again() -> None:
    study = a_study(optimizer={"engine": "gp"}, iterations=4, initial_trials=INITIAL)
    done = search(study, lambda x1, x2: x1**2 + x2)
    found = list(verify(study, done.ledger, done.suggestions, False))
    assert Counter(each.verdict for each in found) == {"same": 6, "not checked": 2}
    assert {each.why for each in found if each.verdict == "not checked"} == {"the study asks for it (initial_trials)"}


def test_they_do_not_identify_a_study_and_a_study_goes_on_with_others(tmp_path: Path) -> None:
    assert a_study(initial_trials=INITIAL).fingerprint == a_study().fingerprint
    study = write_study(tmp_path, CODE, optimizer={"engine": "gp"}, iterations=1)
    local.run(str(study), str(tmp_path / "out"), 1, local.Options())
    before = points_of(tmp_path / "out")
    changed = [*INITIAL, {"x1": 1.0, "x2": 1.0}]
    write_study(tmp_path, CODE, optimizer={"engine": "gp"}, iterations=2, initial_trials=changed)
    local.run(str(study), str(tmp_path / "out"), 1, local.Options())
    assert points_of(tmp_path / "out")[:2] == before
    assert points_of(tmp_path / "out")[2] == changed[2]


@pytest.mark.parametrize(
    ("initial", "said"),
    [
        ([{"x3": 1.0}], "initial_trials[0]: x3 is no parameter of the study; known: x1, x2"),
        ([{"x1": 99.0}], "initial_trials[0]: x1=99.0 does not lie between -5.0 and 10.0"),
        ([{"x1": "a"}], 'initial_trials[0]: x1="a" is not of type real'),
        ([INITIAL[0], INITIAL[0]], "initial_trials[1]: the same point as initial_trials[0]"),
        ([INITIAL[1]] * 5, "initial_trials: 5 are more than the budget of 4 trials"),
    ],
)
def test_bad_ones_are_refused(initial: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(UserError) as raised:
        a_study(initial_trials=initial)
    assert raised.value.message == f"study: {said}"
