"""The compiled pipeline: its shapes, its size, and that it fits the images that it runs."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner
from kfp import components, dsl
from kfp.client.client import _extract_pipeline_yaml

from kfp_bayesopt.cli.commands.plan_command import plan
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.session.code import check_image
from kfp_bayesopt.steps import STEPS, Step
from kfp_bayesopt_pipeline import pipeline_file
from kfp_bayesopt_pipeline.compile import compile_study
from kfp_bayesopt_pipeline.graph import MOST_ARTIFACTS
from kfp_bayesopt_pipeline.preflight import limits
from kfp_bayesopt_pipeline.preflight.limits import MOST_OBJECT_NAME
from tests import ROOT
from tests.builders import a_study, study_text, write_study
from tests.kfp_bayesopt_pipeline.shapes import CLUSTERS, GOLDEN, IMAGES, SHAPES, compiled, path

# Of kfp and of google-cloud-pipeline-components, at import.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def _compile(**changes: Any) -> str:
    return compile_study(a_study(**changes), study_text(**changes), IMAGES)


def _spec(shape: str) -> dict[str, Any]:
    """Return a compiled pipeline without what it says of pods, if it does."""
    found: dict[str, Any] = yaml.load(compiled(shape).partition("---\n")[0], Loader=yaml.CSafeLoader)
    return found


def _tasks(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the tasks of a pipeline by what the UI calls them, those in groups too."""
    dags = [spec["root"], *(each for each in spec["components"].values() if "dag" in each)]
    return {task["taskInfo"]["name"]: task for each in dags for task in each["dag"]["tasks"].values()}


def _titles(spec: dict[str, Any]) -> set[str]:
    """Return what the UI calls the tasks that run something."""
    return {
        title for title, task in _tasks(spec).items() if "dag" not in spec["components"][task["componentRef"]["name"]]
    }


def _executor(spec: dict[str, Any], title: str) -> dict[str, Any]:
    component = spec["components"][_tasks(spec)[title]["componentRef"]["name"]]
    found: dict[str, Any] = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_compiles_to_its_golden_file(shape: str) -> None:
    assert compiled(shape) == path(shape).read_text(), "`make golden` writes the file"


def test_every_golden_file_belongs_to_a_shape() -> None:
    assert {each.stem for each in GOLDEN.iterdir()} == set(SHAPES)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_compiled_pipeline_can_be_loaded(shape: str) -> None:
    assert components.load_component_from_text(_compile(**SHAPES[shape])).name == "branin"


def test_tasks_have_names_that_a_person_recognises() -> None:
    assert sorted(_titles(_spec("small"))) == [
        "init", "iteration 1: evaluate", "iteration 1: update", "iteration 2: evaluate", "iteration 2: update",
        "report", "report at the end",
    ]  # fmt: skip


def test_the_inputs_of_a_pipeline_are_the_study_folder_the_job_and_a_study_that_is_sent_with_the_run() -> None:
    spec = _spec("small")
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert sorted(parameters) == ["experiment", "job", "opening", "register", "root", "study"]
    assert {name: each.get("defaultValue") for name, each in parameters.items() if name != "root"} == {
        "job": "", "opening": "", "study": "", "experiment": "", "register": "",
    }  # fmt: skip
    assert "isOptional" not in parameters["root"]
    reading = {title for title, task in _tasks(spec).items() if "content" in task["inputs"].get("parameters", {})}
    assert reading == {"init"}
    assert "outputDefinitions" not in spec["root"]


TITLES = {step: f"iteration 1: {step}" if step in ("evaluate", "update") else step for step in STEPS}


def _shape_with(step: str) -> str:
    return "workers" if step == "worker" else "small"


@pytest.mark.parametrize("step", STEPS)
def test_the_arguments_of_a_component_are_the_options_of_its_image(step: str) -> None:
    command: click.Command = importlib.import_module(f"images.{step}.main").main
    container = _executor(_spec(_shape_with(step)), TITLES[step])
    whole = [*container["command"], *container["args"]]
    program = whole.index(f"/opt/bayesopt/bin/{step}")
    assert whole[:program] == ["/opt/bayesopt/bin/executor", "{{$}}"]
    given, options = whole[program + 1 :: 2], {option.opts[0] for option in command.params}
    assert given == [port.option for port in STEPS[step].reads if port.option is not None]
    assert {*given, "--outputs"} <= options  # `executor` gives the last one


