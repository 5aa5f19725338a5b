"""What runs and measures a trial of Katib: its template as a command, its metrics collector as a source of a value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from pydantic import Field

from kfp_bayesopt.errors import shown, shown_name
from kfp_bayesopt.exchange.dialects.base import Json, as_text
from kfp_bayesopt.exchange.foreign import ForeignModel, Name
from kfp_bayesopt.space.parameters import Parameter
from kfp_bayesopt.study.objective import BEHIND, DATA, FOLDER, fill
from kfp_bayesopt.study.sources.base import VALUE
from kfp_bayesopt.study.study import Study

CONTAINER = "training-container"
_REFERENCE = re.compile(r"\$\{trialParameters\.([^}]*)\}")
_ATOM = r"\\.|\[\^?\]?(?:\\.|[^\]])*\]"
"""An escaped character, or a class of characters, in which parentheses are none."""
_GROUP = re.compile(rf"{_ATOM}|(\()(?!\?)", re.DOTALL)
_PARENTHESIS = re.compile(rf"{_ATOM}|([()])", re.DOTALL)


class Filter(ForeignModel):
    """What finds metrics in lines."""

    metrics_format: list[str] = Field([])


class _Path(ForeignModel):
    path: str | None = None
    kind: str | None = None
    format: str = "TEXT"


class _CollectorSource(ForeignModel):
    filter: Filter | None = None
    file_system_path: _Path | None = None


class _Collector(ForeignModel):
    kind: str = "StdOut"


class CollectorSpec(ForeignModel):
    """A metrics collector (common_types.go)."""

    collector: _Collector = _Collector()
    source: _CollectorSource = _CollectorSource()


class _TrialParameter(ForeignModel):
    name: Name
    reference: Name
    description: str | None = None


class Template(ForeignModel):
    """A trial template, whose specification is that of any resource of Kubernetes."""

    primary_container_name: str | None = None
    trial_parameters: list[_TrialParameter] = Field([])
    trial_spec: Json | None = None


def value_of(collector: CollectorSpec, name: str, take: str, lost: list[str]) -> Json:
    """Return the source of the value that a metrics collector is; what it loses is added to the list."""
    printed: Json = {"source": "printed", "name": name, "take": take}
    path = collector.source.file_system_path
    short = PurePosixPath(path.path).name if path is not None and path.path else ""
    match collector.collector.kind:
        case "StdOut":
            formats = collector.source.filter.metrics_format if collector.source.filter is not None else []
            if len(formats) > 1:
                lost.append(f"metricsFormat: the first of {len(formats)}; write the others into the pattern")
            if formats and (pattern := pattern_of(formats[0], name)) is not None:
                return {"source": "pattern", "pattern": pattern, "take": take}
            if formats:
                lost.append(f"metricsFormat {shown(formats[0])}: is no pattern of name and number")
            return printed
        case "File" if path is not None and path.format.upper() == "JSON":
            lost.append(f"metricsCollectorSpec: {path.path}: write it as $BAYESOPT_TRIAL_FOLDER/{short}")
            named = short if short.endswith((".json", ".jsonl")) else f"{short}.jsonl"
            return {"source": "file", "path": named, "name": name, "take": take}
        case "TensorFlowEvent" if short:
            lost.append(f"metricsCollectorSpec: write the event files below $BAYESOPT_TRIAL_FOLDER/{short}")
            return {"source": "tensorboard", "path": short, "name": name, "take": take}
        case kind:
            where = f" to {path.path}" if path is not None and path.path else ""
            lost.append(f"metricsCollectorSpec: {kind}: have the program print what it writes{where}")
            return printed


def pattern_of(form: str, name: str) -> str | None:
    """Return the pattern that finds one metric as a metrics format, with groups for name and number, finds all."""
    groups = [match for match in _GROUP.finditer(form) if match[1]]
    if len(groups) < 2 or (end := _end_of(form, groups[0].end())) is None:
        return None
    second = next((group for group in groups if group.start() >= end), None)
    if second is None:
        return None
    rest = form[second.end() :]
    # The groups within that of the number take no part.
    rest = _GROUP.sub(lambda match: "(?:" if match[1] else match[0], rest)
    found = f"{form[: groups[0].start()]}{re.escape(name)}{form[end : second.start()]}(?P<value>{rest}"
    try:
        return found if set(re.compile(found).groupindex) == {VALUE} else None
    except re.error:
        return None


def _end_of(form: str, begin: int) -> int | None:
    """Return the index behind the group that begins there."""
    depth = 1
    for match in _PARENTHESIS.finditer(form, begin):
        depth += {"(": 1, ")": -1}.get(match[1], 0)
        if depth == 0:
            return match.end()
    return None


def command_of(template: Template, space: Json, lost: list[str]) -> list[str] | None:
    """Return the command of a trial template with our placeholders; None if it has none that names every parameter."""
    kind = (template.trial_spec or {}).get("kind", "Job")
    containers = [each for each in _containers(template.trial_spec) if isinstance(each, dict)]
    chosen = next((each for each in containers if each.get("name") == template.primary_container_name), None)
    container = chosen or next(iter(containers), None)
    if container is None:
        lost.append("trialTemplate: has no container; say the command in objective.command")
        return None
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    references = {each.name: each.reference for each in template.trial_parameters}
    used: set[str] = set()

    def ours(word: str) -> str:
        parts = _REFERENCE.split(word)
        doubled = [re.sub("([{}])", r"\1\1", part) for part in parts[::2]]
        names = [references.get(each, each) for each in parts[1::2]]
        used.update(names)
        return doubled[0] + "".join(f"{{{name}}}{part}" for name, part in zip(names, doubled[1:], strict=True))

    command = [ours(as_text(word)) for word in words]
    if kind != "Job":
        lost.append(f"trialTemplate: {shown_name(str(kind))}: the command runs in one container for each trial")
    if image := container.get("image"):
        lost.append(f"trialTemplate: the image {shown_name(str(image))}; put the runtime into it: docs/own-code.md")
    if not command or used != set(space):
        lost.append("trialTemplate: its command does not name each parameter once; say it in objective.command")
        return None
    return command


def _containers(spec: Any) -> Iterator[Any]:
    """Yield the containers of a resource, whatever its kind calls the parts of it."""
    if isinstance(spec, dict):
        if isinstance(spec.get("containers"), list):
            yield from spec["containers"]
        for value in spec.values():
            yield from _containers(value)


def template_of(study: Study, lost: list[str]) -> Json:
    """Return a trial template that runs the command of a study in its image, as a Job."""
    objective, image = study.objective, study.steps.evaluate.image
    given = {name: f"${{trialParameters.{name}}}" for name in study.space}
    command = [fill(word, {FOLDER: ".", DATA: "", **given}) for word in objective.command or []]
    if objective.how in BEHIND:
        hyphens = "" if objective.how == "key-value" else "--"
        command += [f"{hyphens}{name}={text}" for name, text in given.items()]
        if objective.how in ("flags", "switches") and any(map(_has_booleans, study.space.values())):
            lost.append("booleans: Katib gives --name=true and --name=false")
    elif objective.command is not None and objective.how != "placeholders":
        lost.append(f"objective.args: {objective.how}: Katib puts parameters into the command alone; write it there")
    if not command:
        lost.append("objective: a function; give the container a command that calls it")
    if image is None:
        lost.append("the image: write that of your code in the place of IMAGE")
    container = {"name": CONTAINER, "image": image or "IMAGE", "command": command or ["COMMAND"]}
    return {
        "primaryContainerName": CONTAINER,
        "trialParameters": [
            {"name": name, "description": f"The parameter {name}", "reference": name} for name in study.space
        ],
        "trialSpec": {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "spec": {"template": {"spec": {"containers": [container], "restartPolicy": "Never"}}},
        },
    }


def _has_booleans(parameter: Parameter) -> bool:
    return parameter.span is None and any(isinstance(value, bool) for value in parameter.listed)
