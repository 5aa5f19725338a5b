"""Calls an objective, in a process of its own that may hang, crash or run out of memory.

Reads a request as JSON from standard input and writes the outcome as a line of JSON to the file descriptor
that the only argument names. What the objective prints goes to standard output and error. Then it ends as any
Python program does: exit handlers, files that are not flushed yet and threads that save something get their time.

The interpreter is not always ours: it uses nothing but the standard library, and the syntax of Python 3.8. It imports
little, and the rest where it is needed, because this is done for every trial.

Request: `{"token": "...", "python": "module:function" or null, "command": [...] or null, "parameters": {...},
"folder": "..."}` and the end of a line. Outcome: the token, either `"value": 0.5` or `"reason": {"kind": "raised",
"message": "..."}` with the kinds of the record of a trial, and `"processor_seconds": 1.5, "memory_bytes": 1000000`.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import re
import reprlib
import resource
import sys

del sys.modules["resource"]  # a likely name for a module of a study, which is found again this way

TYPE_CHECKING = False  # that of `typing` takes longer to import than all of the above
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Outcome = dict[str, Any]

# The whole of it is in the log; a ledger is read again and again.
LONGEST_ERROR = 4000
LAST_LINES = 20
LONGEST_LINE = 1000
# How much of a command's output is kept at hand, in bytes, for its last line.
KEPT = 65_536
# `float` takes 1_0, nan, infinity and the digits of all scripts too; who prints these rarely means a value.
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def call_function(target: str, parameters: dict[str, Any]) -> Outcome:
    """Import `module:function` and call it with the parameters as keyword arguments."""
    try:
        function = _load(target)
    except _MistakeError as mistake:
        return _failure("mistake", str(mistake))
    try:
        return outcome_of(function(**parameters), target)
    except BaseException as error:  # also SystemExit: whatever ends the objective ends this trial only
        if isinstance(error, TypeError):
            problem = _signature_problem(target, function, parameters)
            if problem:
                return _failure("mistake", problem)
        _print_traceback()
        return _failure("raised", _message(error))


def call_command(command: list[str], parameters: dict[str, Any]) -> Outcome:
    """Run a command with the parameters in the place of their names; its last line is the value.

    It has ended when its process has, whatever it left running in the background.
    """
    import errno
    import subprocess

    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    arguments = [part.format(**texts) for part in command]
    program = arguments[0]
    try:
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        kind = "raised" if error.errno == errno.E2BIG else "mistake"
        return _failure(kind, f"objective.command: cannot run {program!r}: {error.strerror}")
    printed, everything = _pass_on(process)
    if process.returncode:
        lines = last_lines(everything)
        # The very last line mostly says why.
        why = f": {lines[-1][:LONGEST_LINE]}" if lines else "; it printed nothing"
        return _failure("exit", f"{program} {describe_end(process.returncode)}{why}", process.returncode)
    lines = printed.decode(errors="replace").strip().splitlines()
    if not lines:
        return _failure("value", f"{program} printed nothing; the last line that it prints must be the value")
    last = lines[-1].strip()
    if not NUMBER.fullmatch(last) or not math.isfinite(float(last)):
        rule = f"the last line that {program} prints must be a finite number, such as 0.5 or 1e-3"
        return _failure("value", f"{rule}, but got {_shown(last)}")
    return {"value": float(last)}


def describe_end(status: int) -> str:
    """Describe an exit status, as `subprocess` gives it."""
    if status >= 0:
        return f"exited {status}"
    import signal

    known = {number.value: number.name for number in signal.Signals}
    hint = " (often: out of memory)" if -status == signal.SIGKILL else ""
    return f"was killed by {known.get(-status, f'signal {-status}')}{hint}"


def last_lines(output: bytes) -> list[str]:
    """Return the last lines of an output that are not blank, without what a progress bar has overwritten."""
    lines = [line.rstrip().rpartition("\r")[2] for line in output.decode(errors="replace").split("\n")]
    return [line for line in lines if line.strip()][-LAST_LINES:]


def _failure(kind: str, message: str, status: int | None = None) -> Outcome:
    return {"reason": {"kind": kind, "exit": status, "message": message}}


class _MistakeError(Exception):
    """The objective cannot be called, whatever the parameters."""


def _load(target: str) -> Callable[..., Any]:
    module_name, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        searched = ", ".join(entry or "." for entry in sys.path[:2])
        raise _MistakeError(
            f"objective.python: {target}: no module named {error.name!r}; searched {searched} and the installed "
            "packages; put the module beside the study file, or into the image"
        ) from None
    except (Exception, SystemExit) as error:
        _print_traceback()
        raise _MistakeError(f"objective.python: cannot import {module_name}: {_message(error)}") from None
    for name in path.split("."):
        if not hasattr(found, name):
            where = getattr(found, "__file__", None) or module_name
            raise _MistakeError(f"objective.python: {target}: {where} does not define {name!r}")
        found = getattr(found, name)
    if not callable(found):
        raise _MistakeError(f"objective.python: {target} is not a function, but of type {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _signature_problem(target: str, function: Callable[..., Any], parameters: dict[str, Any]) -> str | None:
    """Return why a function that raised a TypeError cannot be called with the parameters, or None if it can."""
    try:
        import inspect  # takes longer than all other imports together

        signature = inspect.signature(function)
    except Exception:  # some builtins do not tell theirs; a study may have a module `inspect` of its own
        return None
    try:
        signature.bind(**parameters)
    except TypeError as error:
        names = ", ".join(parameters)
        return f"objective.python: cannot call {target}{signature} with the keyword arguments {names}: {error}"
    return None


# --- values ------------------------------------------------------------------------------------


def outcome_of(returned: Any, target: str) -> Outcome:
    """Return the outcome of an objective that has returned something."""
    if returned is None:
        return _failure("value", f"{target} returned None; did it forget `return`?")
    try:
        number = _to_number(returned)
    except Exception:  # whatever an object does that is asked whether it is a number
        number = None
    if number is None or not math.isfinite(number):
        large = isinstance(returned, int) and not isinstance(returned, bool) and number is None
        got = "an integer too large for a float" if large else f"{_shown(returned)} ({type(returned).__name__})"
        return _failure("value", f"{target} must return a finite number, but got {got[:500]}")
    return {"value": number}


def _to_number(value: Any) -> float | None:
    """Return the number that a value is: plain, or a scalar, array or tensor that holds one; of others None."""
    masks = sys.modules.get("numpy.ma")
    if masks is not None and masks.is_masked(value):
        return None  # it hides a 0 or whatever was there
    if getattr(getattr(value, "dtype", None), "kind", None) in ("m", "M"):
        return None  # times: some of them would come as the number of their nanoseconds
    if hasattr(value, "item"):
        value = value.item()  # raises where there is more than one element, or none
    if isinstance(value, bool):
        return None
    if getattr(value, "imag", 0) != 0:
        return None
    if isinstance(value, complex) or hasattr(value, "dtype"):
        value = value.real  # of a complex number of numpy, `float` warns that it leaves out the other part
    kind = type(value)
    if not hasattr(kind, "__float__") and not hasattr(kind, "__index__"):
        return None  # a text, which `float` would read
    return float(value)


def _shown(value: Any) -> str:
    """Return what a value looks like, in one line and cut."""
    cut = reprlib.Repr()
    cut.maxstring = cut.maxother = cut.maxlong = 100
    try:
        return " ".join(cut.repr(value).split())
    except Exception:
        return "a value that cannot be shown"


# --- errors and output -------------------------------------------------------------------------


def _message(error: BaseException) -> str:
    try:
        text = str(error)[:LONGEST_ERROR]
    except Exception:
        text = "its message cannot be shown"
    return f"{type(error).__name__}: {text}"


def _print_traceback() -> None:
    try:
        sys.__excepthook__(*sys.exc_info())
    except Exception:  # the objective has closed or replaced standard error
        return


def _pass_on(process: Any) -> tuple[bytes, bytes]:
    """Pass on what a process prints until it has ended.

    Returns:
        The end of its standard output, and that of standard output and error together.
    """
    import contextlib
    import select

    # A background child may hold both open for ever: after the end, what is there is read, and no more is waited for.
    rounds_left = 20
    targets = {process.stdout.fileno(): 1, process.stderr.fileno(): 2}
    printed = everything = b""
    while targets and rounds_left:
        ended = process.poll() is not None
        ready = select.select(list(targets), [], [], 0 if ended else 0.1)[0]
        rounds_left -= ended
        if ended and not ready:
            break
        for source in ready:
            chunk = os.read(source, KEPT)
            everything = (everything + chunk)[-KEPT:]
            if targets[source] == 1:
                printed = (printed + chunk)[-KEPT:]
            with contextlib.suppress(OSError):  # nobody reads it any more; the trial goes on
                _write(targets[source], chunk)
            if not chunk:
                del targets[source]
    process.wait()
    return printed, everything


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def used() -> Outcome:
    """Return what this process has used, and the children that it has waited for."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "processor_seconds": round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 3),
        "memory_bytes": max(_peak() or own.ru_maxrss * unit, children.ru_maxrss * unit),
    }