@pytest.mark.parametrize("step", STEPS)
def test_a_step_reads_the_study_that_the_pipeline_was_compiled_for_from_the_study_folder(step: str) -> None:
    shape = _shape_with(step)
    args = _executor(_spec(shape), TITLES[step])["args"]
    digest = hashlib.sha256(study_text(**SHAPES[shape])).hexdigest()
    assert args[args.index("--root") + 1] == "{{$.inputs.parameters['root']}}"
    assert args[args.index("--study") + 1] == f"{{{{$.inputs.parameters['root']}}}}/study/{digest}.yaml"


@pytest.mark.parametrize("step", STEPS)
def test_inputs_and_outputs_of_a_component_are_explained_in_the_ui(step: str) -> None:
    from kfp_bayesopt_pipeline.components import make_component

    spec = make_component(STEPS[step], IMAGES[step], "study.yaml").component_spec
    assert spec.description == STEPS[step].does
    assert list(spec.inputs) == [port.name for port in STEPS[step].reads if port.kind not in {"study", "service"}]
    assert list(spec.outputs or {}) == [port.name for port in STEPS[step].writes]
    assert [name for name, each in spec.inputs.items() if not each.description] == []


def test_each_loop_evaluates_the_trials_of_its_batch_between_two_other_steps() -> None:
    """A task that comes after a loop waits for every trial of it."""
    group = _spec("small")["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    after = {task["taskInfo"]["name"]: task.get("dependentTasks", []) for task in group.values()}
    assert after == {
        "init": [],
        "for-loop-3": ["init"],
        "iteration 1: update": ["for-loop-3", "init"],
        "for-loop-5": ["update"],
        "iteration 2: update": ["for-loop-5", "update"],
        "report": ["update-2"],
    }
    loops = [task["parameterIterator"]["items"]["raw"] for task in group.values() if "parameterIterator" in task]
    assert sorted(loops) == ["[1, 2]", "[3, 4]"]
    constants = [group[name]["inputs"]["parameters"]["after"] for name in ("update", "update-2")]
    assert constants == [{"runtimeValue": {"constant": 2.0}}, {"runtimeValue": {"constant": 4.0}}]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_report_at_the_end_is_an_exit_hook_on_a_cluster(shape: str) -> None:
    """It is run whatever happened, and its failure is not the run's; that of the report before it is.

    dag.go of KFP's argocompiler: "First process exit tasks since those need to be set as lifecycle hooks on the exit
    handler sub DAG." It takes a task with the strategy ALL_UPSTREAM_TASKS_COMPLETED out of the DAG and hangs it on the
    one that it depends on: `taskToExitTemplate[dep] = name`, then `addExitTask(task, inputs.exitTemplate, ...)`. An
    iterator goes another way (`if isIteratorTask { return c.iteratorTask(...) }`) and gets no hook. `assessDAGPhase` of
    Argo looks at the tasks of a DAG and not at their hooks.
    """
    spec = _spec(shape)
    tasks = spec["root"]["dag"]["tasks"]
    assert {task["taskInfo"]["name"] for task in tasks.values()} == {"exit-handler-1", "report at the end"}
    last = _tasks(spec)["report at the end"]
    assert last["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert last["dependentTasks"] == ["exit-handler-1"]
    assert "dag" in spec["components"]["comp-exit-handler-1"]
    assert "parameterIterator" not in tasks["exit-handler-1"]
    assert all("triggerPolicy" not in task for title, task in _tasks(spec).items() if title != "report at the end")
    inputs = last["inputs"]["parameters"]
    # The driver puts the id of the run in the place of this very constant (resolve.go).
    assert inputs.pop("run") == {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}}
    assert inputs == {name: {"componentInputParameter": name} for name in ("job", "root", "experiment", "register")}


@pytest.mark.parametrize("step", [step for step in STEPS.values() if step.writes], ids=lambda step: step.name)
def test_the_longest_argument_fits_into_a_command(step: Step) -> None:
    """What KFP puts in place of `{{$}}`, by its own engine, below the longest root; Linux takes 128 KiB."""
    from google.protobuf import json_format
    from kfp.local.executor_input_utils import construct_executor_input

    from kfp_bayesopt_pipeline.components import make_component

    longest = "gs://bucket/" + "é" * (MOST_OBJECT_NAME // 2)
    component = make_component(step, IMAGES[step.name], "study.yaml").component_spec
    longest_of: dict[str, Any] = {
        "text": "x" * 128,
        "integer": 999_999,
        "list": [repr(-sys.float_info.max)] * 1000,
        "file": dsl.Artifact(uri=longest),
        "files": [dsl.Artifact(uri="gs://bucket/" + "x" * MOST_OBJECT_NAME)] * MOST_ARTIFACTS,
    }
    values = {port.name: longest_of[port.kind] for port in step.reads if port.name in component.inputs}
    (spec,) = component.to_pipeline_spec().components.values()
    given = construct_executor_input(
        component_spec=spec, arguments={**values, "root": longest}, task_root=longest, block_input_artifact=False
    )
    assert 1000 < len(json_format.MessageToJson(given).encode()) < 100 * 1024


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_taken_from_the_cache_of_kfp(shape: str) -> None:
    tasks = {title: task for title, task in _tasks(_spec(shape)).items() if "cachingOptions" in task}
    assert set(tasks) == _titles(_spec(shape))
    assert [title for title, task in tasks.items() if task["cachingOptions"].get("enableCache")] == []


@pytest.mark.parametrize("shape", SHAPES)
def test_there_is_no_placeholder_that_the_engine_here_does_not_know(shape: str) -> None:
    """It ends in an IndexError by any other: `resolve_individual_placeholder` in kfp/local/placeholder_utils.py."""
    known = (r"\.pipeline_job_(name|uuid)", r"\.pipeline_task_(name|uuid)", r"\.(inputs|outputs)\.[^}]*", "")
    # A custom job never runs there.
    of_jobs = (
        r"\.json_escape\[1\]",
        r"\.pipeline_(google_cloud_location|google_cloud_project_id|persistent_resource_id)",
    )
    allowed = known + of_jobs if "machine_type" in str(SHAPES[shape]) else known
    found = set(re.findall(r"\{\{\$(.*?)\}\}", compiled(shape)))
    assert [each for each in found if not any(re.fullmatch(one, each) for one in allowed)] == []


def test_no_report_is_run_again() -> None:
    tasks = _tasks(_spec("small"))
    retried = {title: task["retryPolicy"]["maxRetryCount"] for title, task in tasks.items() if "retryPolicy" in task}
    assert set(retried) == _titles(_spec("small")) - {"report", "report at the end"}
    assert set(retried.values()) == {2}


def test_machines_and_retries_are_those_of_the_study() -> None:
    spec = _spec("accelerators")
    evaluate, update = _executor(spec, "iteration 1: evaluate"), _executor(spec, "iteration 1: update")
    assert evaluate["image"] == "europe-docker.pkg.dev/my-project/bayesopt/digits:1.0"
    assert evaluate["resources"]["resourceCpuLimit"] == "8"
    assert evaluate["resources"]["resourceMemoryLimit"] == "30G"
    assert evaluate["resources"]["accelerator"]["resourceType"] == "NVIDIA_TESLA_T4"
    assert evaluate["resources"]["accelerator"]["resourceCount"] == "2"
    assert update["resources"]["resourceMemoryLimit"] == "512Mi"
    tasks = _tasks(spec)
    assert tasks["iteration 1: evaluate"]["retryPolicy"]["maxRetryCount"] == 5
    assert tasks["iteration 1: evaluate"]["retryPolicy"]["backoffDuration"] == "10s"
    assert "retryPolicy" not in tasks["init"]
    assert _executor(spec, "report")["resources"] == update["resources"]


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 30 * 24 * 3600),
        ({"max_trial_seconds": 7200}, 3 * (7200 + 60 + 60 + 900) + 60 * 3),
        (
            {"max_trial_seconds": 7200, "finish_seconds": 0, "steps": {"evaluate": {"retries": 5}}},
            6 * (7200 + 60 + 900) + 60 * 31,
        ),
        ({**SHAPES["workers"], "stop": {"max_hours": 5}}, 3 * (3 * 5 * 3600 + 900) + 60 * 3),
    ],
)
def test_all_attempts_have_time(changes: dict[str, Any], seconds: int) -> None:
    """On a cluster the field is the time of all attempts together, and one that runs then is ended."""
    study = a_study(**changes)
    tasks = _tasks(yaml.load(compile_study(study, b"study", IMAGES).partition("---\n")[0], Loader=yaml.CSafeLoader))
    title = "worker" if study.schedule == "asynchronous" else "iteration 1: evaluate"
    assert tasks[title]["retryPolicy"]["backoffMaxDuration"] == f"{seconds}s"
    assert tasks["init"]["retryPolicy"]["backoffMaxDuration"] == f"{30 * 24 * 3600}s"


