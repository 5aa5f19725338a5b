"""Ask and tell: the suggestions are those of a study, and mistakes change nothing."""

from __future__ import annotations

import copy
import doctest
import itertools
import json
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kfp_bayesopt import Categorical, Integer, Real, Search, Study, Trial, UserError
from kfp_bayesopt.api import asking
from kfp_bayesopt.folder.trials import Trials
from kfp_bayesopt.proposing.asynchronous import propose_beside
from kfp_bayesopt.trial.process.examples.objectives.branin import branin
from tests.asking import search
from tests.builders import BRANIN_SPACE, MIXED, RICH, a_record, a_study, a_suggestion, check_mixed, several

SPACE = {"x1": Real(-5, 10), "x2": Real(0, 15)}
GP = {"engine": "gp", "random_state": 1}


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    return caught.value.message


def uneven(**parameters: Any) -> float | None:
    """A value that depends on each parameter; some points fail."""
    text = json.dumps(parameters, sort_keys=True)
    return None if sum(text.encode()) % 7 == 0 else float(sum(text.encode()) % 100)


def two(**parameters: Any) -> dict[str, float]:
    found = float(sum(json.dumps(parameters, sort_keys=True).encode()))
    return {"accuracy": found % 10, "latency": found % 7, "size": found % 5}


def with_size(**parameters: Any) -> dict[str, float]:
    return {
        "value": float(sum(json.dumps(parameters, sort_keys=True).encode()) % 11),
        "size": two(**parameters)["size"],
    }


def loop(asked: Search, objective: Callable[..., Any], batches: int, count: int) -> None:
    """Ask for batches, and tell the trials of each in another order."""
    for _ in range(batches):
        for trial in reversed(asked.ask(count)):
            value = objective(**trial.parameters)
            asked.tell(trial, value, state="failed" if value is None else "completed")


def limited(**changes: Any) -> Study:
    source = {"python": "m:f", "args": "dict", "value": "value"}
    return a_study(limits={"size": "<= 3"}, optimizer=GP, objective=source, iterations=4, parallel_trials=3, **changes)


ALL = {
    **{
        engine: (a_study(optimizer={"engine": engine, "random_state": 1}, iterations=4, parallel_trials=4), uneven)
        for engine in ("gp", "skopt", "random", "sobol", "optuna")
    },
    "grid": (a_study(optimizer={"engine": "grid", "points_per_parameter": 3}, iterations=3, parallel_trials=3), uneven),
    "mixed": (a_study(space=MIXED, optimizer=GP, iterations=3, parallel_trials=4), uneven),
    "rich": (a_study(space=RICH, optimizer=GP, iterations=3, parallel_trials=4), uneven),
    "constrained": (a_study(constraints=["x1 <= x2"], optimizer=GP, iterations=3, parallel_trials=4), uneven),
    "initial": (a_study(initial_trials=[{"x1": 1.0}], optimizer=GP, iterations=3, parallel_trials=4), uneven),
    "several": (several(iterations=4, parallel_trials=3), two),
    "limited": (limited(), with_size),
}  # fmt: skip


