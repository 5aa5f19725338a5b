"""The limits of each service, checked before anything is sent; docs/services.md names the source of each."""

from __future__ import annotations

import difflib
import math
import re
from typing import NamedTuple

from kfp_bayesopt import extras, hints
from kfp_bayesopt.store.names import split
from kfp_bayesopt.store.storage import is_local
from kfp_bayesopt.study.budget import workers
from kfp_bayesopt.study.machines import Step
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study

# --- Vertex ------------------------------------------------------------------------------------

JOBS_A_MINUTE = 60
MOST_CPUS = 96
MOST_MEMORY_GB = 624
MOST_LABELS = 64
MOST_NAME = 128
"""The longest display name of a run, in characters."""
MACHINE_TYPE = re.compile(r"[a-z]\d+[a-z]{0,2}-[a-z]+-\d+[a-z]*(-metal|-lssd)?")

# --- a KFP cluster -----------------------------------------------------------------------------

MOST_WORKFLOW_BYTES = 2**20


class WorkflowSize(NamedTuple):
    """The bytes of a Workflow at the end of its run, packed as Argo packs one that gets too large."""

    fixed: int
    iteration: int
    task: int


# Seen on a control plane of 2.17: 111 kB of 4 x 4 trials and 118 kB of 3 x 8; with edges 177 kB and 183 kB.
ORDER_ALONE = WorkflowSize(32_000, 10_700, 2_250)
WITH_EDGES = WorkflowSize(32_000, 22_400, 3_470)

# --- Cloud Storage -----------------------------------------------------------------------------

MOST_OBJECT_NAME = 1024
"""The longest name of an object, in bytes, without its bucket."""
BELOW_PIPELINE_ROOT = len("/studies//0123456789abcdef-0123456789ab/0001")
BELOW_STUDY_FOLDER = 200
"""Room for the names in a study folder, including the files that an objective keeps."""


def vertex_problems(study: Study, pipeline_root: str, jobs_a_minute: int, labels: int, run_name: str) -> list[str]:
    """Return the features and sizes that Vertex would refuse.

    Args:
        study: The study.
        pipeline_root: The prefix of its study folder.
        jobs_a_minute: The quota of the project in its region.
        labels: The number of labels of the job.
        run_name: The display name of the run.
    """
    lines = root_problems(study, pipeline_root)
    for name, step in study.steps:
        if isinstance(step, Step):
            lines += [f"steps.{name}.{problem}" for problem in _step_problems(step)]
    if keys := study.steps.of_clusters:
        lines.append(f"{', '.join(keys)}: Vertex has no pods and no claims; remove them, or submit to a KFP cluster")
    machine = study.steps.evaluate.machine_type
    if machine is not None and not MACHINE_TYPE.fullmatch(machine):
        lines.append(f"steps.evaluate.machine_type: {machine!r} is no machine type; one looks like n1-standard-8")
    lines += [
        f"objective.env.{name}: kubernetes_secret works on a KFP cluster only; say "
        "{secret: projects/P/secrets/S/versions/N} for a secret of Secret Manager"
        for name in study.objective.of_clusters
    ]
    if (side_by_side := workers(study)) > jobs_a_minute:
        lines.append(
            f"parallel_trials: {side_by_side} jobs would be asked for at once, and Vertex takes {jobs_a_minute} a "
            f"minute in a region; set max_parallel: {jobs_a_minute}, or VERTEX_JOBS_A_MINUTE where your quota is higher"
        )
    if labels > MOST_LABELS:
        lines.append(f"{hints.LABEL}: a job has at most {MOST_LABELS} labels with ours, but got {labels}")
    if len(run_name) > MOST_NAME:
        lines.append(f"{hints.RUN_NAME}: has {len(run_name)} characters, and Vertex takes {MOST_NAME}")
    return lines


def kfp_problems(study: Study, pipeline_root: str) -> list[str]:
    """Return the features and sizes that a KFP cluster would refuse."""
    lines = root_problems(study, pipeline_root)
    if pipeline_root and (problem := study.steps.problem_with_root(pipeline_root)):
        lines.append(f"pipeline_root: {problem}")
    if study.stop.max_cost is not None:
        lines.append("stop.max_cost: only trials on Vertex have a price; say stop.max_hours instead")
    if study.steps.evaluate.machine_type is not None:
        lines.append("steps.evaluate: machine_type and spot work on Vertex only; give cpu and memory instead")
    needed = workflow_bytes(study, ORDER_ALONE)
    if needed > MOST_WORKFLOW_BYTES:
        schedule = SCHEDULES[study.schedule]
        lines.append(
            f"{schedule.grows_with}: the workflow would grow to about {_mib(needed)}, and a cluster keeps at "
            f"most 1 MiB; {schedule.smaller}"
        )
    return lines


def without_edges(study: Study) -> str | None:
    """Return why tasks on a cluster pass on nothing but their order; None where there is room for more."""
    needed = workflow_bytes(study, WITH_EDGES)
    if needed <= MOST_WORKFLOW_BYTES:
        return None
    return (
        "tasks pass on their order alone: with values and metrics the workflow would grow to about "
        f"{_mib(needed)}, and a cluster keeps at most 1 MiB"
    )


def workflow_bytes(study: Study, size: WorkflowSize) -> int:
    """Return the approximate size of a study's Workflow on a cluster, its status included."""
    loops = [len(stage.numbers) for stage in SCHEDULES[study.schedule].stages(study) if stage.at_once is not None]
    return size.fixed + size.iteration * len(loops) + size.task * sum(loops)


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def root_problems(study: Study, pipeline_root: str) -> list[str]:
    """Return the problem that the names of objects get too long, if so."""
    if not pipeline_root or is_local(pipeline_root):
        return []
    prefix = split(pipeline_root)[1].rstrip("/")
    room = MOST_OBJECT_NAME - BELOW_PIPELINE_ROOT - len(study.name) - BELOW_STUDY_FOLDER
    if (length := len(prefix.encode())) <= room:
        return []
    return [
        f"pipeline_root: its prefix has {length} bytes, and the names of objects would get longer than "
        f"{MOST_OBJECT_NAME}; at most {room} are left for it"
    ]


def _step_problems(step: Step) -> list[str]:
    """Return the parts of a step's machine that Vertex would refuse."""
    with extras.needed_by("the target vertex", "vertex"):
        from google.cloud.aiplatform_v1.types import AcceleratorType  # it takes seconds, and a cluster needs none

    lines = []
    if step.cpus > MOST_CPUS:
        lines.append(f"cpu: Vertex has at most {MOST_CPUS} CPUs, but got {step.cpus:g}")
    unit = step.ram.lstrip("0123456789")
    if unit not in ("K", "M", "G"):
        rounded = f"{math.ceil(step.memory_gb * 10) / 10:g}G"
        lines.append(f"memory: Vertex takes K, M and G only, but got {step.ram!r}; {rounded} is as much")
    if step.memory_gb > MOST_MEMORY_GB:
        lines.append(f"memory: Vertex has at most {MOST_MEMORY_GB}G, but got {step.ram!r}")
    known = [each for each in AcceleratorType.__members__ if each != "ACCELERATOR_TYPE_UNSPECIFIED"]
    if step.accelerator_type is not None and step.accelerator_type not in known:
        near = difflib.get_close_matches(step.accelerator_type.upper(), known, 1)
        said = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        lines.append(f"accelerator_type: Vertex has no {step.accelerator_type!r}; {said}")
    return lines
