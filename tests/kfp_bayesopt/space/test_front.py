"""The front of several objectives and its hypervolume."""

from __future__ import annotations

import itertools
import random

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.growing import Growing
from kfp_bayesopt.proposing.early_end import reason_to_stop
from kfp_bayesopt.space.front import Losses, front, gain, hypervolume
from kfp_bayesopt.space.goals import Standing, growing_standing
from tests.builders import a_record, several


def grid_volume(points: list[Losses], reference: Losses) -> float:
    """Return the hypervolume by its definition: the cells of a grid through all points that one of them dominates."""
    axes = [sorted({each[axis] for each in points if each[axis] < end} | {end}) for axis, end in enumerate(reference)]
    total = 0.0
    for cell in itertools.product(*(itertools.pairwise(axis) for axis in axes)):
        if any(all(value <= low for value, (low, _) in zip(point, cell, strict=True)) for point in points):
            size = 1.0
            for low, high in cell:
                size *= high - low
            total += size
    return total


@pytest.mark.parametrize("objectives", [2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_the_hypervolume_is_that_of_the_dominated_cells(objectives: int, seed: int) -> None:
    numbers = random.Random(seed)
    points = [tuple(numbers.random() * 1.2 for _ in range(objectives)) for _ in range(8)]
    points += [points[0], (*points[1][:-1], points[2][-1])]  # one twice, and one that is equal in part
    reference = (1.0,) * objectives
    assert hypervolume(points, reference) == pytest.approx(grid_volume(points, reference))
    assert gain(points[-1], points[:-1], reference) == pytest.approx(
        grid_volume(points, reference) - grid_volume(points[:-1], reference)
    )


def test_the_front_has_what_nothing_is_as_good_as_and_of_equal_ones_the_first() -> None:
    points = [(1.0, 5.0), (2.0, 2.0), (3.0, 3.0), (2.0, 2.0), (5.0, 1.0), (1.0, 6.0)]
    assert front(points) == [0, 1, 4]
    assert front([]) == []


STUDY = several(limits={"size": "<= 10"})


def trial(number: int, accuracy: float, latency: float, size: float = 1.0) -> Record:
    """Return a completed trial."""
    return a_record(STUDY, number, values={"accuracy": accuracy, "latency": latency, "size": size})


LEDGER = [
    trial(1, 0.5, 100),
    trial(2, 0.9, 50, size=11),
    trial(3, 0.6, 120),
    a_record(STUDY, 4, None),
    trial(5, 0.4, 130),
    trial(6, 0.7, 80),
]


def test_the_best_of_several_objectives_is_a_front_within_the_limits() -> None:
    best = Best.of(STUDY, LEDGER)
    assert best.front is not None
    assert [(each.trial, each.values) for each in best.front] == [(6, {"accuracy": 0.7, "latency": 80, "size": 1.0})]
    assert (best.value, best.trial, best.direction, best.outside) == (None, None, None, 1)
    assert best.reference == {"accuracy": 0.4, "latency": 130}
    assert best.hypervolume == pytest.approx(0.3 * 50)
    assert str(best) == "1 trial on the front of accuracy and latency"
    asked = several(reference={"accuracy": 0.5, "latency": 100})
    assert Best.of(asked, LEDGER).hypervolume == pytest.approx(0.4 * 50)


def test_a_trial_improves_where_none_before_is_as_good() -> None:
    standing = Standing[Record](STUDY)
    standings: Growing[Record, Standing[Record]] = growing_standing(STUDY)
    assert [record.trial for record in LEDGER if standing.add(record)] == [1, 3, 6]
    last = [standings.of(LEDGER[:count]).last for count in (0, 1, 6, 2, 3)]
    assert [record.trial if record else None for record in last] == [None, 1, 6, 1, 3]
    stopping = several(stop={"no_improvement_trials": 2}, limits={"size": "<= 10"})
    assert reason_to_stop(stopping, LEDGER) is None
    stop = reason_to_stop(stopping, [LEDGER[0], trial(2, 0.5, 101), trial(3, 0.4, 100)])
    assert stop is not None
    assert stop.reason == "2 trials have not improved the front (stop.no_improvement_trials)"


def test_there_is_no_front_before_a_trial_has_completed() -> None:
    best = Best.of(STUDY, [])
    assert (best.front, best.hypervolume, best.is_found, best.missing) == ([], None, False, None)
    assert Best.of(STUDY, [a_record(STUDY, 1, None)]).missing is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objectives": {"a": "minimize"}}, "objectives: give two to four"),
        ({"objectives": {"a": "minimize", "value": "maximize"}}, "objectives: one of several cannot be called value"),
        ({"objectives": {"a": "minimize", "b": "up"}}, "objectives.b: must be 'minimize' or 'maximize', but got 'up'"),
        ({"objectives": dict.fromkeys("abcde", "minimize")}, "objectives: give two to four"),
        ({"direction": "maximize"}, "direction: each of the objectives has its own; remove the key"),
        ({"objective": {"python": "m:f", "value": "a"}}, "objective.value: the objectives .* name the metrics"),
        ({"objective": {"command": ["t"], "args": "flags", "value": {"source": "last-line"}}}, "gives one number"),
        ({"optimizer": {"engine": "skopt"}}, "objectives: the engine 'skopt' knows one alone"),
        ({"optimizer": {"engine": "optuna"}}, "objectives: the engine 'optuna' knows one alone"),
        ({"stop": {"target": 1}}, "stop.target: several objectives have no best value"),
        ({"noisy": True}, "noisy: with several objectives"),
        ({"reference": {"accurcy": 1}}, "reference: 'accurcy' is none of the objectives; known: accuracy, latency"),
    ],
)
def test_what_does_not_go_with_several_objectives_is_told(changes: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        several(**changes)  # type: ignore[arg-type]


def test_a_command_with_several_objectives_prints_them_by_name() -> None:
    study = several(objective={"command": ["train"], "args": "flags"})
    assert study.source.source == "printed"


def test_the_objectives_identify_a_study() -> None:
    other = several({"accuracy": "maximize", "latency": "maximize"})
    assert several().fingerprint != other.fingerprint
    assert several().fingerprint == several(limits={"latency": "<= 3"}, reference={"latency": 9}).fingerprint
