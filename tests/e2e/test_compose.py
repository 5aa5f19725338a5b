"""The chain of studies/branin.yaml in real containers, through gs:// paths on a fake Cloud Storage."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_bayesopt.steps import STEPS
from tests import ROOT
from tests.e2e.conftest import NAME, run
from tests.ledgers import check_agreement, comparable

COMPOSE = ("docker", "compose", "-p", NAME, "-f", "docker-compose.test.yml")
LOGS = ROOT / "out" / "e2e"
KEPT = "/srv/data/bayesopt/branin"
EMPTY = bytes(10240)
"""An archive of no files, and as an image one in which nothing can run."""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.CompletedProcess[str], Path]]:
    """Run the chain as a person would; give what it printed and the folder of its results.

    Another image has the name of each step: what Compose runs has to be built now.
    """
    try:
        for step in STEPS:
            subprocess.run(["docker", "import", "-", f"kfp-bayesopt/{step}:test"], input=EMPTY, check=True)
        printed = run(*COMPOSE, "up", "--force-recreate", "--renew-anon-volumes")
        results = tmp_path_factory.mktemp("results")
        copied = run(*COMPOSE, "cp", f"gcs:{KEPT}/.", str(results))
        if printed.returncode or copied.returncode or not (results / "best.json").exists():
            LOGS.mkdir(parents=True, exist_ok=True)
            (LOGS / "compose.log").write_text(run(*COMPOSE, "logs", "--no-color").stdout + printed.stderr)
            pytest.fail(f"the chain must end with a best trial; the logs are in {LOGS / 'compose.log'}")
        yield printed, results
    finally:
        run(*COMPOSE, "down", "--volumes", "--remove-orphans", "--rmi", "local")


def test_the_chain_ends_by_itself_and_prints_the_best_value(
    up: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    printed, results = up
    best = json.loads((results / "best.json").read_text())["value"]
    assert best == pytest.approx(0.8080, abs=1e-3)
    assert f'"value": {best!r}' in printed.stdout


def test_no_step_warns_or_fails(up: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    suspicious = [line for line in up[0].stdout.splitlines() if "WARN" in line or "ERROR" in line or "Warning" in line]
    assert suspicious == []


def test_the_ledger_agrees_with_that_of_a_run_in_process(
    up: tuple[subprocess.CompletedProcess[str], Path], tmp_path: Path
) -> None:
    from kfp_bayesopt_pipeline.places.in_process import Options
    from kfp_bayesopt_pipeline.places.in_process import run as run_in_process

    run_in_process("studies/branin.yaml", str(tmp_path / "out"), 2, Options())
    in_process = comparable((tmp_path / "out" / "trials.jsonl").read_text())
    in_containers = comparable((up[1] / "trials.jsonl").read_text())
    assert len(in_containers) == 16
    check_agreement(in_process, in_containers)
