"""The lowest versions of what the distribution asks for: it works with them as with the newest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from locks.closed import LOWEST, MACHINES
from tests import ROOT

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        MACHINES[0].python != f"{sys.version_info.major}.{sys.version_info.minor}",
        reason=f"versions that old are of Python {MACHINES[0].python}, whose job of CI runs it",
    ),
]
SUITES = [
    "tests/kfp_bayesopt/study", "tests/kfp_bayesopt/space/test_every_type.py", "tests/kfp_bayesopt/search/gp",
    "tests/kfp_bayesopt/search/test_simple_engines.py", "tests/kfp_bayesopt_pipeline/test_compile.py",
]  # fmt: skip
# It tells stdout from stderr, as click's runner of tests does from 8.2 on.
LEFT_OUT = "tests/kfp_bayesopt_pipeline/test_compile.py::test_a_worker_that_nothing_bounds_is_a_warning"
BIN = ROOT / ".venv-lowest" / "bin"


@pytest.fixture(scope="module", autouse=True)
def _environment() -> None:
    command = [
        sys.executable,
        "-m",
        "locks.install",
        BIN.parent.name,
        f"{LOWEST}/requirements.txt",
        "kfp, skopt, pytest",
    ]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr


def bayesopt(program: Path, *arguments: str, cwd: Path) -> str:
    ended = subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_branin_ends_at_its_value(tmp_path: Path) -> None:
    bayesopt(BIN / "bayesopt", "run", "branin", cwd=tmp_path)
    assert json.loads((tmp_path / "out" / "branin" / "best.json").read_text())["value"] == pytest.approx(
        0.808, abs=1e-3
    )


@pytest.mark.timeout(1200)
def test_a_folder_of_the_newest_versions_is_read(tmp_path: Path) -> None:
    """Suggestions are computed again by the versions alone that have made them, and verify says so."""
    text = (ROOT / "studies" / "branin.yaml").read_text().replace("engine: skopt, base_estimator: GP", "engine: gp")
    (tmp_path / "study.yaml").write_text(text)
    bayesopt(Path(sys.executable).with_name("bayesopt"), "run", "study.yaml", cwd=tmp_path)
    said = bayesopt(BIN / "bayesopt", "verify", "study.yaml", cwd=tmp_path).splitlines()
    assert said[-1] == "0 same, 0 equally good, 16 not checked, 0 differs"
    assert said[0].startswith("16 not checked: it was proposed with numpy ")
    bayesopt(BIN / "bayesopt", "report", "study.yaml", cwd=tmp_path)


@pytest.mark.timeout(1200)
def test_study_search_and_pipeline_are_as_with_the_newest_versions() -> None:
    """Old packages warn of what newer ones have changed."""
    ignored = [f"-Wignore::{name}" for name in ("DeprecationWarning", "FutureWarning", "PendingDeprecationWarning")]
    command = [str(BIN / "python"), "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-m", "not long"]
    ended = subprocess.run(
        [*command, *ignored, "-p", "no:cacheprovider", f"--deselect={LEFT_OUT}", *SUITES],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout[-5000:]
