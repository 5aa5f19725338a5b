"""What every engine keeps, over the list of engines: nothing here names one but for its settings and its cost."""

from __future__ import annotations

import json
import math
import zlib
from typing import Any, get_args

import pytest

from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.proposing.asynchronous import suggest_beside
from kfp_bayesopt.search.encoding import Encoding
from kfp_bayesopt.search.engine import Engine, new_engine, replay, suggest
from kfp_bayesopt.search.engines import OptimizerSettings
from kfp_bayesopt.search.engines.grid import GridSettings
from kfp_bayesopt.space.parameters import Parameters, difference_of
from kfp_bayesopt.study.study import Study
from tests.asynchronous import Simulation
from tests.builders import MIXED, RICH, X, a_record, a_study
from tests.proofs.conftest import share

ENGINES = [get_args(settings.model_fields["engine"].annotation)[0] for settings in get_args(OptimizerSettings)]
BATCH = 4
SEEDS = range(share(3, 1))
TRIALS = 40

FLAG = {"type": "categorical", "choices": [True, False]}
SPACES: dict[str, dict[str, Any]] = {
    "one real": {"x": X},
    "every type": MIXED,
    "steps, scales and orders": RICH,
    "50 parameters": {**{f"x{number}": X for number in range(44)}, **MIXED},
    "one choice": {"only": {"type": "categorical", "choices": [None]}, "x": X},
    "one point": {"only": {"type": "categorical", "choices": ["it"]}},
    "15 points": {
        "n": {"type": "integer", "low": 1, "high": 5},
        "kind": {"type": "categorical", "choices": ["a", 1, True]},
    },
    "2 points": {"n": {"type": "integer", "low": 7, "high": 8, "log": True}},
    "500 choices": {"kind": {"type": "categorical", "choices": list(range(500))}},
    "2^64 points": {f"flag{number}": FLAG for number in range(64)},
    "2^53 values": {
        "n": {"type": "integer", "low": 0, "high": 2**53},
        "log": {"type": "integer", "low": 1, "high": 2**53, "log": True},
        "steps": {"type": "integer", "low": -(2**52), "high": 2**52, "step": 2**51},
    },
    "largest ranges": {
        "x": {"type": "real", "low": -8e307, "high": 8e307},
        "log": {"type": "real", "low": 2.3e-308, "high": 1.7976931348623157e308, "log": True},
    },
    "narrowest ranges": {
        "subnormal": {"type": "real", "low": 0.0, "high": 1e-310},
        "offset": {"type": "real", "low": 1e9, "high": 1e9 + 100},
        "log": {"type": "real", "low": 1e300, "high": 1.001e300, "log": True},
    },
}
SETTINGS: dict[str, dict[str, Any]] = {"gp": {"n_initial_points": 6}, "skopt": {"n_initial_points": 6}}
# Of the engines that take long for a batch: trials and spaces of every run.
COSTLY = {"gp": (16, set(SPACES)), "skopt": (12, {"every type", "15 points", "narrowest ranges"})}


def study_of(engine: str, space: dict[str, Any], seed: int = 0) -> Study:
    """Return a study with an engine; a grid has as many points as fit into its budget."""
    settings = {"engine": engine, **SETTINGS.get(engine, {})}
    if engine == "grid":
        settings["points_per_parameter"] = {1: 60, 2: 8, 3: 4}.get(len(space), 1)
    else:
        settings["random_state"] = seed
    return a_study(optimizer=settings, space=space, parallel_trials=BATCH, iterations=1000)


def points_there_are(study: Study) -> float:
    """Return how many points a study can try at most."""
    if isinstance(study.optimizer, GridSettings):
        return math.prod(study.optimizer.points_of(parameter) for parameter in study.space.values())
    return Encoding(study.space).size


def value_of(point: Parameters, trial: int) -> float | None:
    """Return a value that follows from the point; every fifth trial fails."""
    return None if trial % 5 == 0 else zlib.crc32(json.dumps(point).encode()) / 2**32


def next_points(study: Study, ledger: list[Record], engine: Engine | None = None) -> list[Parameters]:
    """Return the points of the next batch, of an engine that is rebuilt where none is given."""
    points = suggest(engine or replay(study, ledger), study, ledger, {}, len(ledger) + BATCH)
    assert list(points) == list(range(len(ledger) + 1, len(ledger) + 1 + len(points)))
    return list(points.values())


