"""Calls an objective, in a process of its own that may hang, crash or run out of memory.

Reads a request as JSON from standard input and writes the outcome as a line of JSON to the file descriptor
that the only argument names. What the objective prints goes to standard output and error.
It imports nothing but the standard library, so that it starts fast.

Request: `{"python": "module:function" or null, "command": [...] or null, "parameters": {...}, "folder": "..."}`.
Outcome, one of: `{"value": 0.5}`, `{"failed": "what went wrong in this trial"}`,
`{"mistake": "what is wrong with the objective, whatever the parameters"}`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import math
import numbers
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any

Outcome = dict[str, Any]


def call_function(target: str, parameters: dict[str, Any]) -> Outcome:
    """Import `module:function` and call it with the parameters as keyword arguments."""
    try:
        function = _load(target)
        _check_signature(target, function, parameters)
    except _MistakeError as mistake:
        return {"mistake": str(mistake)}
    try:
        return _outcome(function(**parameters), f"{target} must return a finite number")
    except BaseException as error:  # also SystemExit: whatever ends the objective ends this trial only
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error}"}


def call_command(command: list[str], parameters: dict[str, Any]) -> Outcome:
    """Run a command with the parameters in the place of their names; its last line is the value."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    arguments = [part.format(**texts) for part in command]
    last = ""
    try:
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, errors="replace") as process:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                last = line.strip() or last
    except OSError as error:
        return {"mistake": f"objective.command: {arguments[0]!r} must be a program, but: {error.strerror}"}
    if process.returncode:
        return {"failed": f"{arguments[0]} must exit 0, but {describe_end(process.returncode)}"}
    try:
        value: Any = float(last)
    except ValueError:
        value = last
    return _outcome(value, f"the last line that {arguments[0]} prints must be a finite number")


def describe_end(status: int) -> str:
    """Say how a process ended that `subprocess` gave this status."""
    if status >= 0:
        return f"exited {status}"
    known = {number.value: number.name for number in signal.Signals}
    hint = " (often: out of memory)" if -status == signal.SIGKILL else ""
    return f"was killed by {known.get(-status, f'signal {-status}')}{hint}"


class _MistakeError(Exception):
    """The objective cannot be called, whatever the parameters."""


def _load(target: str) -> Callable[..., Any]:
    module_name, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise _MistakeError(
            f"objective.python: {target} must be found beside the study file or in the image, but there is no "
            f"module {error.name!r}; searched: {', '.join(entry or '.' for entry in sys.path[:2])} and the packages"
        ) from None
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        message = f"objective.python: {module_name} must be importable, but raised {type(error).__name__}: {error}"
        raise _MistakeError(message) from None
    for name in path.split("."):
        if not hasattr(found, name):
            where = getattr(found, "__file__", None) or module_name
            raise _MistakeError(f"objective.python: {name!r} must be defined in {where}, but it is not there")
        found = getattr(found, name)
    if not callable(found):
        raise _MistakeError(f"objective.python: {target} must be a function, but it is {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _check_signature(target: str, function: Callable[..., Any], parameters: dict[str, Any]) -> None:
    try:
        signature = inspect.signature(function)
    except ValueError:
        return  # some builtins do not tell theirs
    try:
        signature.bind(**parameters)
    except TypeError as error:
        raise _MistakeError(
            f"objective.python: {target}{signature} must take the parameters {', '.join(parameters)} "
            f"as keyword arguments, but: {error}"
        ) from None


def _outcome(value: Any, rule: str) -> Outcome:
    number = value
    if (hasattr(value, "item") and getattr(value, "size", 2) == 1) or type(value).__name__ == "Tensor":
        number = value.item()  # an array or tensor that holds one number
    if isinstance(number, bool) or not isinstance(number, numbers.Real) or not math.isfinite(number):
        return {"failed": f"{rule}, but got {str(value)[:100]!r} ({type(value).__name__})"}
    return {"value": float(number)}


def _main() -> None:
    request = json.load(sys.stdin)
    # The folder of the study comes first; that of this file, the image's, is there already.
    sys.path.insert(0, request["folder"])
    os.chdir(request["folder"])
    if request["command"]:
        outcome = call_command(request["command"], request["parameters"])
    else:
        outcome = call_function(request["python"], request["parameters"])
    with os.fdopen(int(sys.argv[1]), "w") as pipe:
        pipe.write(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    _main()
