"""The compiled pipeline of a study as a file: compiled, written, and checked where somebody else wrote it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kfp_bayesopt import extras, workspace
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.study_folder import study_uri
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.cluster import Cluster
from kfp_bayesopt_pipeline.images import Images
from kfp_bayesopt_pipeline.preflight.limits import without_edges

MAX_BYTES = 2**26


def compiled(
    study: Study,
    content: bytes,
    images: Images,
    say: Callable[[str], None],
    ends_task: str | None = None,
    cluster: Cluster | None = None,
) -> bytes:
    """Compile a study.

    Args:
        study: The study.
        content: Its file.
        images: The image of each step.
        say: Shows a warning.
        ends_task: What ends a task that runs for too long where the pipeline is to run, in words.
        cluster: The KFP cluster that it is for, if it is for one: `Settings.cluster` says which.

    Raises:
        UserError: An image is not fixed.
    """
    with extras.needed_by("a pipeline", "kfp"):
        from kfp_bayesopt_pipeline.compile import compile_study  # it takes seconds to import

    schedule = SCHEDULES[study.schedule]
    if ends_task is not None and schedule.unbounded is not None and schedule.task_seconds(study) is None:
        say(f"Warning: {schedule.unbounded}; {ends_task}: set max_trial_seconds or stop.max_hours")
    if cluster is None and (keys := study.steps.of_clusters):
        say(f"Warning: {', '.join(keys)}: left out, because only the pipeline of a KFP cluster has pods")
    if cluster is not None and (why := without_edges(study)) is not None:
        say(why)
    return compile_study(study, content, images, cluster).encode()


def write(study: Study, pipeline: bytes, out: Path | None = None) -> Path:
    """Write a compiled pipeline, by default where the name of its study says, and return the file."""
    written = out or workspace.out(study.name, "pipeline.yaml")
    storage.replace(str(written), pipeline)
    return written


def check(path: Path, study_path: str, content: bytes) -> None:
    """Refuse a pipeline that was compiled for another study file: it would look for that one in the study folder.

    Raises:
        UserError: It was, or cannot be read.
    """
    if study_uri("", content).encode() not in storage.read(str(path), MAX_BYTES):
        raise UserError(f"{path}: was compiled for another study file than {study_path}; compile it again")
