"""What the pipeline of a job says about its tasks; services give it back with the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Spec = Mapping[str, Any]


def titles(spec: Spec) -> dict[str, str]:
    """Return what the UI calls each task, by the name of the task; groups of tasks have no title of their own."""
    return {name: task["taskInfo"]["name"] for name, task in _tasks(spec).items() if not _is_group(spec, task)}


def _tasks(spec: Spec) -> dict[str, Any]:
    groups = [spec.get("root", {}), *spec.get("components", {}).values()]
    return {name: task for group in groups for name, task in group.get("dag", {}).get("tasks", {}).items()}


def _is_group(spec: Spec, task: Spec) -> bool:
    return "dag" in spec["components"][task["componentRef"]["name"]]