@pytest.mark.parametrize("shape", ["batches", "workers"])
def test_a_secret_of_a_cluster_is_a_variable_of_what_evaluates_trials_alone(shape: str, tmp_path: Path) -> None:
    env = {"TOKEN": {"from_environment": "MY_TOKEN", "kubernetes_secret": "keys/token"}, "FIXED": "1"}
    objective = {"python": "objectives.branin:objective", "env": env}
    changes: dict[str, Any] = {**SHAPES["workers"]} if shape == "workers" else {}
    text = compile_study(a_study(**{**changes, "objective": objective}), b"study", IMAGES)
    spec, platforms = yaml.load_all(text, Loader=yaml.CSafeLoader)
    executors = platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    (label,) = executors
    assert label in spec["deploymentSpec"]["executors"]
    assert label in {
        component.get("executorLabel")
        for name, component in spec["components"].items()
        if name.startswith(("comp-evaluate", "comp-worker"))
    }
    (secret,) = executors[label]["secretAsEnv"]
    assert secret["secretName"] == "keys"
    assert secret["keyToEnv"] == [{"secretKey": "token", "envVar": "MY_TOKEN"}]
    written = tmp_path / "pipeline.yaml"
    written.write_text(text)
    # What the client of KFP sends, and what its engine runs here.
    assert set(_extract_pipeline_yaml(str(written)).platform_spec.platforms) == {"kubernetes"}
    assert set(components.load_component_from_file(str(written)).pipeline_spec.components) == set(spec["components"])


