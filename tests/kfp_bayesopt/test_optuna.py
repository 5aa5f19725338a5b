"""The sampler for Optuna: Optuna's own published tests, and that its suggestions are those of a search."""

from __future__ import annotations

import copy
import itertools
import json
import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase, RelativeSamplerTestCase
from optuna.trial import Trial, TrialState

from kfp_bayesopt import Categorical, Integer, Real, Search, UserError
from kfp_bayesopt.optuna import GpSampler
from kfp_bayesopt.trial.process.examples.objectives.branin import branin

SPACE = {"x1": Real(-5, 10), "x2": Real(0, 15)}


class TestByOptuna(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    """Optuna's tests of every sampler, and of those for several objectives."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        """Return what makes a sampler."""
        return GpSampler


@pytest.mark.long
class TestRelativeByOptuna(RelativeSamplerTestCase):
    """Optuna's tests of samplers that propose several parameters together: two seconds, in many cases."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        """Return what makes a sampler."""
        return GpSampler


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def of_branin(trial: Trial) -> float:
    return branin(trial.suggest_float("x1", -5, 10), trial.suggest_float("x2", 0, 15))


def study_of(sampler: BaseSampler, **options: Any) -> optuna.Study:
    return optuna.create_study(sampler=sampler, **options)


def points(study: optuna.Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.trials]


def nearest(points: Iterable[dict[str, Any]]) -> float:
    """Return how near two points are, in the parameter in which they differ most."""
    rows = [tuple(each.values()) for each in points]
    apart = (max(abs(a - b) for a, b in zip(*pair, strict=True)) for pair in itertools.combinations(rows, 2))
    return float(min(apart))


def test_with_a_space_the_suggestions_are_those_of_a_search_bit_for_bit() -> None:
    study, search = study_of(GpSampler(SPACE, seed=1)), Search(SPACE, random_state=1)
    study.optimize(of_branin, n_trials=9)
    for _ in range(9):
        trial = search.ask()
        search.tell(trial, branin(**trial.parameters))
    assert points(study) == [trial.parameters for trial in search.trials]


def test_without_one_they_are_those_of_a_search_that_knows_the_first_trial() -> None:
    def objective(trial: Trial) -> float:
        return (
            trial.suggest_float("rate", 1e-4, 1, log=True)
            + trial.suggest_int("layers", 1, 9, step=2)
            + trial.suggest_int("width", 8, 512, log=True) / 512
            + trial.suggest_float("share", 0, 0.9, step=0.1)
            + len(trial.suggest_categorical("kind", ["a", "bb", "ccc"]))
        )

    study = study_of(GpSampler(seed=3), direction="maximize")
    study.optimize(objective, n_trials=9)
    search = Search(
        {
            "rate": Real(1e-4, 1, log=True), "layers": Integer(1, 9, step=2), "width": Integer(8, 512, log=True),
            "share": Real(0, 0.9, step=0.1), "kind": Categorical(["a", "bb", "ccc"]),
        },
        random_state=3, direction="maximize",
    )  # fmt: skip
    for trial in study.trials:
        asked = search.ask().parameters if trial.number else trial.params
        assert asked == pytest.approx(trial.params, abs=0)
        search.tell(asked, trial.value)


def test_running_trials_are_pending_points() -> None:
    study, search = study_of(GpSampler(SPACE, seed=1)), Search(SPACE, random_state=1)
    running: list[tuple[Trial, int]] = []
    for number in range(9):
        trial, asked = study.ask(), search.ask()
        trial.suggest_float("x1", -5, 10)
        if number % 2:  # of the others the second number is proposed, and not asked for
            trial.suggest_float("x2", 0, 15)
        assert {**asked.parameters, **trial.params} == asked.parameters
        running.append((trial, asked.number))
        if len(running) == 3:
            ended, other = running.pop(number % 3)
            value = of_branin(ended)
            study.tell(ended, value)
            search.tell(other, value)


def test_trials_that_have_begun_and_asked_for_nothing_yet_get_other_points() -> None:
    study, search = study_of(GpSampler(SPACE, seed=1)), Search(SPACE, random_state=1)
    for _ in range(6):
        trial = search.ask()
        search.tell(trial, branin(**trial.parameters))
    study.optimize(of_branin, n_trials=6)
    begun = [study.ask() for _ in range(4)]
    for each in (begun[3], begun[0], begun[2], begun[1]):
        of_branin(each)
    assert begun[3].params == search.ask(4)[3].parameters  # each of the others counts as the point that it would get
    assert nearest(each.params for each in begun) > 1e-3


def test_several_objectives_and_limits_are_those_of_a_search() -> None:
    def values(x: float, y: float) -> tuple[float, float, float]:
        return x * y, (x - y) ** 2, x - 0.5

    def objective(trial: Trial) -> tuple[float, float]:
        first, second, over = values(trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1))
        trial.set_user_attr("over", over)
        return first, second

    space = {"x": Real(0, 1), "y": Real(0, 1)}
    sampler = GpSampler(space, seed=2, constraints_func=lambda trial: [trial.user_attrs["over"]])
    study = study_of(sampler, directions=["maximize", "minimize"])
    study.optimize(objective, n_trials=10)
    search = Search(
        space, random_state=2, objectives={"a": "maximize", "b": "minimize"}, limits={"over": "<= 0"}
    )  # fmt: skip
    for trial in study.trials:
        asked = search.ask()
        assert asked.parameters == trial.params
        search.tell(asked, dict(zip(("a", "b", "over"), values(**asked.parameters), strict=True)))
    assert {trial.number + 1 for trial in study.best_trials} == {trial.number for trial in search.front}


