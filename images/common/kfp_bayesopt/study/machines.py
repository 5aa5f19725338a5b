"""The machine and the retries of each step on Kubeflow and Vertex; nothing of it changes what a trial returns."""

from __future__ import annotations

from typing import Self

from pydantic import Field, ValidationInfo, model_validator

from kfp_bayesopt.strict import StrictModel, is_given
from kfp_bayesopt.study.pods import Claim, Pod, is_below, problem_of_mounts
from kfp_bayesopt.wording import MEMORY

CPU, RAM = 1.0, "8G"
"""What a step has on Vertex where its study does not say it."""


def gigabytes(memory: str) -> float:
    """Return an amount of memory, such as `8G` or `512Mi`, in gigabytes."""
    unit = memory.lstrip("0123456789")
    base = 1024.0 if unit.endswith("i") else 1000.0
    return float(int(memory.removesuffix(unit)) * base ** ("KMGT".index(unit[0]) + 1) / 1e9)


class Request(StrictModel):
    """What a pod is sure to get; it waits for a node that has it. Vertex knows none."""

    cpu: float | None = Field(None, gt=0, description="CPU cores. Default: the limit, if there is one.")
    memory: str | None = Field(
        None, pattern=MEMORY, description="Memory, such as `8G` or `512Mi`. Default: the limit, if there is one."
    )


class Step(StrictModel):
    """The machine and the retries of a step on Kubeflow and Vertex."""

    cpu: float | None = Field(
        None, gt=0, description="CPU cores that it may use. Default: 1 on Vertex, no limit on a cluster."
    )
    memory: str | None = Field(
        None,
        pattern=MEMORY,
        description="Memory that it may use, such as `8G` or `512Mi`. Default: 8G on Vertex, no limit on a cluster.",
    )
    request: Request = Field(Request(), description="KFP cluster only: CPU and memory that a node must have left.")
    accelerator_type: str | None = Field(
        None, min_length=1, description="The name that the target uses, such as `NVIDIA_TESLA_T4`."
    )
    accelerator_count: int | None = Field(None, ge=1, description="How many accelerators. Default: one, with a type.")
    retries: int = Field(2, ge=0, le=10, description="How many times a failed step is run again.")
    backoff_seconds: int = Field(60, ge=0, le=3600, description="Pause before the first retry; it doubles each time.")
    cache: bool = Field(True, description="Take records of earlier jobs.")

    @property
    def cpus(self) -> float:
        """The CPU cores on Vertex."""
        return CPU if self.cpu is None else self.cpu

    @property
    def ram(self) -> str:
        """The memory on Vertex."""
        return self.memory or RAM

    @property
    def memory_gb(self) -> float:
        """The memory on Vertex in gigabytes."""
        return gigabytes(self.ram)

    @model_validator(mode="after")
    def _check_accelerators(self) -> Self:
        if self.accelerator_count is not None and self.accelerator_type is None:
            raise ValueError("accelerator_count needs an accelerator_type")
        return self

    @model_validator(mode="after")
    def _check_request(self) -> Self:
        cpu, memory = self.request.cpu, self.request.memory
        if cpu is not None and self.cpu is not None and cpu > self.cpu:
            raise ValueError(f"request.cpu <= cpu must hold, but got request.cpu={cpu:g}, cpu={self.cpu:g}")
        if memory is not None and self.memory is not None and gigabytes(memory) > gigabytes(self.memory):
            raise ValueError(
                f"request.memory <= memory must hold, but got request.memory={memory}, memory={self.memory}"
            )
        return self


class EvaluateStep(Step):
    """The machine and the retries of a trial on Kubeflow and Vertex."""

    image: str | None = Field(None, min_length=1, description="An image of your own, built on the evaluate image.")
    pod: Pod = Field(Pod(), description="KFP cluster only: where the pods of trials run, and what is mounted there.")
    machine_type: str | None = Field(
        None, min_length=1, description="Vertex only: a machine type such as `n1-standard-8`."
    )
    spot: bool = Field(
        False, description="Vertex only: spot machines. Vertex may take one away; the trial is then retried."
    )
    max_wait_hours: float | None = Field(
        None,
        gt=0,
        le=168,
        description="Vertex only: wait so long for a machine, such as one with a rare accelerator (flex start).",
    )
    persistent_resource: str | None = Field(
        None,
        pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="Vertex only: id of a persistent resource with machines of the type, where trials start in "
        "seconds.",
    )

    @model_validator(mode="after")
    def _check_machine(self, info: ValidationInfo) -> Self:
        kinds = {
            "spot: true": self.spot,
            "max_wait_hours": self.max_wait_hours is not None,
            "persistent_resource": self.persistent_resource is not None,
        }
        asked = [kind for kind, is_asked in kinds.items() if is_asked]
        if asked and self.machine_type is None:
            raise ValueError(f"{asked[0]} needs a machine_type")
        if len(asked) > 1:
            raise ValueError(f"{' and '.join(asked)} exclude each other; each says where the machine comes from")
        if self.machine_type is not None and any(is_given(self, key, info) for key in ("cpu", "memory")):
            raise ValueError("machine_type decides cpu and memory; remove them, or machine_type")
        return self


class Steps(StrictModel):
    """The machine and the retries of each step on Kubeflow and Vertex; a run on this machine ignores them."""

    init: Step = Step()
    evaluate: EvaluateStep = EvaluateStep()
    update: Step = Step()
    volume: Claim | None = Field(
        None,
        description="KFP cluster only: a claim that is mounted into every task; the study folder is below its path.",
    )

    @model_validator(mode="after")
    def _check_volume(self) -> Self:
        volume, mounts = self.volume, self.evaluate.pod.mounts
        if volume is not None and (problem := problem_of_mounts([(volume.claim, volume.path), *mounts])):
            raise ValueError(f"volume: {problem}")
        return self

    @property
    def of_compile_time(self) -> list[str]:
        """The keys of it that are decided when a pipeline is compiled, as far as they are given."""
        found = [
            f"steps.{name}.{key}"
            for name, step in self
            if isinstance(step, Step)
            for key in type(step).model_fields
            if key not in ("image", "cache", "request", "pod") and getattr(step, key) != getattr(type(step)(), key)
        ]
        return [*found, *self.of_clusters]

    @property
    def of_clusters(self) -> list[str]:
        """The keys of it that a KFP cluster alone reads, as far as they are given."""
        steps = {name: step for name, step in self if isinstance(step, Step)}
        found = [f"steps.{name}.request" for name, step in steps.items() if step.request != Request()]
        pod = self.evaluate.pod
        found += [f"steps.evaluate.pod.{key}" for key in Pod.model_fields if getattr(pod, key) != getattr(Pod(), key)]
        return [*found, *(["steps.volume"] if self.volume is not None else [])]

    def problem_with_root(self, root: str) -> str | None:
        """Return why a study folder cannot be kept on a cluster, if so: a pod keeps no files but those of the volume.

        Args:
            root: The study folder, or the prefix of it.
        """
        is_path = root.startswith("/")
        if self.volume is None:
            return (
                f"{root}: a pod keeps no files; give the address of a bucket, or mount a volume with "
                "steps.volume: {claim: NAME, path: /studies}"
                if is_path
                else None
            )
        claim, path = self.volume.claim, self.volume.path
        if is_path and is_below(root, path):
            return None
        return (
            f"{root}: steps.volume mounts the claim {claim} at {path}, where the study is kept then: give {path} or a "
            "folder below it, or remove steps.volume"
        )
