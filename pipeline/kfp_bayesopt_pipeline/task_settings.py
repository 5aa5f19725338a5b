"""What a task gets beside its program: its machine, and on a KFP cluster its pod, the store and the volume."""

from __future__ import annotations

import math

from kfp import dsl, kubernetes

from kfp_bayesopt.study.environment import FromEnvironment
from kfp_bayesopt.study.machines import Step, Steps
from kfp_bayesopt.study.pods import SHARED_MEMORY, Pod
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.cluster import CERTIFICATES, Cluster

RETRIED_SECONDS = 30 * 24 * 3600
"""The seconds for which an unbounded task is retried."""


def set_task(task: dsl.PipelineTask, settings: Step, seconds: float | None = None) -> None:
    """Say whether a task is run again, and that it is always run.

    Args:
        task: The task.
        settings: Its settings.
        seconds: The longest duration of one attempt, or None if unbounded.
    """
    task.set_caching_options(False)  # the records are the cache
    if settings.retries:
        task.set_retry(
            settings.retries,
            backoff_duration=f"{settings.backoff_seconds}s",
            backoff_factor=2,
            backoff_max_duration=f"{_retried_seconds(settings, seconds)}s",
        )


def _retried_seconds(settings: Step, seconds: float | None) -> int:
    """Return the seconds for which a task is retried, all attempts and pauses together.

    A KFP cluster takes `backoffMaxDuration` for that (Argo's `maxDuration`, counted from the first start), and ends a
    retry that is running then. By the comment in pipeline_spec.proto, Vertex caps it at an hour.

    Args:
        settings: The step.
        seconds: The longest duration of one attempt, or None if unbounded.
    """
    if seconds is None:
        return RETRIED_SECONDS
    pauses: int = settings.backoff_seconds * (2**settings.retries - 1)
    return math.ceil((settings.retries + 1) * seconds + pauses)


def set_machine(task: dsl.PipelineTask, settings: Step) -> None:
    """Give a task its machine on Vertex, which takes what is asked for as the least that it gives."""
    task.set_cpu_limit(f"{settings.cpus:g}").set_memory_limit(settings.ram)
    _set_accelerators(task, settings)


def set_resources(task: dsl.PipelineTask, settings: Step) -> None:
    """Give a task on a cluster the limits and requests that the study says, and no others.

    A limit without a request is a request too: with those of Vertex, `init` waits for ever on a small cluster.
    """
    if settings.cpu is not None:
        task.set_cpu_limit(f"{settings.cpu:g}")
    if settings.memory is not None:
        task.set_memory_limit(quantity(settings.memory))
    if settings.request.cpu is not None:
        task.set_cpu_request(f"{settings.request.cpu:g}")
    if settings.request.memory is not None:
        task.set_memory_request(quantity(settings.request.memory))
    _set_accelerators(task, settings)


def _set_accelerators(task: dsl.PipelineTask, settings: Step) -> None:
    if settings.accelerator_type is not None:
        task.set_accelerator_type(settings.accelerator_type).set_accelerator_limit(settings.accelerator_count or 1)


def quantity(memory: str) -> str:
    """Return an amount of memory as Kubernetes takes it: it knows no `K`, and the SDK no `k`."""
    return f"{memory.removesuffix('K')}000" if memory.endswith("K") else memory


def set_secrets(task: dsl.PipelineTask, study: Study) -> None:
    """Make a cluster set the variables of an objective from its secrets."""
    for variable in study.objective.env.values():
        if isinstance(variable, FromEnvironment) and variable.kubernetes_secret is not None:
            name, _, key = variable.kubernetes_secret.partition("/")
            kubernetes.use_secret_as_env(task, name, {key: variable.from_environment})


def set_cluster(task: dsl.PipelineTask, cluster: Cluster, steps: Steps) -> None:
    """Give a task what every one needs: to be pulled, and to reach the study folder."""
    if steps.evaluate.pod.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, steps.evaluate.pod.image_pull_secrets)
    for name, value in cluster.variables.items():
        task.set_env_variable(name, value)
    if cluster.secret:
        kubernetes.use_secret_as_env(task, cluster.secret, cluster.secrets)
    if cluster.certificates:
        kubernetes.use_config_map_as_volume(task, cluster.certificates, CERTIFICATES)
    if steps.volume is not None:
        kubernetes.mount_pvc(task, steps.volume.claim, steps.volume.path)


def set_pod(task: dsl.PipelineTask, pod: Pod) -> None:
    """Say where the pod of a task may run, and what is mounted there."""
    for key, value in pod.labels.items():
        kubernetes.add_pod_label(task, key, value)
    for key, value in pod.annotations.items():
        kubernetes.add_pod_annotation(task, key, value)
    _set_nodes(task, pod)
    _mount(task, pod)


def _set_nodes(task: dsl.PipelineTask, pod: Pod) -> None:
    for key, value in pod.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for taint in pod.tolerations:
        kubernetes.add_toleration(task, **taint.model_dump())
    conditions = [(each.weight, each.model_dump(exclude={"weight"})) for each in pod.affinity]
    if needed := [condition for weight, condition in conditions if weight is None]:
        kubernetes.add_node_affinity(task, needed)  # together: of several terms any would do
    for weight, condition in conditions:
        if weight is not None:
            kubernetes.add_node_affinity(task, [condition], weight=weight)


def _mount(task: dsl.PipelineTask, pod: Pod) -> None:
    if pod.shared_memory is not None:
        kubernetes.empty_dir_mount(task, *SHARED_MEMORY, "Memory", quantity(pod.shared_memory))
    for volume in pod.volumes:
        kubernetes.mount_pvc(task, volume.claim, volume.path, volume.sub_path)
    for secret in pod.secrets:
        kubernetes.use_secret_as_volume(task, secret.name, secret.path)
    for config_map in pod.config_maps:
        kubernetes.use_config_map_as_volume(task, config_map.name, config_map.path)