def _platform(shape: str) -> dict[str, dict[str, Any]]:
    """Return what a compiled pipeline says of the pods of each executor."""
    _, platforms = yaml.load_all(compiled(shape), Loader=yaml.CSafeLoader)
    found: dict[str, dict[str, Any]] = platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return found


def test_on_a_cluster_each_task_of_ours_reaches_the_store(tmp_path: Path) -> None:
    """The address in plain text, the keys from the secret of KFP's installer, the certificates from a config map."""
    pods, executors = _platform("cluster"), _spec("cluster")["deploymentSpec"]["executors"]
    assert set(pods) == set(executors) == {"exec-init", "exec-evaluate", "exec-update", "exec-report"}
    for label, executor in executors.items():
        assert executor["container"]["env"] == [
            {"name": "BAYESOPT_STORE_ENDPOINT", "value": "http://seaweedfs.kubeflow:9000"},
            {"name": "BAYESOPT_CA_BUNDLE", "value": "/opt/bayesopt-certificates/ca.crt"},
        ]
        (keys,) = [each for each in pods[label]["secretAsEnv"] if each["secretName"] == "mlpipeline-minio-artifact"]
        assert keys["keyToEnv"] == [
            {"secretKey": "accesskey", "envVar": "BAYESOPT_STORE_ACCESS_KEY"},
            {"secretKey": "secretkey", "envVar": "BAYESOPT_STORE_SECRET_KEY"},
        ]
        mounted = {each["configMapName"]: each["mountPath"] for each in pods[label]["configMapAsVolume"]}
        assert mounted["ca"] == "/opt/bayesopt-certificates"
    written = tmp_path / "pipeline.yaml"
    written.write_text(compiled("cluster"))
    assert set(_extract_pipeline_yaml(str(written)).platform_spec.platforms) == {"kubernetes"}