def test_constraints_that_an_objective_sets_count_as_those_of_a_function() -> None:
    def objective(trial: Trial) -> float:
        value = of_branin(trial)
        trial.set_user_attr("over", value - 20)
        if trial.study is one:
            trial.set_constraint("0", value - 20)
        return value

    one = study_of(GpSampler(seed=2))
    other = study_of(GpSampler(seed=2, constraints_func=lambda trial: [trial.user_attrs["over"]]))
    for study in (one, other):
        study.optimize(objective, n_trials=8)
    assert points(one) == points(other)
    assert one.trials[3].constraints == other.trials[3].constraints


def test_failed_and_pruned_trials_are_learnt_as_failed_and_stopped_ones() -> None:
    def objective(trial: Trial) -> float:
        value = of_branin(trial)
        if trial.number % 4 == 1:
            raise ValueError(value)
        if trial.number % 4 == 2:
            trial.report(value + 5, 3)
            raise optuna.TrialPruned
        return math.nan if trial.number == 8 else value

    study, search = study_of(GpSampler(SPACE, seed=1)), Search(SPACE, random_state=1)
    study.optimize(objective, n_trials=9, catch=(ValueError,))
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED}
    for trial in study.trials:
        asked = search.ask()
        assert asked.parameters == trial.params
        if trial.state == TrialState.FAIL:
            search.tell(asked, state="failed")
        else:
            search.tell(asked, trial.value, state="stopped" if trial.state == TrialState.PRUNED else "completed")


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_infinite_values_are_as_bad_as_a_failure_or_as_good_as_the_best(direction: str) -> None:
    better = -math.inf if direction == "minimize" else math.inf
    values = [4.0, 1.0, -better, 2.0, better, 3.0, 1.5, 2.5]
    study, search = (
        study_of(GpSampler(SPACE, seed=1), direction=direction),
        Search(SPACE, random_state=1, direction=direction),  # type: ignore[arg-type]
    )
    for value in values:
        trial, asked = study.ask(), search.ask()
        of_branin(trial)
        assert trial.params == asked.parameters
        study.tell(trial, value)
        if value == -better:
            search.tell(asked, state="failed")
        else:
            search.tell(asked, {"minimize": 1.0, "maximize": 4.0}[direction] if math.isinf(value) else value)


