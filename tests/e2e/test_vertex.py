"""From `submit --wait` to a best value: the job goes to a stand-in for Vertex, which runs it in real containers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kfp_bayesopt.store import storage
from tests.e2e.conftest import Vertex, make
from tests.ledgers import comparable

pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("_root"),
    pytest.mark.filterwarnings("ignore"),  # of the client libraries, in their own code
]


def test_a_submitted_study_runs_to_its_best_value(images: Path, vertex: Vertex, bucket: str, tmp_path: Path) -> None:
    from kfp_bayesopt_pipeline.places.in_process import Options
    from kfp_bayesopt_pipeline.places.in_process import run as run_in_process

    study = tmp_path / "study.yaml"
    text = Path("studies/branin.yaml").read_text()
    study.write_text(text.replace("iterations: 4", "iterations: 2").replace("parallel_trials: 4", "parallel_trials: 2"))
    ended = vertex.submit(study, images, bucket)
    assert ended.returncode == 0, ended.stderr
    (job,) = vertex.stand_in.jobs
    fetched = make("results", f"JOB={job}", f"FLAGS={vertex.settings} --out {tmp_path}/results")
    shown = make("status", f"JOB={job}", f"FLAGS={vertex.settings}")

    larger = tmp_path / "larger.yaml"
    larger.write_text(study.read_text().replace("iterations: 2", "iterations: 3"))
    continued = vertex.submit(larger, images, bucket)

    assert "best value 17.11" in ended.stdout
    assert "iteration 2: update: SUCCEEDED" in ended.stdout
    root = f"{bucket}/runs/studies/branin/f51e5293970f263b/0001"
    assert shown.stdout.splitlines()[-2:] == [
        f"{job}: SUCCEEDED",
        f"4 of 4 trials have records; best value 17.117802423039286 in trial 1; folder {root}",
    ]
    assert "iteration 1: evaluate: 2 SUCCEEDED" in shown.stdout
    assert fetched.returncode == 0, fetched.stderr
    assert json.loads((tmp_path / "results" / "best.json").read_text())["completed"] == 4

    run_in_process(str(study), str(tmp_path / "in-process"), 2, Options())
    in_process = comparable((tmp_path / "in-process" / "trials.jsonl").read_text())
    assert comparable((tmp_path / "results" / "trials.jsonl").read_text()) == in_process

    assert continued.returncode == 0, continued.stderr
    all_six = storage.read(f"{root}/trials.jsonl", limit=100_000)
    assert all_six.startswith((tmp_path / "results" / "trials.jsonl").read_bytes()), "times and machines too"
    assert len(all_six.splitlines()) == 6
