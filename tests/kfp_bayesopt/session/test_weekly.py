"""A study that is tuned again on new data finds what it found before in at most half of the trials."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kfp_bayesopt.folder.roots import study_folder
from kfp_bayesopt.session.tuned import open_tuned
from tests.asynchronous import Simulation
from tests.builders import study_text

TRIALS, WORKERS, SEEDS = 16, 4, 7
IMAGE = "registry/worker:1.0"
WEIGHTS = (1.0, 5.0, 0.1, 2.0, 1.0, 0.5)


def _bowl(centre: float, x: Sequence[float]) -> float:
    return sum(weight * (each - centre) ** 2 for weight, each in zip(WEIGHTS, x, strict=True))


WEEKS: list[Callable[[Sequence[float]], float]] = [functools.partial(_bowl, centre) for centre in (0.3, 0.35)]
"""A function of each week: the best parameters move by a twentieth of their range."""


def _tune(above: Path, week: int, seed: int) -> list[float]:
    """Tune on the data of a week, and return the best value after each trial."""
    function = WEEKS[week - 1]
    text = study_text(
        space={f"x{number}": {"type": "real", "low": 0.0, "high": 1.0} for number in range(len(WEIGHTS))},
        schedule="asynchronous",
        iterations=None,
        trials=TRIALS,
        parallel_trials=WORKERS,
        optimizer={"engine": "gp", "random_state": seed},
    )
    data = f"week {week}"
    given = {"content": text.decode(), "image": IMAGE, "run": f"run-{week}", "task": "tune", "data": data}
    opened = open_tuned(below=str(above), **given)
    folder = study_folder(opened.root)
    assert (opened.note is None) == (week == 1)
    assert len(folder.searched.earlier) == (0 if week == 1 else TRIALS)
    found = Simulation(folder.searched)
    found.run(TRIALS, WORKERS, 100 * week + seed, lambda point, _: function([float(x) for x in point.values()]))  # type: ignore[arg-type]
    for trial in sorted(found.records):
        folder.write_suggestions([found.suggestions[trial]])
        folder.write_record(found.records[trial])
    values = [found.records[trial].values["value"] for trial in sorted(found.records)]
    return [min(values[: count + 1]) for count in range(TRIALS)]


@pytest.mark.long
def test_the_second_week_reaches_the_best_of_the_first_in_half_of_the_trials(tmp_path: Path) -> None:
    """The median of several seeds."""
    needed: list[float] = []
    for seed in range(SEEDS):
        above = tmp_path / str(seed)
        above.mkdir()
        best = _tune(above, 1, seed)[-1]
        second = _tune(above, 2, seed)
        needed.append(next((trial for trial, value in enumerate(second, 1) if value <= best), TRIALS + 1))
    assert statistics.median(needed) <= TRIALS / 2, needed