WHEN: dict[str, Any] = {
    "kind": Categorical(["forest", "net"]),
    "trees": Integer(1, 100, log=True, when={"kind": "forest"}),
    "layers": Integer(1, 8, when={"kind": "net"}),
    "rate": Real(1e-4, 1, log=True, when={"layers": {"low": 4}}),
}


def of_models(trial: Trial) -> float:
    if trial.suggest_categorical("kind", ["forest", "net"]) == "forest":
        return 1 / trial.suggest_int("trees", 1, 100, log=True)
    layers = trial.suggest_int("layers", 1, 8)
    return (layers - 5) ** 2 + (trial.suggest_float("rate", 1e-4, 1, log=True) if layers >= 4 else 9)


def test_parameters_that_are_there_in_some_trials_alone_are_those_of_when(caplog: pytest.LogCaptureFixture) -> None:
    study, search = study_of(GpSampler(WHEN, seed=1)), Search(WHEN, random_state=1)
    study.optimize(of_models, n_trials=10)
    for trial in study.trials:
        asked = search.ask()
        assert asked.parameters == trial.params
        search.tell(asked, trial.value)
    assert {"rate" in trial.params for trial in study.trials} == {True, False}
    assert not caplog.records


def test_without_a_space_they_are_sampled_independently_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    study = study_of(GpSampler(seed=1))
    study.optimize(of_models, n_trials=9)
    assert {record.name for record in caplog.records} == {"kfp_bayesopt.optuna"}
    assert sorted(caplog.messages)[-1] == (
        "GpSampler: trees is sampled independently: not every completed trial has it with this range; give GpSampler a "
        "space, with `when`; for no warning, say warn_independent_sampling=False"
    )
    assert len(caplog.messages) == len(set(caplog.messages)) <= 3
    caplog.clear()
    study_of(GpSampler(seed=1, warn_independent_sampling=False)).optimize(of_models, n_trials=6)
    assert not caplog.records


def test_constraints_of_parameters_hold_in_every_trial() -> None:
    study = study_of(GpSampler(SPACE, seed=1, constraints=["x1 <= x2 - 3"]))
    study.optimize(of_branin, n_trials=10)
    assert all(trial.params["x1"] <= trial.params["x2"] - 3 for trial in study.trials)


def test_enqueued_trials_get_their_values_and_are_pending_before_they_run() -> None:
    search = Search(SPACE, random_state=1, initial_trials=[{"x1": 1.0, "x2": 2.0}, {"x1": 3.0}])
    study = study_of(GpSampler(SPACE, seed=1))
    study.enqueue_trial({"x1": 1.0, "x2": 2.0})
    study.optimize(of_branin, n_trials=1)
    study.enqueue_trial({"x1": 3.0})
    study.optimize(of_branin, n_trials=5)
    for trial in study.trials:
        asked = search.ask()
        assert asked.parameters == trial.params
        search.tell(asked, trial.value)
    ahead = search.ask().parameters
    study.enqueue_trial(ahead)
    first, second = study.ask(), study.ask()
    assert [of_branin(each) for each in (second, first)]
    assert (first.params, second.params) == (ahead, search.ask().parameters)


def test_a_value_that_is_set_brings_the_parameters_that_depend_on_it() -> None:
    study = study_of(GpSampler(WHEN, seed=1))
    for kind, layers in (("net", 6), ("forest", None), ("net", 2)):
        study.enqueue_trial({"kind": kind, **({"layers": layers} if layers else {})})
    study.optimize(of_models, n_trials=3)
    assert [sorted(each) for each in points(study)] == [
        ["kind", "layers", "rate"],
        ["kind", "trees"],
        ["kind", "layers"],
    ]


