"""Trials on machines of one's own: upstream's launcher asks for a container, and that runs in the real image."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from google.cloud.aiplatform_v1.types import CustomJob, JobState

from images.init.main import main as init
from kfp_bayesopt.folder import jobs
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.store import storage
from kfp_bayesopt_pipeline.compile import compile_study
from kfp_bayesopt_pipeline.images import load_images
from tests.builders import a_study, study_text
from tests.e2e.conftest import run
from tests.kfp_bayesopt_pipeline.shapes import SHAPES
from tests.vertex_launcher import arguments, launch

pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("_root"),
    pytest.mark.filterwarnings("ignore"),  # of the client libraries, in their own code
]


def _as_vertex_does(said: list[str]) -> Callable[[CustomJob], int]:
    """Return a function that runs the container of a job as Vertex does: `command` replaces the image's own."""

    def run_job(job: CustomJob) -> int:
        container = job.job_spec.worker_pool_specs[0].container_spec
        program, *rest = [*container.command, *container.args]
        ended = run(
            *("docker", "run", "--rm", "--network", "host", "--entrypoint", program),
            *("--env", f"STORAGE_EMULATOR_HOST={os.environ['STORAGE_EMULATOR_HOST']}"),
            *(container.image_uri, *rest),
        )
        said.append(ended.stdout + ended.stderr)
        return JobState.JOB_STATE_SUCCEEDED if ended.returncode == 0 else JobState.JOB_STATE_FAILED

    return run_job


@pytest.mark.parametrize("shape", ["spot", "workers"])
def test_a_custom_job_writes_its_record_and_succeeds(shape: str, images: Path, bucket: str, tmp_path: Path) -> None:
    small = {"iterations": None, "trials": 3, "steps": {"evaluate": {"machine_type": "n1-standard-8"}}}
    asked: dict[str, Any] = {**SHAPES[shape], **(small if shape == "workers" else {})}
    asked["objective"] = {"command": ["sh", "-c", "echo $0", "{x1}", "{x2}"]}
    study, content = a_study(**asked), study_text(**asked)
    folder = StudyFolder(f"{bucket}/{shape}", study)
    written = folder.write_study(content)
    jobs.ensure_job(folder, "job-1", written)
    ended = CliRunner().invoke(init, ["--root", folder.root, "--study", written, "--job", "job-1"])
    assert ended.exit_code == 0, ended.output
    step, place = ("worker", {"worker": 1}) if shape == "workers" else ("evaluate", {"trial": 2})
    compiled = compile_study(study, content, load_images(images))
    identity = {"service_account": "", "network": "", "encryption_spec_key_name": "", "labels": {}}
    given = {"root": folder.root, "job": "job-1", "run": "run-1", **place, **identity}
    said: list[str] = []
    task = f"{bucket}/pipeline/{shape}"
    artifacts = {} if shape == "workers" else {"batch": {"uri": f"{bucket}/pipeline/init/suggestions"}}
    (made,) = launch(arguments(compiled, step, given, tmp_path, artifacts, task), _as_vertex_does(said))
    assert made.job_spec.scheduling.strategy.name == ("SPOT" if shape == "spot" else "STANDARD")
    records = folder.read().records
    assert sorted(records) == ([2] if shape == "spot" else [1, 2, 3]), said
    assert {record.state for record in records.values()} == {"completed"}
    shown = json.loads(storage.read(f"{task}/executor_output.json", limit=100_000))
    metrics = shown["artifacts"]["metrics"]["artifacts"][0]["metadata"]
    if shape == "workers":
        done = [json.loads(line) for line in storage.read(f"{task}/done", limit=100_000).splitlines()]
        assert [each["trial"] for each in done] == [1, 2, 3]
        assert (metrics["trials"], metrics["value"]) == (3, min(record.value or 0.0 for record in records.values()))
    else:
        assert metrics["value"] == records[2].value
        assert shown["parameterValues"] == {"value": repr(records[2].value), "parameters": records[2].parameters}
    resources = json.loads((tmp_path / "gcp_resources").read_text())["resources"]
    assert resources[0]["resourceUri"].endswith(made.name)
