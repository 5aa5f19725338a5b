"""The tasks of a job's pipeline, as services return it with the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Spec = Mapping[str, Any]


def titles(spec: Spec) -> dict[str, str]:
    """Return the title of each task in the UI, by the name of the task; groups of tasks have no title."""
    return {name: task["taskInfo"]["name"] for name, task in _tasks(spec).items() if not _is_group(spec, task)}


def _tasks(spec: Spec) -> dict[str, Any]:
    groups = [spec.get("root", {}), *spec.get("components", {}).values()]
    return {name: task for group in groups for name, task in group.get("dag", {}).get("tasks", {}).items()}


def _is_group(spec: Spec, task: Spec) -> bool:
    return "dag" in spec["components"][task["componentRef"]["name"]]