def test_the_same_seed_gives_the_same_suggestions_also_after_a_restart(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    whole = study_of(GpSampler(seed=7))
    whole.optimize(of_branin, n_trials=9)
    for trials in (5, 9):
        part = study_of(
            GpSampler(seed=7, independent_sampler=RandomSampler(seed=7)),
            storage=storage, study_name="parts", load_if_exists=True,
        )  # fmt: skip
        part.optimize(of_branin, n_trials=trials - len(part.trials))
        assert points(part) == points(whole)[:trials]
    other = study_of(GpSampler(seed=8))
    other.optimize(of_branin, n_trials=9)
    # The centre of the space is the first point of every start design.
    assert [each for each in points(other) if each in points(whole)] == [{"x1": 2.5, "x2": 7.5}]


def test_another_seed_is_taken_as_long_as_nothing_was_proposed() -> None:
    one, other = GpSampler(SPACE, seed=1), GpSampler(SPACE, seed=1)
    other.reseed_rng()
    studies = [study_of(one), study_of(other)]
    for study in studies:
        study.optimize(of_branin, n_trials=6)
    assert [each for each in points(studies[0]) if each in points(studies[1])] == [{"x1": 2.5, "x2": 7.5}]
    before = copy.deepcopy(one)
    one.reseed_rng()
    again = study_of(before)
    again.add_trials(studies[0].trials)
    for study in (studies[0], again):
        study.optimize(of_branin, n_trials=1)
    assert points(studies[0])[-1] == points(again)[-1]


@pytest.mark.parametrize("way", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_proposes_the_same(way: Callable[[GpSampler], GpSampler]) -> None:
    sampler = GpSampler(WHEN, seed=4, noisy=True, n_startup_trials=4)
    studies = [study_of(sampler), study_of(way(sampler))]
    for study in studies:
        study.optimize(of_models, n_trials=8)
    assert points(studies[0]) == points(studies[1])
    assert str(sampler) == "GpSampler"


def test_threads_get_points_of_their_own() -> None:
    study = study_of(GpSampler(seed=1))
    study.optimize(of_branin, n_trials=16, n_jobs=4)
    assert nearest(points(study)) > 1e-3
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)


@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution should be")
def test_choices_are_of_any_kind() -> None:
    choices: Any = [None, True, 2, 2.5, "text", (1, 2), frozenset({3}), math.nan]
    study = study_of(GpSampler(seed=1))
    study.optimize(lambda trial: float(choices.index(trial.suggest_categorical("k", choices))), n_trials=20)
    assert {repr(each["k"]) for each in points(study)} == {*map(repr, choices)}


SOME = {
    "narrow": FloatDistribution(1.0, 1.0 + 1e-10),
    "fine": FloatDistribution(0, 1, step=1e-8),
    "huge": IntDistribution(0, 2**60),
    "tiny": FloatDistribution(1e-320, 1, log=True),
}


@pytest.mark.parametrize("which", SOME)
def test_a_range_that_no_model_knows_is_sampled_independently(which: str, caplog: pytest.LogCaptureFixture) -> None:
    study = study_of(GpSampler(seed=1))
    space: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1), which: SOME[which]}
    for _ in range(3):
        study.tell(study.ask(space), 1.0)
    assert [{*each} for each in points(study)] == [{*space}] * 3
    (said,) = caplog.messages
    assert said.startswith(f"GpSampler: {which} is sampled independently: ")
    assert "must " in said


def test_a_space_of_few_points_is_tried_out_and_goes_on() -> None:
    study = study_of(GpSampler({"k": Categorical(["a", "b", "c"]), "n": Integer(0, 1)}, seed=1, constraints=["n < 2"]))
    study.optimize(lambda trial: len(trial.suggest_categorical("k", ["a", "b", "c"])) + trial.suggest_int("n", 0, 1), 9)
    assert len({json.dumps(each) for each in points(study)[:6]}) == 6
    assert len(study.trials) == 9