def run(study: Study, trials: int, failed: int = 0) -> list[Record]:
    """Run a study and rebuild its engine before every batch: the suggestions must be the same."""
    engine = new_engine(study)
    ledger: list[Record] = []
    for iteration in range(1, trials // BATCH + 1):
        points = next_points(study, ledger, engine)
        assert json.dumps(next_points(study, ledger)) == json.dumps(points)
        records = [
            a_record(study, trial, value, iteration=iteration, parameters=point)
            for trial, point in enumerate(points, len(ledger) + 1)
            for value in [None if trial <= failed else value_of(point, trial)]
        ]
        engine.learn(records)
        ledger += records
    return ledger


def check(study: Study, ledger: list[Record], trials: int) -> None:
    """Check that the points of a ledger lie in the space, have its types, and that none was tried twice."""
    points = [record.parameters or {} for record in ledger]
    for point in points:
        assert list(point) == list(study.space)
        assert difference_of(study.space, point) is None
        for name, parameter in study.space.items():
            assert parameter.type != "real" or type(point[name]) is float
    assert len({json.dumps(point) for point in points}) == len(points) == min(trials, points_there_are(study))


def cases() -> list[Any]:
    """Return every engine with every space; of costly engines a share."""
    return [
        pytest.param(engine, space, id=f"{engine}, {space}")
        for engine in ENGINES
        for space in SPACES
        if engine not in COSTLY or space in COSTLY[engine][1] or share(1, 0)
        if (engine, space) != ("grid", "2^64 points")  # all choices are on the grid: it is refused
    ]


def trials_of(engine: str) -> int:
    """Return how many trials of an engine are run."""
    return share(TRIALS, COSTLY[engine][0]) if engine in COSTLY else TRIALS


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("engine", "space"), cases())
def test_every_rebuilt_engine_suggests_the_same_and_no_point_twice(engine: str, space: str, seed: int) -> None:
    study = study_of(engine, SPACES[space], seed)
    trials = trials_of(engine)
    check(study, run(study, trials), trials)


@pytest.mark.parametrize("engine", ENGINES)
def test_no_point_is_tried_twice_when_all_trials_fail(engine: str) -> None:
    study = study_of(engine, SPACES["15 points"])
    check(study, run(study, 24, failed=24), 24)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_emptied_space_gets_no_suggestions(engine: str) -> None:
    study = study_of(engine, SPACES["2 points"])
    ledger = run(study, 2 * BATCH)
    assert len(ledger) == 2
    assert next_points(study, ledger) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_the_order_of_parameters_in_the_file_changes_no_suggestion(engine: str) -> None:
    study, turned = (study_of(engine, space) for space in (MIXED, dict(reversed(MIXED.items()))))
    ledger = run(study, 2 * BATCH)
    one, other = (next_points(each, ledger) for each in (study, turned))
    assert one == other


# --- trials that run ---------------------------------------------------------------------------

BESIDE = [engine for engine in ENGINES if engine != "skopt"]
BY_NUMBER = ("random", "sobol", "grid")


def simulated(engine: str, space: str, seed: int, trials: int) -> Simulation:
    """Run a study by workers that see each other as chance has it."""
    simulation = Simulation(study_of(engine, SPACES[space], seed))
    simulation.run(trials, BATCH, seed, value_of)
    return simulation


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("engine", BESIDE)
def test_workers_propose_no_point_twice(engine: str, seed: int) -> None:
    simulation = simulated(engine, "every type", seed, trials_of(engine))
    assert len(simulation.records) == len(simulation.suggestions)
    assert len(simulation.records) == min(trials_of(engine), points_there_are(simulation.study))
    points = [json.dumps(each.parameters) for each in simulation.suggestions.values()]
    assert len(set(points)) == len(points)


@pytest.mark.parametrize("space", ["every type", "15 points", "2^64 points", "one real"])
@pytest.mark.parametrize("engine", BY_NUMBER)
def test_the_point_of_a_trial_follows_from_its_number(engine: str, space: str) -> None:
    if (engine, space) == ("grid", "2^64 points"):
        return  # all choices are on the grid: it is refused
    trials = 15
    runs = [simulated(engine, space, seed, trials) for seed in (1, 2)]
    study = runs[0].study
    runs[1] = Simulation(study)
    runs[1].run(trials, 1, 0, value_of)  # one worker, who knows all that was before
    one, other = ({n: each.parameters for n, each in sorted(run.suggestions.items())} for run in runs)
    assert one == other
    assert len({json.dumps(point) for point in one.values()}) == len(one) == min(trials, points_there_are(study))


def test_the_start_of_gp_goes_by_the_number_of_a_trial() -> None:
    study = study_of("gp", MIXED)
    runs = [Simulation(study) for _ in range(3)]
    for seed, run_ in enumerate(runs):
        run_.run(6, 1 + 2 * seed, seed, value_of)
    first, *others = [{n: each.parameters for n, each in sorted(each.suggestions.items())} for each in runs]
    assert all(other == first for other in others)


def test_workers_that_know_the_same_propose_points_apart_from_each_other() -> None:
    """Without taking the others for pending they would all propose nearly the same."""
    study = study_of("gp", {"x": X, "y": X})
    simulation = Simulation(study)
    simulation.run(12, 1, 0, value_of)
    ended = [simulation.records[number] for number in sorted(simulation.records)]
    encoding = Encoding(study.space)
    found = [suggest_beside(study, ended, {}, unknown) for unknown in range(BATCH)]
    rows = encoding.encode_all([point for point in found if point is not None])
    assert len(rows) == BATCH
    apart = [abs(one - other).max() for n, one in enumerate(rows) for other in rows[:n]]
    assert min(apart) > 1e-3


def test_an_engine_that_knows_no_pending_trials_says_so() -> None:
    assert {engine for engine in ENGINES if study_of(engine, {"x": X}).optimizer.no_pending} == {"skopt"}
