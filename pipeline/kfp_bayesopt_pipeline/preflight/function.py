"""Checks in the image of the trials that the objective can be called, without a network and without evaluating it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from kfp_bayesopt import hints
from kfp_bayesopt.runtime import RUNTIME
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.study.function import Function
from kfp_bayesopt.study.study import Study

SECONDS = 30
_OURS = f"{RUNTIME}/code/kfp_bayesopt/trial/process"
# Found as `evaluate` finds it: the first of both on the image's PATH.
_PYTHON = f'exec "$(command -v python || command -v python3)" {_OURS}/caller.py 1'
_VERSION = (
    """exec "$(command -v python || command -v python3)" -c 'import sys; print("%d.%d" % sys.version_info[:2])'"""
)
_COMMAND = 'command -v "$0" >/dev/null || { [ -e "$0" ] && exit 126; exit 127; }'


def check_objective(study: Study, image: str, parameters: Parameters) -> list[str]:
    """Return the reason the objective of a study cannot be called in an image, as far as Docker has the image here.

    Args:
        study: The study.
        image: The image that evaluates its trials.
        parameters: Any point of its space.
    """
    if _docker(["image", "inspect", image]) is None:
        return []
    objective = study.objective
    if objective.command is not None:
        program = objective.command[0]
        if "{" in program:
            return []
        ended = _docker([*_run(image), "-c", _COMMAND, program])
        missing = {
            127: f"{image}: objective.command: {program!r} is not in the image; install it, or copy it to its WORKDIR",
            126: f"{image}: objective.command: {program!r} may not be run there; `chmod +x`, or name its interpreter",
        }
        return [missing[ended.returncode]] if ended is not None and ended.returncode in missing else []
    if objective.function is not None:
        return _check_python(objective.function, image)
    request = {
        "token": "check",
        "python": objective.python,
        "args": [parameters] if objective.how == "dict" else [],
        "keywords": parameters if objective.how == "keywords" else {},
        "wants_value": False,
        "folder": ".",
        "examples": f"{_OURS}/examples",
        "check": True,
    }
    ended = _docker([*_run(image), "-c", _PYTHON], json.dumps(request) + "\n")
    if ended is None:
        return []
    said = [line for line in ended.stdout.splitlines() if line.startswith('{"token": "check"')]
    outcome: dict[str, Any] = json.loads(said[-1]) if said else {}
    reason = outcome.get("reason")
    return [f"{image}: {reason['message']}"] if reason else []


def _check_python(function: Function, image: str) -> list[str]:
    """Return that an image has another Python than a function that travels, if so; its packages come with the trial."""
    ended = _docker([*_run(image), "-c", _VERSION])
    if ended is None or ended.stdout.strip() == function.python:
        return []
    has = f"its Python is {ended.stdout.strip()}" if ended.returncode == 0 else "it has no Python"
    needed = hints.PUSH_PYTHON(python=function.python)
    return [
        f"{image}: {has}, and {function.name} needs {function.python}, from which it was taken; `{needed}` makes an "
        f"image that has it"
    ]


def _run(image: str) -> list[str]:
    return ["run", "--rm", "--interactive", "--network", "none", "--entrypoint", "/bin/sh", image]


def _docker(arguments: list[str], given: str = "") -> subprocess.CompletedProcess[str] | None:
    """Return the ended Docker process, or None if Docker or the image does not exist, or it takes too long."""
    try:
        ended = subprocess.run(
            ["docker", *arguments],  # noqa: S607
            input=given, capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if arguments[0] == "image" and ended.returncode else ended