def test_trials_of_another_range_or_of_fewer_parameters_are_left_out() -> None:
    study = study_of(GpSampler(SPACE, seed=1))
    wide: dict[str, BaseDistribution] = {"x1": FloatDistribution(-100, 100), "x2": FloatDistribution(0, 15)}
    study.add_trial(optuna.create_trial(params={"x1": 99.0, "x2": 1.0}, distributions=wide, value=1.0))
    only: dict[str, BaseDistribution] = {"x1": FloatDistribution(-5, 10)}
    study.add_trial(optuna.create_trial(params={"x1": 1.0}, distributions=only, value=1.0))
    search = Search(SPACE, random_state=1)
    study.optimize(of_branin, n_trials=6)
    for trial in study.trials[2:]:
        asked = search.ask()
        assert asked.parameters == trial.params
        search.tell(asked, trial.value)


def test_a_pruner_that_splits_a_study_sees_each_part() -> None:
    study = study_of(GpSampler(seed=1), pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9))

    def objective(trial: Trial) -> float:
        value = of_branin(trial)
        for step in range(9):
            trial.report(value + 9 - step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    study.optimize(objective, n_trials=9)
    assert {trial.state for trial in study.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}


def test_many_parameters_are_kept_with_a_running_trial_in_a_database(tmp_path: Path) -> None:
    space: dict[str, BaseDistribution] = {"name-" * 20 + str(number): FloatDistribution(0, 1) for number in range(30)}
    study = study_of(GpSampler(seed=1, n_startup_trials=5), storage=f"sqlite:///{tmp_path / 'study.db'}")
    study.tell(study.ask(space), 1.0)
    running = study.ask()
    name = next(iter(space))
    running.suggest_float(name, 0, 1)
    attributes = study.trials[1].system_attrs
    assert len(attributes) > 1
    proposed = json.loads("".join(attributes[each] for each in sorted(attributes)))
    assert proposed.keys() == space.keys()
    assert proposed[name] == running.params[name]


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    return caught.value.message


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "a seed": (lambda: GpSampler(seed=-1), "seed: must be a whole number from 0 to 4294967295, but got -1"),
    "a seed as a text": (
        lambda: GpSampler(seed="1"),  # type: ignore[arg-type]
        "seed: must be a whole number from 0 to 4294967295, but got '1'",
    ),
    "no startup": (
        lambda: GpSampler(n_startup_trials=0),
        "n_startup_trials: must be a whole number from 1 to 1000000, but got 0",
    ),
    "constraints alone": (
        lambda: GpSampler(constraints=["a < b"]),
        "constraints: they compare the parameters of a space; give space too",
    ),
    "a constraint": (
        lambda: GpSampler(SPACE, constraints=["x1 < x3"]),
        "constraints[0]: must name parameters (x1, x2), not 'x3', but got 'x1 < x3'",
    ),
    "no space": (
        lambda: GpSampler(SPACE.keys()),  # type: ignore[arg-type]
        "space: must be a mapping of names to parameters, but got dict_keys(['x1', 'x2'])",
    ),
    "an empty one": (lambda: GpSampler({}), "space: must not be empty, but got {}"),
    "a distribution": (
        lambda: GpSampler({"x": FloatDistribution(0, 1)}),  # type: ignore[dict-item]
        "space.x.type: required key is missing; it must be real, integer, ordinal, categorical or constant",
    ),
}


@pytest.mark.parametrize("which", MISTAKES)
def test_a_mistake_is_said(which: str) -> None:
    call, said = MISTAKES[which]
    assert refused(call) == f"GpSampler: {said}"


def test_a_missing_package_is_one_line() -> None:
    code = "import sys; sys.modules['optuna'] = None\nfrom kfp_bayesopt.optuna import GpSampler"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr.splitlines()[-1].startswith(
        "kfp_bayesopt.errors.UserError: kfp_bayesopt.optuna needs packages that are not installed: "
    )
