"""The machine, the pod and the volume of steps: what is taken, what is refused and how, and that none identifies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.study.machines import Steps, gigabytes
from kfp_bayesopt.study.pods import OURS
from tests.builders import a_study
from tests.kfp_bayesopt_pipeline.shapes import SHAPES

EVERYTHING = SHAPES["cluster"]["steps"] | SHAPES["volume"]["steps"]


def _refusal(steps: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        a_study(steps=steps)
    return caught.value.message


def test_nothing_of_a_machine_a_pod_or_a_volume_identifies_a_study() -> None:
    assert a_study(steps=EVERYTHING).fingerprint == a_study().fingerprint


def test_a_study_file_keeps_what_it_says_of_pods() -> None:
    study = a_study(steps=EVERYTHING)
    again = type(study).from_text(study.to_text())
    assert again.steps == study.steps
    assert again.steps.model_dump(exclude_defaults=True, mode="json") == EVERYTHING


def test_the_schema_has_every_key_of_a_pod() -> None:
    schema = json.dumps(type(a_study()).model_json_schema())
    assert all(f'"{key}"' in schema for key in EVERYTHING["evaluate"]["pod"])


@pytest.mark.parametrize(
    ("pod", "message"),
    [
        ({"nodeSelector": {"a": "b"}}, "pod.nodeSelector: unknown key; did you mean 'node_selector'?"),
        ({"tolerationz": []}, "pod.tolerationz: unknown key; did you mean 'tolerations'?"),
        ({"tolerations": [{"kye": "a"}]}, "pod.tolerations[0].kye: unknown key; did you mean 'key'?"),
        ({"shared_memory": "8 GB"}, "pod.shared_memory: must be a number and K, M, G, T, Ki, Mi, Gi or Ti, such as 8G"),
        ({"node_selector": "gpu"}, "pod.node_selector: must be a mapping of keys to values, but got 'gpu'"),
        ({"node_selector": {"gpu": True}}, "pod.node_selector.gpu: must be text, but got True; put it into quotes"),
        ({"node_selector": {"a b": "c"}}, "pod.node_selector: must be a key of Kubernetes: at most 63 letters"),
        ({"labels": {"a": "ü"}}, "pod.labels.a: must be a value of a label: at most 63 letters, digits, -, _ and ."),
        ({"labels": {"pipeline/runid": "a"}}, "pod.labels: pipeline/runid: KFP finds its pods by its"),
        ({"annotations": {"a": 1}}, "pod.annotations.a: must be text, but got 1; put it into quotes"),
        ({"tolerations": [{"value": "a"}]}, "pod.tolerations[0]: without a key the operator must be Exists"),
        (
            {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]},
            "pod.tolerations[0]: the operator Exists takes no value; remove it, or say operator: Equal",
        ),
        (
            {"tolerations": [{"key": "a", "operator": "In"}]},
            "pod.tolerations[0].operator: must be 'Equal' or 'Exists', but got 'In'",
        ),
        (
            {"tolerations": [{"key": "a", "value": "b", "toleration_seconds": 5}]},
            "pod.tolerations[0]: toleration_seconds needs effect: NoExecute",
        ),
        ({"affinity": [{"key": "zone"}]}, "pod.affinity[0]: the operator In needs values, such as values: [a, b]"),
        (
            {"affinity": [{"key": "zone", "operator": "Exists", "values": ["a"]}]},
            "pod.affinity[0]: the operator Exists takes no values; remove them, or say operator: In",
        ),
        (
            {"affinity": [{"key": "gpus", "operator": "Gt", "values": ["many"]}]},
            "pod.affinity[0]: the operator Gt needs one whole number in quotes, such as values: ['8']",
        ),
        ({"affinity": [{"key": "a", "values": ["b"], "weight": 101}]}, "pod.affinity[0].weight: must be less than or"),
        ({"volumes": [{"claim": "Data", "path": "/data"}]}, "pod.volumes[0].claim: must be lower case letters, digits"),
        ({"volumes": [{"path": "/data"}]}, "pod.volumes[0].claim: required key is missing"),
        ({"volumes": [{"claim": "a", "path": "data"}]}, "pod.volumes[0].path: must be a path from the root of the"),
        ({"volumes": [{"claim": "a", "path": "/"}]}, "pod.volumes[0].path: must be a path from the root of the"),
        ({"volumes": [{"claim": "a", "path": "/a/../b"}]}, "pod.volumes[0].path: must be a path from the root of the"),
        (
            {"volumes": [{"claim": "a", "path": "/a", "sub_path": "/b"}]},
            "pod.volumes[0].sub_path: must be a folder of the volume, such as images/small, but got '/b'",
        ),
        (
            {"volumes": [{"claim": "a", "path": "/opt/bayesopt/bin"}]},
            "pod.volumes[0].path: /opt/bayesopt is not to be mounted over: it is ours or KFP's; give another path",
        ),
        ({"secrets": [{"name": "a.b", "path": "/a"}]}, "pod.secrets[0].name: must be lower case letters, digits and -"),
        (
            {"secrets": [{"name": "a", "path": "/a"}], "config_maps": [{"name": "b", "path": "/a"}]},
            "pod: /a is the path of two mounts; give each one of its own",
        ),
        (
            {"volumes": [{"claim": "a", "path": "/a"}, {"claim": "a", "path": "/b", "sub_path": "b"}]},
            "pod: a is the name of two mounts; KFP names a mount by its claim, secret or config map: mount it once",
        ),
        (
            {"shared_memory": "1G", "secrets": [{"name": "a", "path": "/dev/shm"}]},
            "pod: /dev/shm is the path of two mounts; give each one of its own",
        ),
        ({"image_pull_secrets": ["My Secret"]}, "pod.image_pull_secrets[0]: must be a name of Kubernetes: lower case"),
        (
            {"priority": "high"},
            "pod: priority: kfp-kubernetes sets no priority of pods; on a queue of Kueue say labels: "
            "{kueue.x-k8s.io/priority-class: NAME}, else let the cluster give the namespace one",
        ),
    ],
)
def test_what_no_pod_can_have_is_refused_with_the_way_out(pod: dict[str, Any], message: str) -> None:
    assert _refusal({"evaluate": {"pod": pod}}).startswith(f"study: steps.evaluate.{message}")


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({"init": {"pod": {}}}, "init.pod: unknown key; "),
        ({"init": {"request": {"gpu": 1}}}, "init.request.gpu: unknown key; "),
        ({"init": {"request": {"cpu": 0}}}, "init.request.cpu: must be greater than 0, but got 0"),
        ({"init": {"request": {"memory": "much"}}}, "init.request.memory: must be a number and K, M, G, T, Ki, Mi"),
        (
            {"update": {"cpu": 1, "request": {"cpu": 2}}},
            "update: request.cpu <= cpu must hold, but got request.cpu=2, cpu=1",
        ),
        (
            {"update": {"memory": "1G", "request": {"memory": "1Gi"}}},
            "update: request.memory <= memory must hold, but got request.memory=1Gi, memory=1G",
        ),
        ({"volume": "studies"}, "volume: must be a mapping of keys to values, but got 'studies'"),
        ({"volume": {"claim": "studies"}}, "volume.path: required key is missing"),
        ({"volume": {"claim": "studies", "path": "/studies", "size": "1G"}}, "volume.size: unknown key; "),
        ({"volume": {"claim": "studies", "path": "/gcs/studies"}}, "volume.path: /gcs is not to be mounted over: it"),
        (
            {
                "volume": {"claim": "data", "path": "/studies"},
                "evaluate": {"pod": {"volumes": [{"claim": "data", "path": "/data"}]}},
            },
            " volume: data is the name of two mounts; KFP names a mount by its claim, secret or config map: mount",
        ),
    ],
)
def test_requests_and_volumes_that_cannot_be_are_refused(steps: dict[str, Any], message: str) -> None:
    assert _refusal(steps).replace("steps:", "steps.").startswith(f"study: steps.{message}")


def test_a_request_may_be_as_much_as_the_limit_and_stand_alone() -> None:
    a_study(steps={"update": {"cpu": 1, "memory": "1Gi", "request": {"cpu": 1, "memory": "1Gi"}}})
    a_study(steps={"update": {"request": {"cpu": 0.1, "memory": "1Mi"}}})


@pytest.mark.parametrize("folder", OURS)
def test_folders_of_ours_and_of_kfp_are_named_as_such(folder: str) -> None:
    assert f"{folder} is not to be mounted over" in _refusal({"volume": {"claim": "a", "path": folder}})
    a_study(steps={"volume": {"claim": "a", "path": f"{folder}2"}})


@pytest.mark.parametrize(
    ("root", "problem"),
    [
        ("/studies", None),
        ("/studies/", None),
        ("/studies/of/mine", None),
        ("/studies2", "/studies2: steps.volume mounts the claim mine at /studies, where the study is kept then: give"),
        ("gs://bucket/x", "gs://bucket/x: steps.volume mounts the claim mine at /studies, where the study is kept th"),
    ],
)
def test_a_study_folder_is_below_the_path_of_the_volume(root: str, problem: str | None) -> None:
    found = Steps.model_validate({"volume": {"claim": "mine", "path": "/studies"}}).problem_with_root(root)
    assert (found or "").startswith(problem or "")
    assert (found is None) == (problem is None)


def test_a_pod_without_a_volume_keeps_no_files() -> None:
    assert Steps().problem_with_root("gs://bucket/x") is None
    assert Steps().problem_with_root("/studies") == (
        "/studies: a pod keeps no files; give the address of a bucket, or mount a volume with "
        "steps.volume: {claim: NAME, path: /studies}"
    )


@pytest.mark.parametrize(("memory", "number"), [("8G", 8), ("1Gi", 1.073741824), ("512Mi", 0.536870912), ("1K", 1e-6)])
def test_memory_is_counted_in_both_kinds_of_units(memory: str, number: float) -> None:
    assert gigabytes(memory) == pytest.approx(number)


def test_a_study_names_what_only_a_pipeline_of_its_own_can_keep() -> None:
    workers = SHAPES["workers"]
    assert a_study(**workers).of_compile_time == ["max_parallel"]
    assert a_study(**workers | {"max_parallel": None}).of_compile_time == []
    assert a_study(**SHAPES["volume"]).of_compile_time == ["steps.volume"]
    assert a_study(**SHAPES["spot"]).of_compile_time == [
        "schedule: batches",
        "steps.evaluate.accelerator_type",
        "steps.evaluate.machine_type",
        "steps.evaluate.spot",
    ]
    assert a_study(**SHAPES["cluster"]).of_compile_time == [
        "schedule: batches",
        "objective.env.TOKEN.kubernetes_secret",
        "steps.evaluate.cpu",
        "steps.evaluate.memory",
        "steps.evaluate.accelerator_type",
        "steps.init.request",
        "steps.evaluate.request",
        *(f"steps.evaluate.pod.{key}" for key in SHAPES["cluster"]["steps"]["evaluate"]["pod"]),
    ]


def test_an_image_and_what_a_run_decides_need_no_pipeline_of_their_own() -> None:
    study = a_study(
        **SHAPES["workers"] | {"max_parallel": None, "steps": {"evaluate": {"image": "mine:1", "cache": False}}},
        lease_minutes=30,
        max_trial_seconds=60,
    )
    assert study.of_compile_time == []