@pytest.mark.parametrize("which", ALL)
def test_batches_that_are_asked_for_are_those_of_the_study_bit_for_bit(which: str) -> None:
    study, objective = ALL[which]
    asked = Search(study)
    loop(asked, objective, study.budget // study.parallel_trials, study.parallel_trials)
    assert [trial.parameters for trial in asked.trials] == search(study, objective).points


def test_the_example_of_its_docstring_holds() -> None:
    assert doctest.testmod(asking) == doctest.TestResults(failed=0, attempted=4)


def test_the_seed_of_this_project_ends_at_its_value() -> None:
    asked = Search(SPACE, engine="skopt", random_state=1, parallel_trials=4)
    loop(asked, branin, 4, 4)
    assert asked.best is not None
    assert asked.best.value == pytest.approx(0.8080, abs=1e-3)
    assert len(asked.trials) == 16
    study = a_study(iterations=4, parallel_trials=4)
    assert [trial.parameters for trial in asked.trials] == search(study, branin).points


def test_a_trial_beside_others_is_that_of_a_worker_bit_for_bit() -> None:
    study = a_study(optimizer=GP, schedule="asynchronous", iterations=None, trials=20, parallel_trials=3)
    asked, trials = Search(study), Trials()
    waiting: list[Trial] = []
    for number in range(1, 13):
        suggestion = propose_beside(study, trials, [], number)
        trial = asked.ask()
        assert suggestion is not None
        assert (trial.number, trial.parameters) == (number, suggestion.parameters)
        trials.pending[number] = a_suggestion(study, number, trial.parameters)
        waiting.append(trial)
        if len(waiting) == 3:
            ended = waiting.pop(number % 3)  # in any order
            value = branin(**ended.parameters)
            asked.tell(ended, value)
            trials.add(a_record(study, ended.number, value, parameters=ended.parameters, iteration=None))
            trials.pending.pop(ended.number, None)


def test_parameters_are_plain_and_a_persons_own() -> None:
    for trial in Search(MIXED, parallel_trials=8).ask(8):
        check_mixed(trial.parameters)
    asked = Search(RICH, parallel_trials=8)
    for trial in asked.ask(8):
        assert json.loads(json.dumps(trial.parameters)) == trial.parameters
        if isinstance(shape := trial.parameters["shape"], list):
            shape.append("mine")
    assert all("mine" not in trial.parameters["shape"] for trial in asked.trials)


def test_values_of_numpy_are_numbers() -> None:
    asked = Search({"x": Real(0, 1), "k": Categorical(["a", "b"]), "n": Integer(1, 5)})
    for value in (np.float64(0.5), np.float32(0.5), np.int64(1), np.array(0.5)):
        told = asked.tell(asked.ask(), value)
        assert json.dumps(told.values)
        assert type(told.value) is float
    told = asked.tell({"x": np.float64(0.25), "k": np.str_("a"), "n": np.int64(3)}, 1)
    assert json.dumps(told.parameters) == '{"x": 0.25, "k": "a", "n": 3}'


def test_parameters_tell_the_trial_that_they_are_of_else_a_new_one() -> None:
    asked = Search(SPACE)
    first, second = asked.ask(2)
    assert asked.tell(dict(reversed(second.parameters.items())), 2.0).number == second.number
    assert asked.tell({"x2": 1, "x1": 2}, 3.0) == Trial(3, {"x1": 2, "x2": 1}, "completed", {"value": 3.0})
    assert asked.tell(first.number, 1.0).number == 1
    assert asked.ask().number == 4
    assert [trial.state for trial in asked.trials] == ["completed"] * 3 + ["pending"]
    noisy = Search(SPACE, noisy=True)
    assert [noisy.tell({"x1": 1, "x2": 1}, value).number for value in (1, 2)] == [1, 2]


def test_the_best_trial_keeps_limits_and_a_front_has_the_compromises() -> None:
    asked = Search({"x": Real(0, 1)}, limits={"size": "<= 3"}, direction="maximize")
    assert asked.best is None
    for x, value, size in ((0.1, 1, 1), (0.2, 5, 9), (0.3, 2, 3)):
        asked.tell({"x": x}, {"value": value, "size": size})
    asked.tell({"x": 0.9}, state="failed")
    assert asked.best is not None
    assert (asked.best.number, asked.best.value, asked.best.values["size"]) == (3, 2.0, 3.0)
    both = Search({"x": Real(0, 1)}, objectives={"a": "minimize", "b": "maximize"})
    for x, a, b in ((0.1, 1, 1), (0.2, 2, 2), (0.3, 2, 1)):
        both.tell({"x": x}, {"a": a, "b": b})
    assert [trial.number for trial in both.front] == [1, 2]
    assert refused(lambda: both.best).startswith("Search.best: of several objectives no trial is the best")


def test_a_trial_that_somebody_has_begun_is_a_pending_one() -> None:
    asked, other = Search(SPACE), Search(SPACE)
    first = asked.ask()
    assert other.tell(first.parameters, state="pending") == first
    assert other.trials == asked.trials
    assert other.ask() == asked.ask()
    assert other.tell({"x2": 15, "x1": 10}, state="pending").number == 3
    assert other.tell(3, state="pending") == other.trials[2]
    assert other.tell(first, 1.0).state == "completed"
    assert [trial.state for trial in other.trials] == ["completed", "pending", "pending"]


def test_metrics_with_limits_are_told_with_the_value() -> None:
    asked = Search({"x": Real(0, 1)}, limits={"size": "<= 3"})
    trial = asked.ask()
    assert refused(lambda: asked.tell(trial, 1.0)) == (
        "Search.tell: trial 1: must be a mapping with value and size, but got 1.0"
    )
    assert (
        refused(lambda: asked.tell(trial, {"value": 1.0})) == "Search.tell: trial 1: size is missing; there are value"
    )
    assert asked.tell(trial, {"value": 1.0}, state="stopped").values == {"value": 1.0}


def test_initial_trials_are_the_first_that_are_asked_for() -> None:
    asked = Search(SPACE, initial_trials=[{"x1": 1.0, "x2": 2.0}, {"x1": 3.0}])
    asked.tell({"x1": 4.0, "x2": 4.0}, 1.0)
    first = asked.ask()
    assert (first.number, first.parameters) == (2, {"x1": 1.0, "x2": 2.0})
    asked.tell({"x1": 5.0, "x2": 5.0}, state="pending")
    assert [trial.parameters["x1"] == 3.0 for trial in asked.ask(2)] == [True, False]


@pytest.mark.parametrize("way", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_goes_on_as_the_search_itself(way: Callable[[Search], Search]) -> None:
    asked = Search(SPACE, parallel_trials=3)
    loop(asked, uneven, 2, 3)
    waiting = asked.ask(2)
    other = way(asked)
    assert other.trials == asked.trials
    for each in (asked, other):
        each.tell(waiting[1], 1.0)
    assert other.ask(2) == asked.ask(2)
    assert len(other.trials) == len(asked.trials) == 10


def test_a_finite_space_runs_out() -> None:
    asked = Search({"k": Categorical(["a", "b", "c"])})
    assert len(asked.ask(2)) == 2
    assert len(asked.ask(5)) == 1
    assert refused(asked.ask) == "Search.ask: every point of the space has been tried, 0 trials"


def test_trials_of_other_studies_begin_a_search(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("x1,x2,value\n" + "".join(f"{x},{x},{x * x}\n" for x in range(1, 9)))
    plain, warm = Search(SPACE), Search(SPACE, warm_start=[str(table)])
    assert warm.ask().parameters != plain.ask().parameters


def test_threads_may_share_a_search() -> None:
    asked = Search(SPACE, engine="random")

    def one(_: int) -> int:
        trial = asked.ask()
        return asked.tell(trial, branin(**trial.parameters)).number

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(one, range(40))) == list(range(1, 41))


TELL = "Search.tell: "
POINT = f"{TELL}these parameters are no point of the space: "
MISTAKES: Mapping[str, tuple[Callable[[Search], object], str]] = {
    "told twice": (lambda s: s.tell(1, 2), f"{TELL}trial 1 was told already: value 1.0"),
    "told twice by its parameters": (
        lambda s: s.tell(s.trials[0].parameters, 2),
        f"{TELL}trial 1 was told already: value 1.0",
    ),
    "never asked for": (lambda s: s.tell(9, 2), f"{TELL}trial 9 was never asked for; pending: 2"),
    "of something else": (
        lambda s: s.tell("2", 2),  # type: ignore[arg-type]
        f"{TELL}must be a trial, its number or its parameters, but got '2'",
    ),
    "a parameter is missing": (lambda s: s.tell({"x1": 1}, 2), f"{POINT}it has no x2"),
    "an unknown parameter": (
        lambda s: s.tell({"x1": 1, "x2": 1, "x3": 1}, 2),
        f"{POINT}its x3 is no parameter of the study",
    ),
    "out of range": (
        lambda s: s.tell({"x1": 99, "x2": 1}, 2),
        f"{POINT}its x1=99 does not lie between -5.0 and 10.0",
    ),
    "no number": (lambda s: s.tell({"x1": "1", "x2": 1}, 2), f'{POINT}its x1="1" is not of type real'),
    "not finite": (
        lambda s: s.tell(2, float("nan")),
        f"{TELL}trial 2: the value must be a finite number, but got nan; of a failed trial say state='failed'",
    ),
    "a text": (
        lambda s: s.tell(2, "0.5"),  # type: ignore[arg-type]
        f"{TELL}trial 2: the value must be a finite number, but got '0.5'; of a failed trial say state='failed'",
    ),
    "nothing": (
        lambda s: s.tell(2),
        f"{TELL}trial 2: the value is missing; of a trial that failed say state='failed'",
    ),
    "no value among metrics": (lambda s: s.tell(2, {"loss": 1}), f"{TELL}trial 2: value is missing; there are loss"),
    "a failed trial with a value": (
        lambda s: s.tell(2, 1, state="failed"),
        f"{TELL}trial 2: a failed trial has no value, but got 1",
    ),
    "another state": (
        lambda s: s.tell(2, 1, state="done"),  # type: ignore[arg-type]
        f"{TELL}trial 2: state must be 'completed', 'failed', 'stopped' or 'pending', but got 'done'",
    ),
    "a pending trial with a value": (
        lambda s: s.tell(2, 1, state="pending"),
        f"{TELL}trial 2: a pending trial has no value, but got 1",
    ),
    "pending again": (lambda s: s.tell(1, state="pending"), f"{TELL}trial 1 was told already: value 1.0"),
    "no trials": (lambda s: s.ask(0), "Search.ask: count must be a whole number of 1 or more, but got 0"),
}


@pytest.mark.parametrize("which", MISTAKES)
def test_a_mistake_is_said_and_changes_nothing(which: str) -> None:
    asked = Search(SPACE)
    asked.tell(asked.ask(), 1.0)
    asked.ask()
    before = asked.trials
    call, said = MISTAKES[which]
    assert refused(lambda: call(asked)) == said
    assert asked.trials == before


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: Search({}), "Search: space: must not be empty, but got {}"),
        (lambda: Search("study.yaml"),  # type: ignore[arg-type]
         "Search: space: must be a mapping of names to parameters, or a Study, but got 'study.yaml'"),
        (lambda: Search({"x": 3}), "Search: space.x: must be a mapping of keys to values, but got 3"),  # type: ignore[dict-item]
        (
            lambda: Search(SPACE, engine="bayes"),
            "Search: engine: must be gp, skopt, random, sobol, grid or optuna, but got 'bayes'",
        ),
        (lambda: Search(SPACE, constraint=["x1 < x2"]),  # type: ignore[call-arg]
         "Search: constraint: unknown argument; did you mean 'constraints'?"),
        (lambda: Search(SPACE, seed=3, sampler="gp"),  # type: ignore[call-arg]
         "Search: seed: say random_state\n"
         "Search: sampler: unknown argument; known: engine, random_state, direction, parallel_trials, objectives, "
         "reference, constraints, limits, initial_trials, noisy, warm_start"),
        (lambda: Search(SPACE, optimizer={"engine": "gp"}, random_state=3),  # type: ignore[call-arg]
         "Search: optimizer: say engine"),
        (lambda: Search(SPACE, stop={"target": 1}),  # type: ignore[call-arg]
         "Search: stop: is a key of a study that runs trials, which a search does not; leave it out"),
        (lambda: Search(SPACE, random_state="a"),  # type: ignore[arg-type]
         "Search: random_state: must be a valid integer, but got 'a'"),
        (lambda: Search(SPACE, engine={"engine": "gp", "n_initial_points": 0}),
         "Search: engine.n_initial_points: must be greater than or equal to 1, but got 0"),
        (lambda: Search(SPACE, engine="skopt", constraints=["x1 <= x2"]),
         "Search: constraints: the engine 'skopt' knows none; say engine='gp'"),
        (lambda: Search(a_study(), engine="gp"),
         "Search: the study says its engine; leave it out, or give a space alone"),
    ],
)  # fmt: skip
def test_a_search_that_cannot_be_is_refused(build: Callable[[], Search], said: str) -> None:
    assert refused(build) == said


def test_an_engine_that_learns_whole_batches_waits_for_them() -> None:
    asked = Search(SPACE, engine="skopt")
    asked.tell(asked.ask(2)[0], 1.0)
    assert refused(asked.ask) == (
        "Search.ask: 1 trials are pending: scikit-optimize learns whole batches, and cannot be told of trials that "
        "run; tell them first, or take engine='gp'"
    )


def test_a_space_may_be_that_of_a_study_file() -> None:
    one, other = Search(BRANIN_SPACE), Search(SPACE)
    for _ in itertools.repeat(None, 6):
        trial = one.ask()
        assert trial == other.ask()
        for each in (one, other):
            each.tell(trial, branin(**trial.parameters))
