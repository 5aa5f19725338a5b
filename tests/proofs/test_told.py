"""SIGTERM at any line between the claim of a trial and its record: a last word, and another one goes on at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.builders import write_study
from tests.proofs.conftest import SEED, share

pytestmark = pytest.mark.long

CODE = "def objective(x):\n    print('loss', x)\n    return x\n"
SPACE = {"x": {"type": "real", "low": 0.0, "high": 1.0}}
SCHEDULE: dict[str, dict[str, Any]] = {
    "worker": {"schedule": "asynchronous", "iterations": None, "trials": 2},
    "evaluate": {"iterations": 1, "parallel_trials": 1},
}


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("program", ["worker", "evaluate"])
def test_a_program_that_is_told_to_stop_at_any_line_leaves_its_trial_to_others(program: str, tmp_path: Path) -> None:
    study = write_study(
        tmp_path / "study", CODE, space=SPACE, optimizer={"engine": "random"}, checkpoint=True, **SCHEDULE[program]
    )
    ended = subprocess.run(
        [sys.executable, "-m", "tests.proofs.told", program, str(study), str(tmp_path), str(share(0, 6)), str(SEED)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    cases = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(cases) >= 6
    trials = 2 if program == "worker" else 1
    for case in cases:
        assert case["status"] in (0, 143), case  # 0 where that line was not run this time
        assert "Traceback" not in case["said"], case
        assert (case["after"], "Traceback" in case["then"]) == (0, False), case
        assert [(trial, state) for trial, _, state in case["records"]] == [
            (number, "completed") for number in range(1, trials + 1)
        ], case
    assert sum(case["status"] == 143 for case in cases) > len(cases) // 2
