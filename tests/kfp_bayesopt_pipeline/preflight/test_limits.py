"""What a service would not take is said before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from kfp_bayesopt.study.pods import Pod
from kfp_bayesopt_pipeline.preflight import limits
from tests.builders import a_study
from tests.kfp_bayesopt_pipeline.shapes import CLUSTERS, SHAPES

ROOT = "gs://bucket/runs"


def on_vertex(root: str = ROOT, quota: int = 60, labels: int = 2, name: str = "", **changes: Any) -> list[str]:
    return limits.vertex_problems(a_study(**changes), root, quota, labels, name)


def with_step(**settings: Any) -> list[str]:
    return on_vertex(steps={"evaluate": settings})


@pytest.mark.parametrize("shape", sorted(SHAPES.keys() - CLUSTERS.keys()))
def test_the_shapes_of_our_tests_are_taken(shape: str) -> None:
    assert [line for line in on_vertex(**SHAPES[shape]) if not line.startswith("steps.update.memory")] == []


@pytest.mark.parametrize(
    ("memory", "as_much"), [("8Gi", "8.6G"), ("512Mi", "0.6G"), ("1T", "1000G"), ("1Ki", "0.1G")]
)  # fmt: skip
def test_memory_in_units_of_kubernetes_is_said_in_those_of_vertex(memory: str, as_much: str) -> None:
    line = f"steps.evaluate.memory: Vertex takes K, M and G only, but got '{memory}'; {as_much} is as much"
    assert with_step(memory=memory)[0] == line


@pytest.mark.parametrize("memory", ["8G", "512M", "8000000K", "624G"])
def test_memory_that_vertex_has_is_taken(memory: str) -> None:
    assert with_step(memory=memory) == []


def test_machines_larger_than_any_are_refused() -> None:
    assert with_step(cpu=97, memory="625G") == [
        "steps.evaluate.cpu: Vertex has at most 96 CPUs, but got 97",
        "steps.evaluate.memory: Vertex has at most 624G, but got '625G'",
    ]


@pytest.mark.parametrize("machine", ["n1-standard-8", "a2-highgpu-1g", "c3d-standard-8-lssd", "g2-standard-4"])
def test_a_machine_type_has_a_form(machine: str) -> None:
    assert with_step(machine_type=machine) == []


@pytest.mark.parametrize("machine", ["n1-standart8", "large", "n1_standard_8", "ml.m5.large"])
def test_what_is_no_machine_type_is_said(machine: str) -> None:
    line = f"steps.evaluate.machine_type: {machine!r} is no machine type; one looks like n1-standard-8"
    assert with_step(machine_type=machine) == [line]


def test_a_secret_of_kubernetes_is_for_clusters_alone() -> None:
    env = {"KEY": {"from_environment": "KEY", "kubernetes_secret": "keys/mine"}}
    assert on_vertex(objective={"python": "a:b", "env": env}) == [
        "objective.env.KEY: kubernetes_secret works on a KFP cluster only; say "
        "{secret: projects/P/secrets/S/versions/N} for a secret of Secret Manager"
    ]


def test_an_accelerator_that_there_is_not_gets_the_nearest_name() -> None:
    line = "steps.evaluate.accelerator_type: Vertex has no 'nvidia_tesla_t5'; did you mean NVIDIA_TESLA_T4?"
    assert with_step(accelerator_type="nvidia_tesla_t5") == [line]
    assert "known are NVIDIA_TESLA_K80" in with_step(accelerator_type="cuda")[0]


@pytest.mark.parametrize(
    ("changes", "is_taken"),
    [
        ({"parallel_trials": 60}, True),
        ({"parallel_trials": 61}, False),
        ({"parallel_trials": 61, "max_parallel": 60}, True),
        ({**SHAPES["workers"], "parallel_trials": 61, "max_parallel": None}, False),
        ({**SHAPES["workers"], "parallel_trials": 61, "max_parallel": None, "trials": 30}, True),
    ],
)
def test_no_more_jobs_at_once_than_the_quota(changes: dict[str, Any], is_taken: bool) -> None:
    assert (on_vertex(**changes) == []) == is_taken
    assert on_vertex(quota=1000, **changes) == []


def test_labels_and_names_that_are_too_many_or_too_long_are_said() -> None:
    assert on_vertex(labels=65, name="x" * 129) == [
        "--label: a job has at most 64 labels with ours, but got 65",
        "--run-name: has 129 characters, and Vertex takes 128",
    ]


@pytest.mark.parametrize("problems", [on_vertex, lambda root: limits.kfp_problems(a_study(), root)])
def test_names_of_objects_fit_below_the_root(problems: Any) -> None:
    room = limits.MOST_OBJECT_NAME - limits.BELOW_PIPELINE_ROOT - len("branin") - limits.BELOW_STUDY_FOLDER
    assert problems(root=f"gs://bucket/{'x' * room}/") == []
    assert problems(root=f"gs://bucket/{'é' * room}") == [
        f"pipeline_root: its prefix has {2 * room} bytes, and the names of objects would get longer than 1024; "
        f"at most {room} are left for it"
    ]


@pytest.mark.parametrize(
    ("iterations", "parallel", "fits"), [(35, 8, True), (8, 50, True), (36, 8, False), (9, 50, False)]
)  # fmt: skip
def test_a_workflow_that_a_cluster_cannot_keep_is_refused_with_the_way_out(
    iterations: int, parallel: int, fits: bool
) -> None:
    study = a_study(iterations=iterations, parallel_trials=parallel)
    lines = limits.kfp_problems(study, ROOT)
    assert (lines == []) == fits
    assert fits or "say schedule: asynchronous, whose pipeline does not grow with the trials" in lines[0]
    workers = {**SHAPES["workers"], "trials": iterations * parallel, "parallel_trials": parallel, "max_parallel": None}
    assert limits.kfp_problems(a_study(**workers), ROOT) == []


def test_a_cluster_has_no_prices() -> None:
    (line,) = limits.kfp_problems(a_study(stop={"max_cost": 3.0}), ROOT)
    assert line == "stop.max_cost: only trials on Vertex have a price; say stop.max_hours instead"


@pytest.mark.parametrize(
    ("size", "iterations", "parallel", "seen"),
    [
        (limits.ORDER_ALONE, 4, 4, 111_000), (limits.ORDER_ALONE, 3, 8, 118_000),
        (limits.WITH_EDGES, 4, 4, 177_087), (limits.WITH_EDGES, 3, 8, 182_542),
    ],
)  # fmt: skip
def test_the_size_of_a_workflow_is_that_seen_on_a_control_plane(
    size: limits.WorkflowSize, iterations: int, parallel: int, seen: int
) -> None:
    """KFP 2.17 with Argo 4.0.5, at the end of the run, packed as Argo does it where a Workflow gets too large."""
    study = a_study(iterations=iterations, parallel_trials=parallel)
    assert limits.workflow_bytes(study, size) == pytest.approx(seen, rel=0.01)


@pytest.mark.parametrize(
    ("iterations", "parallel", "needed"), [(20, 8, None), (8, 30, None), (21, 8, "1.0"), (8, 50, "1.5")]
)
def test_tasks_pass_on_their_order_alone_where_there_is_no_room_for_more(
    iterations: int, parallel: int, needed: str | None
) -> None:
    study = a_study(iterations=iterations, parallel_trials=parallel)
    assert limits.kfp_problems(study, ROOT) == []
    assert limits.without_edges(study) == (
        needed
        and "tasks pass on their order alone: with values and metrics the workflow would grow to about "
        f"{needed} MiB, and a cluster keeps at most 1 MiB"
    )
    workers = {**SHAPES["workers"], "trials": 10_000, "parallel_trials": 100, "max_parallel": None}
    assert limits.without_edges(a_study(**workers)) is None, "workers stay far from it, whatever the budget"


def test_vertex_takes_nothing_that_is_said_of_pods() -> None:
    steps = {**SHAPES["cluster"]["steps"], **SHAPES["volume"]["steps"]}
    steps["evaluate"] = {**steps["evaluate"], "accelerator_type": None}
    keys = [f"steps.evaluate.pod.{key}" for key in Pod.model_fields]
    (line,) = on_vertex(steps=steps)
    assert line == (
        f"{', '.join(['steps.init.request', 'steps.evaluate.request', *keys, 'steps.volume'])}: Vertex has no pods and "
        "no claims; remove them, or submit to a KFP cluster"
    )
    assert on_vertex(steps={"evaluate": {"pod": {"labels": {}}}}) == []


def test_the_study_folder_of_a_cluster_is_on_the_volume_or_in_a_bucket() -> None:
    on_volume = a_study(steps={"volume": {"claim": "mine", "path": "/studies"}})
    assert limits.kfp_problems(on_volume, "/studies/kfp") == []
    (line,) = limits.kfp_problems(on_volume, ROOT)
    assert line.startswith(f"pipeline_root: {ROOT}: steps.volume mounts the claim mine at /studies, where the study is")
    (line,) = limits.kfp_problems(a_study(), "/studies/kfp")
    assert line.startswith("pipeline_root: /studies/kfp: a pod keeps no files; give the address of a bucket, or mount")
