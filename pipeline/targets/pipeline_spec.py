"""What the pipeline of a job says about its tasks; services give it back with the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.targets.protocol import RESULTS

Spec = Mapping[str, Any]


def titles(spec: Spec) -> dict[str, str]:
    """Return what the UI calls each task, by the name of the task; loops have no title of their own."""
    return {name: task["taskInfo"]["name"] for name, task in _tasks(spec).items() if not _is_loop(spec, task)}


def tasks_with_results(spec: Spec) -> list[str]:
    """Return the names of the tasks that give all of `RESULTS`, the last one first."""
    names = []
    for name, task in _tasks(spec).items():
        outputs = _component(spec, task).get("outputDefinitions", {}).get("artifacts", {})
        if set(RESULTS) <= set(outputs) and not _is_loop(spec, task):
            names.append(name)
    return sorted(names, key=_number, reverse=True)


def _tasks(spec: Spec) -> dict[str, Any]:
    groups = [spec.get("root", {}), *spec.get("components", {}).values()]
    return {name: task for group in groups for name, task in group.get("dag", {}).get("tasks", {}).items()}


def _component(spec: Spec, task: Spec) -> Any:
    return spec["components"][task["componentRef"]["name"]]


def _is_loop(spec: Spec, task: Spec) -> bool:
    return "dag" in _component(spec, task)


def _number(task: str) -> int:
    """Return which task of its kind one is: KFP calls them NAME, NAME-2, NAME-3."""
    number = task.rpartition("-")[2]
    return int(number) if number.isdecimal() else 1
