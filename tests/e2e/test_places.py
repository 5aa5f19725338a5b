"""One study through all places, interrupted in each: nothing that was paid for is lost, or paid for again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kfp_bayesopt.steps import STEPS
from kfp_bayesopt.store import storage
from kfp_bayesopt_pipeline.images import load_images
from tests import ROOT
from tests.e2e.conftest import NAME, make, run
from tests.ledgers import check_agreement, comparable, contents
from tests.vertex_stand_in import VertexStandIn

COMPOSE = ("docker", "compose", "-p", f"{NAME}-places", "-f", "docker-compose.test.yml")
SECONDS = 240

pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("_root"),
    pytest.mark.filterwarnings("ignore"),  # of the client libraries, in their own code
]


def _recorded(root: str) -> dict[int, dict[str, bytes]]:
    """Return the files of each trial that has a record; they are created once, so that they hold still meanwhile."""
    found: dict[int, dict[str, bytes]] = {}
    for name, content in contents(f"{root}/trials").items():
        found.setdefault(int(name.partition("/")[0]), {})[name] = content
    return {trial: files for trial, files in found.items() if any("/record-" in name for name in files)}


def _wait(trial: int, root: str, is_over: Callable[[], object]) -> None:
    """Wait until a trial or a later one has a record."""
    ends = time.monotonic() + SECONDS
    while max(_recorded(root), default=0) < trial:
        assert not is_over(), f"it was to be interrupted after trial {trial}, and has ended"
        assert time.monotonic() < ends, f"trial {trial} has no record in {root}"
        time.sleep(0.02)


def _kill(trial: int, root: str, *command: str) -> dict[int, dict[str, bytes]]:
    """Run a command, kill it and all that it started once a trial has a record, and return what was recorded then."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        _wait(trial, root, process.poll)
        os.killpg(process.pid, signal.SIGKILL)
    return _recorded(root)


def test_a_study_goes_through_all_places_interrupted_in_each(images: Path, bucket: str, tmp_path: Path) -> None:
    """More iterations on the way: compose has four, all others have six."""
    study = tmp_path / "study" / "branin.yaml"
    study.parent.mkdir()
    study.write_text((ROOT / "studies" / "branin.yaml").read_text().replace("iterations: 4", "iterations: 6"))
    here, there = str(tmp_path / "out"), f"{bucket}/runs/studies/branin/f51e5293970f263b/0001"
    python = (sys.executable, "-m", "pipeline")
    kept: list[dict[int, dict[str, bytes]]] = []

    # --- compose ---
    try:
        up = subprocess.Popen([*COMPOSE, "up"], cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
        ends = time.monotonic() + SECONDS
        while max(_recorded(here), default=0) < 3:
            assert time.monotonic() < ends, run(*COMPOSE, "logs", "--no-color").stdout
            run(*COMPOSE, "cp", "gcs:/srv/data/bayesopt/branin/.", here)
        os.killpg(up.pid, signal.SIGKILL)
        up.wait()
        while run(*COMPOSE, "kill").returncode != 0:  # a container that ends just then is an error to it
            assert time.monotonic() < ends
        run(*COMPOSE, "cp", "gcs:/srv/data/bayesopt/branin/.", here)
    finally:
        run(*COMPOSE, "down", "--volumes", "--remove-orphans")
    kept.append(_recorded(here))
    assert max(kept[0]) < 16, "it was to be interrupted, and has ended"

    # --- in process, and kfp.local ---
    kept.append(_kill(6, here, *python, "run", str(study), "--out", here))
    kept.append(_kill(10, here, *python, "run-kfp", str(study), "--images", str(images), "--out", here))

    # --- to the bucket, and by hand ---
    pushed = make("push-folder", f"STUDY={study}", f"OUT={here}", f"ROOT={there}")
    assert pushed.returncode == 0, pushed.stderr
    host, found = os.environ["STORAGE_EMULATOR_HOST"], load_images(images)

    def by_hand(step: str, *options: str, command: tuple[str, ...] = ("run", "--rm")) -> str:
        """Start a step in a container as a person may, without a job."""
        ended = run(
            *("docker", *command, "--network", "host", "--env", f"STORAGE_EMULATOR_HOST={host}"),
            *("--volume", f"{study.parent}:/study:ro", found[step], STEPS[step].program),
            *("--root", there, "--study", "/study/branin.yaml", *options),
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    for trial in range(9, 13):
        by_hand("evaluate", "--trial", str(trial))
    by_hand("update", "--after", "12")
    by_hand("evaluate", "--trial", "13")
    container = by_hand("evaluate", "--trial", "14", command=("run", "--detach"))
    assert run("docker", "rm", "--force", container).returncode == 0
    kept.append(_recorded(there))
    assert 13 in kept[-1]

    # --- Vertex ---
    vertex = VertexStandIn(tmp_path / "vertex", run=True)
    settings = f"--project-id my-project --region europe-west1 --endpoint {vertex.endpoint}"
    try:
        submitted = make(
            *("submit", f"STUDY={study}", f"IMAGES={images}"), f"FLAGS={settings} --pipeline-root {bucket}/runs"
        )
        assert submitted.returncode == 0, submitted.stderr
        assert f"study folder {there}\n" in submitted.stdout
        (job,) = vertex.jobs
        _wait(17, there, lambda: vertex.jobs[job]["state"] != "PIPELINE_STATE_RUNNING")
        cancelled = make("cancel", f"JOB={job}", f"FLAGS={settings}")
        assert cancelled.returncode == 0, cancelled.stderr
    finally:
        vertex.stop()
    kept.append(_recorded(there))

    # --- in process on the bucket, and back here to the end ---
    kept.append(_kill(20, there, *python, "run", str(study), "--out", there))
    pulled = make("pull", f"STUDY={study}", f"OUT={tmp_path}/back", f"ROOT={there}")
    assert pulled.returncode == 0, pulled.stderr
    ended = run(*python, "run", str(study), "--out", f"{tmp_path}/back")
    assert ended.returncode == 0, ended.stderr

    # What had a record was never touched again.
    final = _recorded(f"{tmp_path}/back")
    for snapshot in kept:
        for trial, files in snapshot.items():
            assert final[trial] == files, f"trial {trial} was evaluated again"
    straight = run(*python, "run", str(study), "--out", f"{tmp_path}/straight")
    assert straight.returncode == 0, straight.stderr
    ours, theirs = (
        comparable(storage.read(f"{tmp_path}/{out}/trials.jsonl", limit=10**6)) for out in ("back", "straight")
    )
    assert [record["trial"] for record in ours] == list(range(1, 25))
    check_agreement(ours, theirs)
