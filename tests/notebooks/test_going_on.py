"""A study of a notebook goes on: a cell that is run twice, a kernel that is restarted, a notebook that is changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbclient.exceptions import CellExecutionError

from kfp_bayesopt import Study, open_study
from kfp_bayesopt.trial.evaluation import seed_of
from tests.installed import Installed
from tests.notebooks.kernel import ledger, run_cells, shown

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

FIRST = "from kfp_bayesopt import Real, tune"
# Its calls are lines of a file.
TRAIN = """
def train(x):
    with open("calls.txt", "a") as file:
        file.write("called\\n")
    return squared(x)
"""
HELPER = "def squared(x):\n    return x * x + {}\n"
TUNE = "result = tune(train, {{'x': Real(-1, 1)}}, trials={}, parallel=2)"


def calls(folder: Path) -> int:
    """How often the function was called."""
    return (folder / "calls.txt").read_text().count("called")


def test_a_cell_that_is_run_twice_and_a_notebook_that_is_run_again_try_nothing_twice(
    environment: Installed, tmp_path: Path
) -> None:
    cells = [FIRST, HELPER.format(1), TRAIN, TUNE.format(4), TUNE.format(4)]
    outputs = run_cells(cells, tmp_path, environment)
    assert calls(tmp_path) == 4
    assert "4 completed" in shown(outputs[-1])
    first = ledger(tmp_path / "out" / "train")
    # After a restart the cells have other numbers, and lie elsewhere.
    run_cells([FIRST, "1 + 1", f"\n\n{TRAIN}\n# the same\n{HELPER.format(1)}", TUNE.format(6)], tmp_path, environment)
    assert calls(tmp_path) == 6
    assert ledger(tmp_path / "out" / "train")[:4] == first
    assert open_study(tmp_path / "out" / "train").status.done == 6


def test_a_changed_helper_of_another_cell_is_refused_and_nothing_is_lost(
    environment: Installed, tmp_path: Path
) -> None:
    run_cells([FIRST, HELPER.format(1), TRAIN, TUNE.format(2)], tmp_path, environment)
    before = ledger(tmp_path / "out" / "train")
    with pytest.raises(CellExecutionError, match="same_code=True"):
        run_cells([FIRST, HELPER.format(2), TRAIN, TUNE.format(4)], tmp_path, environment)
    assert (ledger(tmp_path / "out" / "train"), calls(tmp_path)) == (before, 2)


def test_a_trial_has_the_seed_that_its_study_gives_it(environment: Installed, tmp_path: Path) -> None:
    train = "import os\n\ndef train(x):\n    return int(os.environ['BAYESOPT_SEED'])"
    run_cells([FIRST, train, TUNE.format(2), "result.study.save('study.yaml')"], tmp_path, environment)
    study = Study.from_file(tmp_path / "study.yaml")
    values = [record["values"]["value"] for record in ledger(tmp_path / "out" / "train")]
    assert values == [seed_of(study, 1), seed_of(study, 2)]