def test_the_pods_of_trials_alone_are_where_and_what_the_study_says() -> None:
    pods = _platform("cluster")
    of_all = {"secretAsEnv", "configMapAsVolume", "imagePullSecret"}
    assert [label for label, each in pods.items() if set(each) - of_all] == ["exec-evaluate"]
    pod = pods["exec-evaluate"]
    assert pod["nodeSelector"] == {"labels": {"pool": "gpus"}}
    assert pod["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Equal", "value": "true", "effect": "NoExecute", "tolerationSeconds": "60"},
    ]
    together, preferred = pod["nodeAffinity"]  # of several terms that must hold Kubernetes takes any
    assert [each["key"] for each in together["matchExpressions"]] == ["zone", "gpus"]
    assert (preferred["weight"], [each["key"] for each in preferred["matchExpressions"]]) == (10, ["disk"])
    assert pod["podMetadata"] == {
        "labels": {"kueue.x-k8s.io/queue-name": "trials"},
        "annotations": {"example.com/owner": "Ann, of team 7"},
    }
    (memory,) = pod["emptyDirMounts"]
    assert (memory["mountPath"], memory["medium"], memory["sizeLimit"]) == ("/dev/shm", "Memory", "2G")
    (claim,) = pod["pvcMount"]
    assert (claim["constant"], claim["mountPath"], claim["subPath"]) == ("data", "/data", "images/small")
    assert {each["secretName"]: each["mountPath"] for each in pod["secretAsVolume"]} == {
        "certificates": "/secrets/certificates"
    }
    # All images are pushed to one registry.
    assert [[each["secretName"] for each in of_task["imagePullSecret"]] for of_task in pods.values()] == [
        ["registry"]
    ] * 4


def test_on_a_cluster_a_task_asks_for_what_the_study_says_and_no_more() -> None:
    """A limit is a request too: 8 GB for each of them left every pod of a small cluster pending, without a word."""
    executors = _spec("cluster")["deploymentSpec"]["executors"]
    asked = {label: each["container"].get("resources", {}) for label, each in executors.items()}
    assert asked["exec-update"] == asked["exec-report"] == {}
    assert {key: value for key, value in asked["exec-init"].items() if key.startswith("resource")} == {
        "resourceMemoryRequest": "512Mi"
    }
    evaluate = {key: value for key, value in asked["exec-evaluate"].items() if key.startswith("resource")}
    assert evaluate == {
        "resourceCpuLimit": "4",
        "resourceCpuRequest": "0.5",
        "resourceMemoryLimit": "16G",
        "resourceMemoryRequest": "4000000000",  # Kubernetes has no K
    }


def test_a_volume_is_mounted_into_every_task() -> None:
    pods = _platform("volume")
    assert set(pods) == set(_spec("volume")["deploymentSpec"]["executors"])
    assert {(each["constant"], each["mountPath"]) for pod in pods.values() for each in pod["pvcMount"]} == {
        ("studies", "/studies")
    }


def test_at_most_max_parallel_trials_run_at_the_same_time() -> None:
    def limits(shape: str) -> set[int]:
        return {
            task["iteratorPolicy"]["parallelismLimit"]
            for title, task in _tasks(_spec(shape)).items()
            if title.startswith("for-loop")
        }

    assert limits("small") == {2}
    assert limits("accelerators") == {1}


def test_steps_without_settings_get_what_the_seed_gave_them() -> None:
    resources = _executor(_spec("small"), "iteration 1: evaluate")["resources"]
    assert (resources["resourceCpuLimit"], resources["resourceMemoryLimit"]) == ("1", "8G")


