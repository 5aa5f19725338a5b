"""The pod of a trial on a KFP cluster: where it may run, and what is mounted into it.

The keys are Kubernetes' own, as far as kfp-kubernetes sets them. Places without pods do not read them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from kfp_bayesopt.errors import shown
from kfp_bayesopt.strict import StrictModel
from kfp_bayesopt.wording import MEMORY

SHARED_MEMORY = ("shared-memory", "/dev/shm")  # noqa: S108 - the mount of a pod
"""The name and the path of the mount of shared memory."""
OURS = ("/opt/bayesopt", "/kfp-launcher", "/gcs", "/s3", "/minio", "/.local", "/.cache", "/.config")
"""Folders of a pod that hold our runtime, or that KFP mounts itself."""
THEIRS = ("pipeline/", "pipelines.kubeflow.org/", "workflows.argoproj.io/")
"""Begin the labels by which KFP and Argo find their pods."""
PRIORITIES = ("priority", "priority_class", "priority_class_name", "priorityClassName")

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PREFIX = r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?"
_KEY = re.compile(_PREFIX + r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def _text(value: Any) -> Any:
    """Refuse what YAML makes of an unquoted `true` or `1`, with the way out."""
    if isinstance(value, bool | int | float):
        raise ValueError(f"must be text, but got {shown(value)}; put it into quotes")  # noqa: TRY004 - pydantic's
    return value


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"must be a name of Kubernetes: lower case letters, digits, - and ., at most 253, but got {shown(name)}"
        )
    return name


def _check_mounted(name: str) -> str:
    if not _LABEL.fullmatch(name):
        raise ValueError(
            "must be lower case letters, digits and -, at most 63, because KFP names the mount by it, but got "
            f"{shown(name)}"
        )
    return name


def _check_key(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(
            "must be a key of Kubernetes: at most 63 letters, digits, -, _ and ., after example.com/ if it has a "
            f"prefix, but got {shown(key)}"
        )
    return key


def _check_own_key(key: str) -> str:
    if key.startswith(THEIRS):
        raise ValueError(f"{key}: KFP finds its pods by its own keys; take another one")
    return _check_key(key)


def _check_value(value: str) -> str:
    if not _VALUE.fullmatch(value):
        raise ValueError(
            "must be a value of a label: at most 63 letters, digits, -, _ and ., beginning and ending with a letter "
            f"or a digit, but got {shown(value)}"
        )
    return value


def _check_path(path: str) -> str:
    if not re.fullmatch(r"(/[^/\s:]+)+", path) or {".", ".."} & set(path.split("/")):
        raise ValueError(f"must be a path from the root of the container, such as /data, but got {shown(path)}")
    if near := next((each for each in OURS if is_below(path, each)), None):
        raise ValueError(f"{near} is not to be mounted over: it is ours or KFP's; give another path, such as /data")
    return path


def _check_sub_path(path: str) -> str:
    if path and (not re.fullmatch(r"[^/\s]+(/[^/\s]+)*", path) or {".", ".."} & set(path.split("/"))):
        raise ValueError(f"must be a folder of the volume, such as images/small, but got {shown(path)}")
    return path


def is_below(path: str, folder: str) -> bool:
    """Tell whether a path is a folder, or lies in it."""
    return f"{path.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")


Name = Annotated[str, BeforeValidator(_text), AfterValidator(_check_name)]
NameOfMount = Annotated[str, BeforeValidator(_text), AfterValidator(_check_mounted)]
Key = Annotated[str, AfterValidator(_check_key)]
OwnKey = Annotated[str, AfterValidator(_check_own_key)]
Text = Annotated[str, BeforeValidator(_text)]
Value = Annotated[Text, AfterValidator(_check_value)]
Path = Annotated[str, AfterValidator(_check_path)]


class Claim(StrictModel):
    """A claim of a volume (PersistentVolumeClaim), and where it is mounted."""

    claim: NameOfMount = Field(description="Its name, in the namespace of the runs.")
    path: Path = Field(description="Where it is in the container, such as `/data`.")


class VolumeOfPod(Claim):
    """A claim of a volume (PersistentVolumeClaim) that is mounted into the pods of trials."""

    sub_path: Annotated[str, AfterValidator(_check_sub_path)] = Field(
        "", description="A folder of the volume. Default: all of it."
    )


class Mounted(StrictModel):
    """A secret or a config map whose keys are mounted as files."""

    name: NameOfMount = Field(description="Its name, in the namespace of the runs.")
    path: Path = Field(description="The folder in the container with a file for each of its keys.")


class Toleration(StrictModel):
    """A taint of nodes that pods of trials tolerate."""

    key: Key | None = Field(None, description="Key of the taint. Default: every one, with the operator `Exists`.")
    operator: Literal["Equal", "Exists"] = Field("Equal", description="Whether the value counts.")
    value: Value | None = Field(None, description="Value of the taint, with `Equal`.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect of the taint. Default: every one."
    )
    toleration_seconds: int | None = Field(None, ge=0, description="For how long, with `NoExecute`. Default: for ever.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.key is None and self.operator != "Exists":
            raise ValueError("without a key the operator must be Exists: every taint is tolerated then")
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("the operator Exists takes no value; remove it, or say operator: Equal")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError("toleration_seconds needs effect: NoExecute")
        return self


class Affinity(StrictModel):
    """A condition on the labels of a node. All of those without a weight must hold; the others are preferred."""

    key: Key = Field(description="Key of the label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = Field("In", description="How it compares.")
    values: list[Value] = Field([], description="What it compares with: one with `Gt` and `Lt`, none with `Exists`.")
    weight: int | None = Field(None, ge=1, le=100, description="How much it is preferred. Default: it must hold.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        count, many = len(self.values), self.operator in ("In", "NotIn")
        if many and not count:
            raise ValueError(f"the operator {self.operator} needs values, such as values: [a, b]")
        if self.operator in ("Exists", "DoesNotExist") and count:
            raise ValueError(f"the operator {self.operator} takes no values; remove them, or say operator: In")
        if self.operator in ("Gt", "Lt") and not (count == 1 and self.values[0].isdecimal()):
            raise ValueError(f"the operator {self.operator} needs one whole number in quotes, such as values: ['8']")
        return self


class Pod(StrictModel):
    """The pod of a trial on a KFP cluster; Vertex takes none of it, and a run on this machine ignores it."""

    node_selector: dict[Key, Value] = Field({}, description="Labels that a node must have.")
    tolerations: list[Toleration] = Field([], description="Taints of nodes that are tolerated.")
    affinity: list[Affinity] = Field([], description="Conditions on the labels of nodes.")
    labels: dict[OwnKey, Value] = Field(
        {}, description="Labels of the pod, such as `kueue.x-k8s.io/queue-name` for a queue of Kueue."
    )
    annotations: dict[OwnKey, Text] = Field({}, description="Annotations of the pod.")
    shared_memory: str | None = Field(
        None, pattern=MEMORY, description="Size of /dev/shm, such as `8G`; it counts as memory. Default: 64 MiB."
    )
    volumes: list[VolumeOfPod] = Field([], description="Claims of volumes, such as one with the data.")
    secrets: list[Mounted] = Field(
        [], description="Secrets as files; a variable comes from one by `objective.env` with `kubernetes_secret`."
    )
    config_maps: list[Mounted] = Field([], description="Config maps as files.")
    image_pull_secrets: list[Name] = Field([], description="Secrets by which images are pulled, of all steps.")

    @model_validator(mode="before")
    @classmethod
    def _check_priority(cls, data: Any) -> Any:
        if isinstance(data, dict) and (given := [key for key in PRIORITIES if key in data]):
            raise ValueError(
                f"{given[0]}: kfp-kubernetes sets no priority of pods; on a queue of Kueue say labels: "
                "{kueue.x-k8s.io/priority-class: NAME}, else let the cluster give the namespace one"
            )
        return data

    @model_validator(mode="after")
    def _check_mounts(self) -> Self:
        if problem := problem_of_mounts(self.mounts):
            raise ValueError(problem)
        return self

    @property
    def mounts(self) -> list[tuple[str, str]]:
        """The name and the path of each mount."""
        claims = [(each.claim, each.path) for each in self.volumes]
        files = [(each.name, each.path) for each in (*self.secrets, *self.config_maps)]
        return [*claims, *files, *([SHARED_MEMORY] if self.shared_memory else [])]


def problem_of_mounts(mounts: Sequence[tuple[str, str]]) -> str | None:
    """Return what two mounts of a pod have in common, if they do: Kubernetes refuses such a pod."""
    names, paths = zip(*mounts, strict=True) if mounts else ((), ())
    if twice := _twice(paths):
        return f"{twice} is the path of two mounts; give each one of its own"
    if twice := _twice(names):
        return f"{twice} is the name of two mounts; KFP names a mount by its claim, secret or config map: mount it once"
    return None


def _twice(texts: Iterable[str]) -> str | None:
    return next((text for text, count in Counter(texts).items() if count > 1), None)
