"""The ways to pass parameters to an objective: as arguments, in its environment, or in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kfp_bayesopt.space.parameters import Parameters, Value
from kfp_bayesopt.study.objective import DATA, FILES, FOLDER, PARAMETERS_FILE, Objective, fill, flag


@dataclass
class Call:
    """An objective with its parameters.

    Attributes:
        command: Program and arguments; empty for a function.
        variables: Additional variables of its environment.
        files: Files for the folder of the trial, readable by the user of the process alone.
    """

    command: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    files: dict[Path, bytes] = field(default_factory=dict)


def call_of(objective: Objective, parameters: Parameters, folder: Path, data: str | None = None) -> Call:
    """Return the call of an objective with parameters.

    Args:
        objective: The objective.
        parameters: Its parameters.
        folder: The folder of the trial.
        data: What the objective is given.
    """
    if objective.command is None:
        return Call()
    call = Call()
    texts = {name: text_of(value) for name, value in parameters.items()} if objective.how == "placeholders" else {}
    if objective.how in FILES:
        path = folder / FILES[objective.how]
        call.files[path] = file_of(parameters, yaml=objective.how == "yaml-file")
        texts[PARAMETERS_FILE] = str(path)
    if objective.how == "environment":
        call.variables = {name: text_of(value) for name, value in parameters.items()}
    # A parameter of the same name takes precedence.
    ours = {FOLDER: str(folder), DATA: data or ""}
    call.command = [fill(part, {**ours, **texts}) for part in objective.command]
    if objective.how in ("flags", "text-flags"):
        call.command += flags(parameters, switches=objective.how == "flags")
    return call


def text_of(value: Value) -> str:
    """Return a value as text: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def flags(parameters: Mapping[str, Value], *, switches: bool) -> list[str]:
    """Return parameters as options of one word each, so that a value may begin with a hyphen.

    Args:
        parameters: The parameters.
        switches: Whether a boolean is `--name` or `--no-name`, and not `--name=true` or `--name=false`.
    """
    return [
        (flag(name) if value else flag(f"no-{name}"))
        if switches and isinstance(value, bool)
        else f"{flag(name)}={text_of(value)}"
        for name, value in parameters.items()
    ]


def file_of(parameters: Mapping[str, Value], *, yaml: bool) -> bytes:
    """Return a file with parameters, JSON or YAML."""
    if not yaml:
        return (json.dumps(parameters, indent=1) + "\n").encode()
    # JSON is YAML, but YAML 1.1 parsers, such as PyYAML, need a point in a float.
    lines = [f"{json.dumps(name)}: {_yaml_of(value)}\n" for name, value in parameters.items()]
    return "".join(lines).encode()


def _yaml_of(value: Value) -> str:
    text = json.dumps(value)
    return text.replace("e", ".0e") if isinstance(value, float) and "." not in text else text
