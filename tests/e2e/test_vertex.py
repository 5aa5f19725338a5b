"""From `submit --wait` to a best value: the job goes to a stand-in for Vertex, which runs it in real containers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kfp_bayesopt.store import storage
from tests import ROOT
from tests.e2e.conftest import REGISTRY, Vertex, make
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
    continued = vertex.submit(larger, images, bucket, "--trials-experiment branin-trials")

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
    # The image of `report` has no client of Vertex; what it wrote is there as that client would have.
    contexts = vertex.stand_in.contexts
    runs = [contexts.known[name]["metadata"] for name in contexts.children("branin-trials")]
    records = [json.loads(line) for line in all_six.splitlines()]
    assert [run["_params"] for run in runs] == [record["parameters"] for record in records]
    assert [run["_metrics"] for run in runs] == [record["values"] for record in records]


def test_the_three_words_in_one_call_end_at_a_best_value(
    vertex: Vertex, bucket: str, images: Path, tmp_path: Path
) -> None:
    """With the variables in .env that docs/vertex-setup.sh writes, and those of what stands in for the cloud."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("Makefile", "images", "pipeline", "locks"):
        (checkout / name).symlink_to(ROOT / name)
    (checkout / ".env").write_text(
        f"GOOGLE_CLOUD_PROJECT=my-project\nGOOGLE_CLOUD_REGION=europe-west1\nPIPELINE_ROOT={bucket}/runs\n"
        "SERVICE_ACCOUNT=bayesopt-steps@my-project.iam.gserviceaccount.com\n"
        f"REGISTRY={REGISTRY}\nVERTEX_ENDPOINT={vertex.stand_in.endpoint}\n"
    )
    study = tmp_path / "study.yaml"
    study.write_text((ROOT / "studies" / "branin.yaml").read_text().replace("iterations: 4", "iterations: 1"))
    command = ["make", "--silent", "-j3", "-o", ".venv-cloud/installed", "build", "push", "submit", f"STUDY={study}"]
    bayesopt = f"BAYESOPT={Path(sys.executable).with_name('bayesopt')}"
    ended = subprocess.run(
        [*command, bayesopt, "TAG=test", "WAIT=1"], cwd=checkout, capture_output=True, text=True, timeout=600
    )
    assert ended.returncode == 0, ended.stderr
    printed = ended.stdout
    assert printed.index("building ") < printed.index(f"{REGISTRY}/init@sha256:") < printed.index("best value 17.11")
    assert json.loads((checkout / "out" / "images.json").read_text()) == json.loads(images.read_text())
