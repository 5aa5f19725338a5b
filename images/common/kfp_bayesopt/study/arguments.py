"""The ways to pass parameters to an objective: as arguments, in its environment, or in a file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kfp_bayesopt.space.parameters import Parameters, Value
from kfp_bayesopt.study.objective import BEHIND, DATA, FILES, FOLDER, PARAMETERS_FILE, Objective, fill, flag

_PLAIN = re.compile(r"[A-Za-z_][\w\-./]*")
"""Text that needs no quotes in Hydra's grammar."""
_WORDS = frozenset({"true", "false", "null", "inf", "nan"})


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
    if objective.how in BEHIND:
        call.command += words_of(parameters, objective.how)
    return call


def text_of(value: Value) -> str:
    """Return a value as text: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def words_of(parameters: Mapping[str, Value], how: str) -> list[str]:
    """Return parameters as arguments of one word each, so that a value may begin with a hyphen.

    Args:
        parameters: The parameters.
        how: One of `BEHIND`. A boolean is `--name` or `--no-name` (flags), `--name=true` or `--name=false`
            (text-flags), or `--name` or nothing (switches); of `key-value` there are no hyphens, and values are
            written in the grammar of Hydra's overrides (hydra.cc/docs, Advanced, Override grammar).
    """
    if how == "key-value":
        return [f"{name}={_hydra_of(value)}" for name, value in parameters.items()]
    words = []
    for name, value in parameters.items():
        if not isinstance(value, bool) or how == "text-flags":
            words.append(f"{flag(name)}={text_of(value)}")
        elif value:
            words.append(flag(name))
        elif how == "flags":
            words.append(flag(f"no-{name}"))
    return words


def _hydra_of(value: Value) -> str:
    """Return a value in the grammar of Hydra's overrides, which OmegaConf reads as well: text that means no other."""
    if isinstance(value, list):
        return f"[{','.join(map(_hydra_of, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_hydra_of(each)}' for key, each in value.items())}}}"
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    # A backslash escapes a quote and itself before one.
    escaped = re.sub(r"(\\*)('|\Z)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), value)
    return f"'{escaped}'"


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
