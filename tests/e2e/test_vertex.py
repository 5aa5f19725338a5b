"""From `submit --wait` to a best value: the job goes to a stand-in for Vertex, which runs it in real containers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cloud.commands import results, status, submit
from pipeline.cloud.images import write_images
from tests.e2e.conftest import run
from tests.ledgers import comparable
from tests.vertex_stand_in import VertexStandIn

REGISTRY = "kfp-bayesopt-e2e-vertex"
STEPS = ("init", "evaluate", "update")

pytestmark = [
    pytest.mark.usefixtures("_root"),
    pytest.mark.filterwarnings("ignore"),  # of the client libraries, in their own code
]


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Path]:
    for step in STEPS:
        built = run(
            "docker", "build", "--quiet", "-t", f"{REGISTRY}/{step}:1", "-f", f"images/{step}/Dockerfile", "images"
        )
        assert built.returncode == 0, built.stderr
    write_images(tmp_path / "images.json", REGISTRY, "1", pushed=False)
    yield tmp_path / "images.json"
    run("docker", "rmi", "--force", *(f"{REGISTRY}/{step}:1" for step in STEPS))


def test_a_submitted_study_runs_to_its_best_value(
    images: Path, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.cloud.aiplatform.utils import resource_manager_utils

    from pipeline.local import run as run_in_process

    # The client asks Resource Manager whose the bucket is; there is no stand-in for that service.
    monkeypatch.setattr(resource_manager_utils, "get_project_number", lambda *_, **__: "1234")
    study = tmp_path / "study.yaml"
    text = Path("studies/branin.yaml").read_text()
    study.write_text(text.replace("iterations: 4", "iterations: 2").replace("parallel_trials: 4", "parallel_trials: 2"))
    vertex = VertexStandIn(tmp_path / "vertex", run=True)
    settings = ["--project-id", "my-project", "--region", "europe-west1", "--endpoint", vertex.endpoint]
    arguments = [str(study), "--images", str(images), "--pipeline-root", f"{bucket}/root", "--wait", "--every", "0.5"]
    try:
        ended = CliRunner().invoke(submit, [*arguments, *settings])
        assert ended.exit_code == 0, ended.output
        (job,) = vertex.jobs
        fetched = CliRunner().invoke(results, [job, "--out", str(tmp_path / "results"), *settings])
        shown = CliRunner().invoke(status, [job, *settings])
    finally:
        vertex.stop()

    assert "best value 17.11" in ended.output
    assert "iteration 2: update: SUCCEEDED" in ended.output
    assert shown.output.splitlines()[-1] == f"{job}: SUCCEEDED"
    assert "iteration 1: evaluate: 2 SUCCEEDED" in shown.output
    assert fetched.exit_code == 0, fetched.output
    assert json.loads((tmp_path / "results" / "best.json").read_text())["completed"] == 4

    run_in_process(str(study), tmp_path / "in-process", jobs=2, fresh=False)
    in_process = comparable((tmp_path / "in-process" / "trials.jsonl").read_text())
    assert comparable((tmp_path / "results" / "trials.jsonl").read_text()) == in_process