def _peak() -> int | None:
    """Return the most memory that this process had, in bytes, or None without /proc.

    What `getrusage` says begins with the memory of the process that started this one.
    """
    try:
        with open("/proc/self/status", "rb") as file:  # noqa: PTH123 - an import less
            (line,) = [line for line in file if line.startswith(b"VmHWM:")]
    except (OSError, ValueError):
        return None
    return int(line.split()[1]) * 1024


def _main() -> None:
    text = sys.stdin.read()
    if not text.endswith("\n"):
        return  # whoever sends it is gone
    request = json.loads(text)
    pipe = int(sys.argv[1])
    os.set_inheritable(pipe, False)  # programs that the objective starts do not hold it open
    ours = os.getpid()
    os.chdir(request["folder"])
    if request["command"]:
        outcome = call_command(request["command"], request["parameters"])
    else:
        # The folder of the study comes first; that of this file, the image's, is there already.
        sys.path.insert(0, request["folder"])
        outcome = call_function(request["python"], request["parameters"])
    if os.getpid() != ours:
        os._exit(0)  # a fork of the objective that has come back to here: its parent is the trial
    # On lines of its own, whatever the objective has written there.
    _write(pipe, b"\n" + json.dumps({"token": request["token"], **outcome, **used()}).encode() + b"\n")


if __name__ == "__main__":
    _main()
