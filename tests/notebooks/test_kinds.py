"""Notebooks of every kind run to their ends, and their trials are those of the same code in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt import Study, run
from tests.installed import Installed
from tests.notebooks.kernel import ledger, run_cells
from tests.notebooks.kinds import KINDS, Kind

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

FIRST = "from kfp_bayesopt import Categorical, Constant, Integer, Real, tune"


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write files into a new folder."""
    folder.mkdir()
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def arguments_of(kind: Kind) -> dict[str, Any]:
    """The arguments of `tune` of a kind."""
    return {"trials": 4, "parallel": 2, "name": "kind"} | kind.arguments


def tuning(kind: Kind) -> str:
    """The cell that tunes."""
    objective = "train"
    if kind.objective:
        objective = (
            "{"
            + ", ".join(["'function': train", *(f"{key!r}: {value!r}" for key, value in kind.objective.items())])
            + "}"
        )
    arguments = ", ".join(f"{key}={value!r}" for key, value in arguments_of(kind).items())
    return f"result = tune({objective}, {kind.space!r}, {arguments})"


def study_file_of(kind: Kind) -> Study:
    """The study of a kind, as a study file says it of a module beside it."""
    keys = arguments_of(kind)
    objective = {"python": "train:train", **kind.objective}
    if "metric" in keys:
        objective["value"] = keys.pop("metric")
    if keys.pop("maximize", False):
        keys["direction"] = "maximize"
    return Study(objective=objective, space=kind.space, parallel_trials=keys.pop("parallel"), **keys)


@pytest.mark.parametrize("name", KINDS)
def test_the_trials_of_a_notebook_are_those_of_its_file_form(name: str, environment: Installed, tmp_path: Path) -> None:
    kind = KINDS[name]
    here = write(tmp_path / "notebook", kind.beside)
    run_cells([FIRST, *kind.definitions, tuning(kind), *kind.further], here, environment)
    notebook = ledger(here / "out" / "kind")
    assert [record["state"] for record in notebook] == [*kind.states]

    there = write(tmp_path / "file", kind.beside | {"train.py": kind.module})
    study_file_of(kind).save(there / "study.yaml")
    run(there / "study.yaml", root=there / "out", progress=False)
    assert notebook == ledger(there / "out")
