"""A person's modules may have the names of ours and of our packages: each side gets its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.builders import study_text

BAYESOPT = str(Path(sys.executable).with_name("bayesopt"))
NAMES = ("kfp_bayesopt", "kfp_bayesopt_pipeline", "pipeline", "images", "click", "pydantic", "yaml", "numpy", "dotenv")
CHECK = f"""
import importlib, json, os
for name in {NAMES!r}:
    assert importlib.import_module(name).whose == "theirs", name
def objective(x):
    with open(os.environ["SEEN"], "w") as file:
        json.dump(dict(os.environ), file)
    return x * x
"""
OBJECTIVES: dict[str, dict[str, Any]] = {
    "function": {"python": "train:objective"},
    "command": {"command": [sys.executable, "train.py", "{x}"]},
}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("schedule", ["batches", "asynchronous"])
def test_modules_with_our_names_are_theirs_in_the_objective_and_ours_elsewhere(
    objective: str, schedule: str, tmp_path: Path
) -> None:
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("whose = 'theirs'\n")
    (tmp_path / "train.py").write_text(
        CHECK + "if __name__ == '__main__':\n    import sys\n    print(objective(float(sys.argv[1])))\n"
    )
    budget = {"iterations": 1} if schedule == "batches" else {"iterations": None, "trials": 2, "schedule": schedule}
    (tmp_path / "study.yaml").write_bytes(
        study_text(
            objective=OBJECTIVES[objective], space={"x": {"type": "real", "low": 0.0, "high": 1.0}}, parallel_trials=2,
            optimizer={"engine": "random"}, **budget,
        )
    )  # fmt: skip
    mine = {"SEEN": str(tmp_path / "seen.json"), "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BAYESOPT_")} | mine
    ended = subprocess.run(
        [BAYESOPT, "run", "--out", "results"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "best value" in ended.stdout
    seen = json.loads((tmp_path / "seen.json").read_text())
    changed = {name for name in seen.keys() | environment if seen.get(name) != environment.get(name)}
    # What trials say and are asked, how many threads each may use, and what threadpoolctl and scikit-learn set in any
    # process that imports them.
    of_ours = ("BAYESOPT_", "CLOUD_ML_", "AIP_", "OMP_NUM_THREADS", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK")
    assert {name for name in changed if not name.startswith(of_ours)} == set()