def test_a_hundred_iterations_of_fifty_trials_compile_small(tmp_path: Path) -> None:
    """By the command, in a process of its own: KFP looks at the whole stack of calls for each task."""
    study = write_study(tmp_path, iterations=100, parallel_trials=50)
    images, out = tmp_path / "images.json", tmp_path / "pipeline.yaml"
    images.write_text(json.dumps(IMAGES))
    command = [sys.executable, "-m", "pipeline", "compile", str(study), "--images", str(images), "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert out.stat().st_size < 650_000


def test_edges_are_left_out_where_the_workflow_would_get_too_large_and_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    for iterations, cluster in ((2, CLUSTERS["cluster"]), (8, CLUSTERS["cluster"]), (8, None)):
        asked = {"iterations": iterations, "parallel_trials": 50}
        study = a_study(**asked)
        found = pipeline_file.compiled(study, study_text(**asked), IMAGES, said.append, None, cluster)
        has_edges = b"suggestions" in found and b"pipelinechannel--evaluate-value" in found
        assert has_edges == (cluster is None or iterations == 2)
        assert (b"outputDefinitions" in found.partition(b"comp-evaluate:")[2].partition(b"comp-")[0]) == has_edges
    (line,) = said
    assert line == limits.without_edges(a_study(iterations=8, parallel_trials=50))
    written = write_study(tmp_path, iterations=8, parallel_trials=50, optimizer={"engine": "gp"})
    for target, count in (("kfp", 1), ("vertex", 0)):
        words = [str(written), "--trial-minutes", "5", "--target", target, "--out", str(tmp_path / "out")]
        assert CliRunner().invoke(plan, words).output.count(f"- {line}\n") == count


def test_the_pipeline_does_not_grow_with_the_trials_but_for_their_numbers() -> None:
    few, many = (len(_compile(parallel_trials=trials)) for trials in (2, 1000))
    assert many - few < 2 * 1000 * len("1000, ")


@pytest.mark.parametrize(
    "image", ["evaluate", "evaluate:latest", "host:5000/evaluate", "host/evaluate@sha256:12", "host/evaluate:latest"]
)
def test_an_image_that_can_change_is_refused_with_the_reason(image: str) -> None:
    with pytest.raises(UserError) as caught:
        _compile(steps={"evaluate": {"image": image}})
    assert caught.value.message == (
        f"steps.evaluate.image: expected an image with a digest or with a tag that never moves, but got {image!r}; "
        "nobody could say afterwards which code gave a value; `make push` writes digests"
    )


@pytest.mark.parametrize("image", ["host:5000/evaluate:1.0", f"host/evaluate@sha256:{'0' * 64}", "evaluate:0123abc"])
def test_an_image_with_a_digest_or_a_fixed_tag_is_taken(image: str) -> None:
    assert check_image(image, "here") == image


@pytest.mark.parametrize(
    ("evaluate", "message"),
    [
        ({"accelerator_count": 2}, "accelerator_count needs an accelerator_type"),
        ({"spot": True}, "spot: true needs a machine_type"),
        (
            {"machine_type": "n1-standard-8", "cpu": 2},
            "machine_type decides cpu and memory; remove them, or machine_type",
        ),
    ],
)
def test_what_cannot_be_combined_is_refused(evaluate: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        a_study(steps={"evaluate": evaluate})
    assert caught.value.message == f"study: steps.evaluate: {message}"


def test_spot_machines_run_the_same_container_as_a_custom_job() -> None:
    spec = _spec("spot")
    inputs = spec["components"]["comp-evaluate"]["inputDefinitions"]["parameters"]
    (pool,) = inputs["worker_pool_specs"]["defaultValue"]
    assert inputs["strategy"]["defaultValue"] == "SPOT"
    assert pool["machine_spec"] == {
        "machine_type": "n1-standard-8",
        "accelerator_type": "NVIDIA_L4",
        "accelerator_count": 1.0,
    }
    assert pool["container_spec"]["image_uri"] == IMAGES["evaluate"]
    ours = _executor(_spec("small"), "iteration 1: evaluate")
    assert pool["container_spec"]["command"] == ours["command"]
    first, *others = pool["container_spec"]["args"]
    assert first == "{{$.json_escape[1]}}"
    assert [_of_any_study(each) for each in others] == [_of_any_study(each) for each in ours["args"][1:]]


def _of_any_study(argument: str) -> str:
    return re.sub(r"[0-9a-f]{64}\.yaml", "study.yaml", argument)


def test_the_inputs_of_a_trial_are_none_of_those_of_its_custom_job() -> None:
    """One of the same name would replace it, such as `labels` or `timeout`."""
    from kfp_bayesopt_pipeline.components import make_component
    from kfp_bayesopt_pipeline.custom_job import as_custom_job

    @dsl.container_component
    def plain():  # type: ignore[no-untyped-def]
        return dsl.ContainerSpec(image="host/plain:1.0", command=["plain"])

    settings = a_study(**SHAPES["spot"]).steps.evaluate
    for step in (STEPS["evaluate"], STEPS["worker"]):
        trials = make_component(step, IMAGES[step.name], "study.yaml")
        of_the_job = set(as_custom_job(plain, "plain", step, settings).component_spec.inputs)
        assert "labels" in of_the_job
        assert not of_the_job & set(trials.component_spec.inputs)


def test_the_pipeline_of_workers_is_as_small_for_any_budget() -> None:
    """Of 10 trials and of 100,000 nothing differs but the description."""
    one, other = (
        compile_study(a_study(**{**SHAPES["workers"], "trials": trials}), b"study", IMAGES) for trials in (10, 100_000)
    )
    assert one == other.replace("100000 trials", "10 trials")
    assert len(one) < 20_000


def test_there_are_as_many_workers_as_may_run_at_once() -> None:
    def places(**changes: Any) -> Any:
        asked = {**SHAPES["workers"], "max_parallel": None, **changes}
        spec = yaml.load(
            compile_study(a_study(**asked), b"study", IMAGES).partition("---\n")[0], Loader=yaml.CSafeLoader
        )
        loops = [task for part in spec["components"].values() for task in part.get("dag", {}).get("tasks", {}).values()]
        (loop,) = [task["parameterIterator"] for task in loops if "parameterIterator" in task]
        return json.loads(loop["items"]["raw"])

    assert places() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert places(max_parallel=3) == [1, 2, 3]
    assert places(trials=2) == [1, 2]


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({"stop": {"max_hours": 1.5}}, f"{3 * 5400 + 900}s"),
        ({"stop": {"max_hours": 1.5}, "max_trial_seconds": 2400}, f"{2 * 5400 + 2400 + 60 + 60 + 900}s"),
        ({"stop": {"max_hours": 150}, "max_trial_seconds": 60}, f"{100 * (60 + 60 + 60) + 900}s"),
        ({"max_trial_seconds": 60, "finish_seconds": 0}, f"{100 * (60 + 60) + 900}s"),
        ({"max_trial_seconds": 1e6}, "604800s"),
        ({}, "604800s"),
    ],
)
def test_the_job_of_a_worker_has_time_for_its_trials(changes: dict[str, Any], seconds: str) -> None:
    asked = {**SHAPES["workers"], **changes, "steps": {"evaluate": {"machine_type": "n1-standard-8"}}}
    spec = yaml.load(compile_study(a_study(**asked), b"study", IMAGES).partition("---\n")[0], Loader=yaml.CSafeLoader)
    found = re.findall(r"constant: (\d+s)", yaml.safe_dump(spec))
    defaults = re.findall(r"defaultValue: (\d+s)", yaml.safe_dump(spec))
    assert seconds in [*found, *defaults]


def test_a_worker_that_nothing_bounds_is_a_warning(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from kfp_bayesopt.cli.commands.pipeline_commands import compile_

    monkeypatch.chdir(tmp_path)
    study = write_study(tmp_path, **SHAPES["workers"])
    ended = CliRunner().invoke(compile_, [str(study), "--images", str(images)])
    assert ended.exit_code == 0, ended.output
    assert ended.stderr.startswith("Warning: nothing bounds how long a worker runs; Vertex ends it after 7 days")
    assert ended.stdout == "out/branin/pipeline.yaml: 100 trials\n"


def test_the_golden_files_hold_no_path_of_a_machine() -> None:
    assert str(Path.home()) not in "".join(path(shape).read_text() for shape in SHAPES)
