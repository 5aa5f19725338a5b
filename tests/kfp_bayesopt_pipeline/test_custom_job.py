"""Trials on machines of one's own: what upstream's launcher asks Vertex for."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.cloud.aiplatform_v1.types import CustomJob, JobState
from google.protobuf.duration_pb2 import Duration

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.steps import STEPS
from kfp_bayesopt.steps.executor import executor_output
from kfp_bayesopt.steps.outputs import Outputs
from kfp_bayesopt_pipeline.compile import compile_study
from tests.builders import a_study
from tests.kfp_bayesopt_pipeline.shapes import IMAGES, SHAPES
from tests.vertex_launcher import arguments, launch

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

MACHINE = {"machine_type": "n1-standard-8"}
IDENTITY = {
    "service_account": "trials@my-project.iam.gserviceaccount.com",
    "network": "projects/1/global/networks/n",
    "encryption_spec_key_name": "projects/p/locations/r/keyRings/k/cryptoKeys/c",
    "labels": {"study": "branin", "team": "ml"},
}
EMPTY = {"service_account": "", "network": "", "encryption_spec_key_name": "", "labels": {}}


BATCH = {"batch": {"uri": "gs://bucket/run/init/suggestions", "metadata": {"study folder": 'gs://bucket/"root"'}}}


def succeed(_: CustomJob) -> int:
    return JobState.JOB_STATE_SUCCEEDED


def task(folder: Path, given: dict[str, Any] = EMPTY, **changes: Any) -> list[str]:
    """Return the arguments of the launcher for the trial 3, or the worker 3, of a study."""
    study = a_study(**{"steps": {"evaluate": MACHINE}, **changes})
    step = "worker" if study.schedule == "asynchronous" else "evaluate"
    place = {"worker": 3} if step == "worker" else {"trial": 3}
    compiled = compile_study(study, b"study", IMAGES)
    inputs = {"root": "gs://bucket/root", "job": "job-1", "run": "7", **place, **given}
    return arguments(compiled, step, inputs, folder, BATCH if step == "evaluate" else {})


def job(folder: Path, given: dict[str, Any] = EMPTY, **changes: Any) -> CustomJob:
    """Return the job that the launcher makes."""
    (made,) = launch(task(folder, given, **changes), succeed)
    return made


@pytest.mark.parametrize("shape", [{}, SHAPES["workers"]], ids=["batches", "workers"])
def test_a_job_runs_the_step_as_the_account_in_the_network_and_with_the_key(
    shape: dict[str, Any], tmp_path: Path
) -> None:
    made = job(tmp_path, IDENTITY, **shape, steps={"evaluate": MACHINE})
    assert made.job_spec.service_account == IDENTITY["service_account"]
    assert made.job_spec.network == IDENTITY["network"]
    assert made.encryption_spec.kms_key_name == IDENTITY["encryption_spec_key_name"]
    assert dict(made.labels).items() >= {"study": "branin", "team": "ml"}.items()
    (pool,) = made.job_spec.worker_pool_specs
    assert (pool.replica_count, pool.machine_spec.machine_type) == (1, "n1-standard-8")
    step = "worker" if shape else "evaluate"
    assert pool.container_spec.image_uri == IMAGES[step]
    assert list(pool.container_spec.command) == ["/opt/bayesopt/bin/executor"]
    _, program, *given = pool.container_spec.args
    assert program == f"/opt/bayesopt/bin/{step}"
    assert dict(zip(given[::2], given[1::2], strict=True)).items() >= {
        "--root": "gs://bucket/root", "--job": "job-1", "--run": "7", "--worker" if shape else "--trial": "3",
    }.items()  # fmt: skip


def test_what_a_task_is_given_and_is_to_give_reaches_its_job(tmp_path: Path) -> None:
    """`{{$}}` is one argument of the container, whatever stands in it, and names input and output artifacts."""
    (pool,) = job(tmp_path).job_spec.worker_pool_specs
    reached = json.loads(pool.container_spec.args[0])
    (batch,) = reached["inputs"]["artifacts"]["batch"]["artifacts"]
    assert batch == {"name": "batch", **BATCH["batch"]}
    step = STEPS["evaluate"].with_edges({port.name for port in STEPS["evaluate"].writes})
    given = {port.name for port in step.writes}
    assert {*reached["outputs"]["parameters"], *reached["outputs"]["artifacts"]} == given | {"gcp_resources"}
    # The executor, in the container, shows these, and leaves the file of the launcher alone.
    found = executor_output(reached, step.writes, Outputs(values={"value": "0.5", "parameters": {"x1": 1.0}}))
    assert found["parameterValues"] == {"value": "0.5", "parameters": {"x1": 1.0}}
    assert set(found["artifacts"]) == {"metrics"}


def test_a_job_of_nobody_in_particular_is_as_vertex_has_it(tmp_path: Path) -> None:
    made = job(tmp_path)
    assert (made.job_spec.service_account, made.job_spec.network) == ("", "")
    assert made.encryption_spec.kms_key_name == ""
    assert made.job_spec.scheduling.strategy.name == "STANDARD"


@pytest.mark.parametrize(
    ("evaluate", "strategy", "wait"),
    [({"spot": True}, "SPOT", 0), ({"max_wait_hours": 1.5}, "FLEX_START", 5400), ({}, "STANDARD", 0)],
)
def test_a_job_says_where_its_machine_comes_from(
    evaluate: dict[str, Any], strategy: str, wait: int, tmp_path: Path
) -> None:
    scheduling = job(tmp_path, steps={"evaluate": {**MACHINE, **evaluate}}).job_spec.scheduling
    assert scheduling.strategy.name == strategy
    assert CustomJob.pb(CustomJob(job_spec={"scheduling": scheduling})).job_spec.scheduling.max_wait_duration == (
        Duration(seconds=wait)
    )


def test_a_job_runs_on_machines_that_stay(tmp_path: Path) -> None:
    made = job(tmp_path, steps={"evaluate": {**MACHINE, "persistent_resource": "pool-1"}})
    assert made.job_spec.persistent_resource_id == "pool-1"


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 7 * 24 * 3600),
        ({"max_trial_seconds": 600}, 600 + 60 + 60 + 900),
        ({"max_trial_seconds": 600, "finish_seconds": 0}, 600 + 60 + 900),
        ({"max_trial_seconds": 10**6}, 7 * 24 * 3600),
    ],
)
def test_a_trial_has_time_to_start_and_to_finish(changes: dict[str, Any], seconds: int, tmp_path: Path) -> None:
    assert job(tmp_path, **changes).job_spec.scheduling.timeout == timedelta(seconds=seconds)


def test_a_job_that_fails_fails_its_task(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        launch(task(tmp_path), lambda _: JobState.JOB_STATE_FAILED)


def test_a_task_that_starts_again_in_its_place_follows_the_job_that_it_made(tmp_path: Path) -> None:
    """So a retry that finds the file of the first try makes no second job; docs/vertex.md says what does."""
    begun = task(tmp_path)
    assert len(launch(begun, succeed)) == 1
    followed: list[str] = []

    def follow(asked: CustomJob) -> int:
        followed.append(asked.name)
        return JobState.JOB_STATE_SUCCEEDED

    assert launch(begun, follow) == []
    assert followed == ["projects/my-project/locations/europe-west1/customJobs/1"]


@pytest.mark.parametrize(
    ("evaluate", "message"),
    [
        ({"max_wait_hours": 2}, "max_wait_hours needs a machine_type"),
        ({"persistent_resource": "pool-1"}, "persistent_resource needs a machine_type"),
        (
            {**MACHINE, "spot": True, "persistent_resource": "pool-1"},
            "spot: true and persistent_resource exclude each other; each says where the machine comes from",
        ),
        (
            {**MACHINE, "spot": True, "max_wait_hours": 1},
            "spot: true and max_wait_hours exclude each other; each says where the machine comes from",
        ),
    ],
)
def test_what_excludes_each_other_is_refused(evaluate: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        a_study(steps={"evaluate": evaluate})
    assert caught.value.message == f"study: steps.evaluate: {message}"
