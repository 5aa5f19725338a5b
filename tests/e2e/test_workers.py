"""An asynchronous study in real containers: compose, KFP's own engine, the stand-in for Vertex; workers are killed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.store import storage
from tests.e2e.conftest import Vertex, make, run

pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("_root"),
    pytest.mark.filterwarnings("ignore"),  # of the client libraries, in their own code
]

STUDY = """
name: workers
schedule: asynchronous
objective: {command: [sh, -c, "sleep 0.4; echo $0", "{x}"]}
trials: 12
parallel_trials: 4
space: {x: {type: real, low: 0.0, high: 1.0}}
optimizer: {random_state: 1}
steps: {evaluate: {backoff_seconds: 1}}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    path = folder / "workers.yaml"
    path.write_text(STUDY)
    return path


def check(ledger: bytes | str) -> list[dict[str, Any]]:
    """Check that a ledger has the whole budget, and return it."""
    records = [json.loads(line) for line in ledger.splitlines()]
    assert [record["trial"] for record in records] == list(range(1, 13))
    assert {record["state"] for record in records} == {"completed"}
    return records


def verified(study: Path, out: str) -> str:
    return run(sys.executable, "-m", "pipeline", "verify", str(study), "--root", out).stdout.splitlines()[-1]


def test_workers_in_containers_spend_the_budget(images: Path, study: Path, tmp_path: Path) -> None:
    ended = make("compose", f"STUDY={study}", f"IMAGES={images}", f"OUT={tmp_path}/out")
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    records = check((tmp_path / "out" / "trials.jsonl").read_text())
    assert len({record["machine"] for record in records}) == 4
    assert verified(study, f"{tmp_path}/out") == "12 same, 0 equally good, 0 not checked, 0 differs"


def test_a_worker_whose_container_is_killed_costs_at_most_a_second_command(
    images: Path, study: Path, tmp_path: Path
) -> None:
    """Workers do not linger: what was pending when all others had left is finished by the same command again."""
    killed: list[str] = []
    begun = tmp_path / "out" / "trials"
    image = json.loads(images.read_text())["worker"]

    def kill_one() -> None:
        while len(list(begun.glob("*/suggestion.json"))) < 5:
            time.sleep(0.05)
        containers = run("docker", "ps", "--quiet", "--filter", f"ancestor={image}").stdout.split()
        killed.extend(containers[:1])
        subprocess.run(["docker", "kill", *killed], capture_output=True, check=False)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    command = ("run-kfp", f"STUDY={study}", f"IMAGES={images}", f"OUT={tmp_path}/out")
    first = make(*command)
    killer.join(60)
    assert killed
    if first.returncode:
        assert "of 12 trials have ended; run the same command again to finish" in first.stderr, first.stderr[-3000:]
        second = make(*command)
        assert second.returncode == 0, second.stderr[-3000:]
    records = check((tmp_path / "out" / "trials.jsonl").read_text())
    assert max(record["attempt"] for record in records) == 2
    assert len(list(begun.glob("*/record-1.json"))) == 12


def test_a_submitted_study_ends_with_its_budget(images: Path, study: Path, vertex: Vertex, bucket: str) -> None:
    ended = vertex.submit(study, images, bucket)
    (job,) = vertex.stand_in.jobs
    shown = make("status", f"JOB={job}", f"FLAGS={vertex.settings}")
    assert ended.returncode == 0, ended.stderr
    assert "worker: 4 SUCCEEDED" in ended.stdout
    assert "12 of 12 trials have records; best value " in shown.stdout
    root = shown.stdout.rpartition("; folder ")[2].strip()
    check(storage.read(f"{root}/trials.jsonl", limit=10**6))
    assert verified(study, root) == "12 same, 0 equally good, 0 not checked, 0 differs"


# Four forms of a printed metric in one study.
EARLY = """
name: early
objective:
  command:
  - sh
  - -c
  - |
    for e in 1 2 3 4 5 6 7 8 9; do
      case $1 in
        equals) echo "epoch=$e loss=$0" ;;
        colon) echo "Epoch $e/9, epoch: $e, loss: $0" ;;
        quoted) echo "{{'epoch': $e, 'loss': $0}}" ;;
        json) echo "{{\\"epoch\\": $e, \\"loss\\": $0}}" ;;
      esac
      sleep 0.3
    done
  - "{x}"
  - "{form}"
  value: loss
  intermediate: {name: loss, step: epoch}
early_stopping: {rule: asha, max_steps: 9}
parallel_trials: 4
space:
  x: {type: real, low: 0.0, high: 1.0}
  form: {type: categorical, choices: [equals, colon, quoted, json]}
optimizer: {engine: random, random_state: 1}
"""
BUDGETS = {"asynchronous": "schedule: asynchronous\ntrials: 12\n", "batches": "iterations: 3\n"}


@pytest.mark.parametrize(
    ("place", "schedule"), [("compose", "asynchronous"), ("run-kfp", "batches"), ("submit", "asynchronous")]
)
def test_trials_that_will_not_win_are_stopped_in_containers(
    place: str, schedule: str, images: Path, study: Path, vertex: Vertex, bucket: str, tmp_path: Path
) -> None:
    study.write_text(EARLY + BUDGETS[schedule])
    if place == "submit":
        ended = vertex.submit(study, images, bucket)
        (root,) = re.findall(rf"{bucket}/runs/studies/early/\w+/\d+", ended.stdout)[:1]
    else:
        root = f"{tmp_path}/out"
        ended = make(place, f"STUDY={study}", f"IMAGES={images}", f"OUT={root}")
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    records = [json.loads(line) for line in storage.read(f"{root}/trials.jsonl", limit=10**6).splitlines()]
    states = [record["state"] for record in records]
    assert len(states) == 12
    assert set(states) == {"completed", "stopped"}
    assert {record["parameters"]["form"] for record in records} == {"equals", "colon", "quoted", "json"}
    assert all(record["values"]["value"] == record["parameters"]["x"] for record in records)
    assert all(record["steps"]["first"] == 1 for record in records)
    best = json.loads(storage.read(f"{root}/best.json", limit=10**6))
    assert best["stopped"] == states.count("stopped")
    assert best["value"] == min(each["values"]["value"] for each in records if each["state"] == "completed")
    assert re.fullmatch(r"early stopping: \d+ decisions, 0 wrong", verified(study, root))
