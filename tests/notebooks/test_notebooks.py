"""The notebooks of the documents run from their first to their last cells, as the files stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from kfp_bayesopt import open_study
from tests import ROOT
from tests.installed import Installed
from tests.notebooks.kernel import run_notebook

NOTEBOOKS = ROOT / "docs" / "notebooks"


def read(name: str) -> Any:
    """Return a notebook as its file has it."""
    version: Any = nbformat  # its functions have no types
    return version.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_model_of_scikit_learn_is_tuned_and_another_notebook_goes_on(environment: Installed, tmp_path: Path) -> None:
    run_notebook(read("scikit-learn"), tmp_path, environment)
    run_notebook(read("going-on"), tmp_path, environment)
    status = open_study(tmp_path / "out" / "digits").status
    assert (status.done, status.failed) == (16, 0)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_trials_of_a_training_loop_end_early(environment: Installed, tmp_path: Path) -> None:
    run_notebook(read("training-loop"), tmp_path, environment)
    status = open_study(tmp_path / "out" / "net").status
    assert (status.done, status.failed) == (12, 0)
    assert status.stopped > 0


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_has_no_outputs_that_a_run_would_change(path: Path) -> None:
    cells = read(path.stem).cells
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
    assert cells[0].cell_type == "markdown"
    assert path.name in (ROOT / "docs" / "notebooks.md").read_text()
