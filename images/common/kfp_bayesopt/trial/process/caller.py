"""Calls a function of an objective, in a process of its own that may hang, crash or run out of memory.

Reads a request as JSON from standard input and writes the outcome as a line of JSON to the file descriptor named by the
only argument. The objective's output goes to standard output and error. Then it ends like any Python program: exit
handlers, unflushed files and threads that save something get their time.

The interpreter is the person's, so only the standard library of Python 3.8 is used. It imports little at the start, and
the rest where needed, because it runs for every trial.

Request: `{"token": "...", "python": "module:function", "args": [...], "keywords": {...}, "wants_value": true,
"folder": "...", "examples": "..."}` and the end of a line; of a function that travels its name, and its file with
`"file": "...", "sha256": "..."`. Outcome: the token, either `"returned": 0.5`, or a mapping of names to numbers, or
`"reason": {"kind": "raised", "message": "..."}` with the kinds of the record of a trial, and what it has used,
`"processor_seconds": 1.5, "memory_bytes": 1000000`. With `"check": true` nothing is called.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import reprlib
import resource
import sys

del sys.modules["resource"]  # a likely name for a module of a study, which is found again this way

TYPE_CHECKING = False  # that of `typing` takes longer to import than all of the above
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Outcome = dict[str, Any]

# The whole message is in the log; a ledger is read again and again.
LONGEST_ERROR = 4000


def check_function(target: str, args: list[Any], keywords: dict[str, Any], file: str = "", sha256: str = "") -> Outcome:
    """Load a function and check that it can be called, without calling it; see `call_function`."""
    try:
        function = _load_file(file, sha256, target) if file else _load(target)
    except _MistakeError as mistake:
        return _failure("mistake", str(mistake))
    problem = _signature_problem(target, function, args, keywords)
    return _failure("mistake", problem) if problem else {}


def call_function(
    target: str, args: list[Any], keywords: dict[str, Any], wants_value: bool, file: str = "", sha256: str = ""
) -> Outcome:
    """Load a function and call it.

    Args:
        target: The function: `module:function`, which is imported, or the name of one that travels.
        args: Its arguments.
        keywords: Its keyword arguments.
        wants_value: Whether its return value matters.
        file: The file of a function that travels.
        sha256: The SHA-256 of that file.
    """
    try:
        function = _load_file(file, sha256, target) if file else _load(target)
    except _MistakeError as mistake:
        return _failure("mistake", str(mistake))
    try:
        returned = function(*args, **keywords)
        return outcome_of(returned, target) if wants_value else {}
    except BaseException as error:  # also SystemExit: whatever ends the objective ends this trial only
        if isinstance(error, TypeError):
            problem = _signature_problem(target, function, args, keywords)
            if problem:
                return _failure("mistake", problem)
        _print_traceback()
        return _failure("raised", _message(error))


def _failure(kind: str, message: str, status: int | None = None) -> Outcome:
    return {"reason": {"kind": kind, "exit": status, "message": message}}


class _MistakeError(Exception):
    """The objective cannot be called, whatever the parameters."""


def _load(target: str) -> Callable[..., Any]:
    module_name, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise _MistakeError(
            f"objective.python: {target}: no module named {error.name!r}; searched {sys.path[0]} and the packages of "
            f"{sys.executable}; put the module beside the study file, or install it: "
            f"{sys.executable} -m pip install {(error.name or module_name).partition('.')[0]}"
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


def _load_file(path: str, sha256: str, name: str) -> Callable[..., Any]:
    """Load a function from its file; the bytes that are loaded are those that were hashed.

    Its notebook or script is `__main__` here too, so that its classes are found by whatever saves and loads them. All
    that speaks against loading it is said before anything is.
    """
    from types import ModuleType

    with open(path, "rb") as file:  # noqa: PTH123 - an import less
        content = file.read()
    if _sha256(content) != sha256:
        raise _MistakeError(
            f"objective.function: the file of {name} is not the one that the study names, and was not loaded; restore "
            "it from a copy, or tune the function again"
        )
    main = sys.modules["__main__"] = ModuleType("__main__")  # before dill is imported, which keeps it
    try:
        _, header, dumped = content.split(b"\n", 2)
        made = json.loads(header)
        problem = _made_elsewhere(made, name) or _changed_since(made, name)
    except (ValueError, KeyError):
        raise _MistakeError(
            f"objective.function: the file of {name} is damaged, and was not loaded; tune the function again"
        ) from None
    if problem:
        raise _MistakeError(f"objective.function: {problem}")
    import dill

    sys.path[1:1] = [folder for folder in made.get("folders", ()) if folder not in sys.path]
    try:
        function, names = dill.loads(dumped)  # noqa: S301 - hashed above; it runs here anyway
    except ModuleNotFoundError as error:
        raise _MistakeError(
            f"objective.function: {name} needs the module {error.name}, which {sys.executable} has not; install it: "
            f"{sys.executable} -m pip install {(error.name or '').partition('.')[0]}"
        ) from None
    except Exception as error:
        _print_traceback()
        raise _MistakeError(f"objective.function: cannot load {name}: {_message(error)}") from None
    vars(main).update(names)
    return function  # type: ignore[no-any-return]


def _made_elsewhere(made: dict[str, Any], name: str) -> str | None:
    """Return how this Python differs from the one that a function was taken from, with the way out."""
    try:
        from dill import __version__ as dill
    except ImportError:
        dill = ""
    needs, has, install = [], [], ""
    for what, wanted, found in (
        ("Python", made["python"], ".".join(map(str, sys.version_info[:2]))),
        ("implementation", made["implementation"], sys.implementation.name),
        ("byte order", made["byte_order"], sys.byteorder),
    ):
        if wanted != found:
            needs.append(f"{what} {wanted}")
            has.append(f"{what} {found}")
    wrong = f"run it where there is {needs[0]}, or tune the function again from {has[0]}" if needs else ""
    if not dill or _version(dill) < _version(made["dill"]):
        needs.append(f"dill {made['dill']} or newer")
        has.append(f"dill {dill}" if dill else "no dill")
        install = f"install it: {sys.executable} -m pip install 'dill>={made['dill']}'"
    if not needs:
        return None
    return f"{name} needs {', '.join(needs)}, and {sys.executable} has {', '.join(has)}; {wrong or install}"


def _version(text: str) -> list[int]:
    return [int(part) for part in text.split(".") if part.isdigit()]


def _changed_since(made: dict[str, Any], name: str) -> str | None:
    """Return which module beside the notebook is not the one that a function was taken with, with the way out."""
    for file, sha256 in made.get("beside", {}).items():
        for folder in [*made["folders"], *sys.path]:  # an image of its folder has it in another one
            try:
                with open(f"{folder}/{file}", "rb") as opened:  # noqa: PTH123 - an import less
                    content = opened.read()
            except OSError:
                continue
            if _sha256(content) != sha256:
                return f"{folder}/{file} was changed after {name} was taken along; tune the function again"
            break
        else:
            return (
                f"{name} needs {file}, which lay beside its notebook and is not here; make a package of it and install "
                "that, or give the objective as module:function"
            )
    return None


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


def _signature_problem(
    target: str, function: Callable[..., Any], args: list[Any], keywords: dict[str, Any]
) -> str | None:
    """Return the reason a function that raised a TypeError cannot be called with the parameters, or None if it can."""
    try:
        import inspect  # takes longer than all other imports together

        signature = inspect.signature(function)
    except Exception:  # some builtins do not tell theirs; a study may have a module `inspect` of its own
        return None
    try:
        signature.bind(*args, **keywords)
    except TypeError as error:
        given = "one dict (objective.args: dict)" if args else f"the keyword arguments {', '.join(keywords)}"
        return f"objective.python: cannot call {target}{signature} with {given}: {error}"
    return None


# --- values ------------------------------------------------------------------------------------


def outcome_of(returned: Any, target: str) -> Outcome:
    """Return the outcome for a return value: a number, or a mapping of names to numbers."""
    if returned is None:
        return _failure("value", f"{target} returned None; did it forget `return`?")
    if isinstance(returned, dict):
        return {"returned": {str(name)[:200]: _number_or_text(value) for name, value in list(returned.items())[:1000]}}
    try:
        number = _to_number(returned)
    except Exception:  # whatever an object does that is asked whether it is a number
        number = None
    if number is None or not math.isfinite(number):
        large = isinstance(returned, int) and not isinstance(returned, bool) and number is None
        got = "an integer too large for a float" if large else f"{_shown(returned)} ({type(returned).__name__})"
        return _failure("value", f"{target} must return a finite number, but got {got[:500]}")
    return {"returned": number}


def _number_or_text(value: Any) -> float | str:
    """Return a finite number, or a description of the value."""
    try:
        number = _to_number(value)
    except Exception:
        number = None
    if number is not None and math.isfinite(number):
        return number
    return f"{_shown(value)} ({type(value).__name__})"[:500]


def _to_number(value: Any) -> float | None:
    """Return the number that a value is: plain, or a scalar, array or tensor that holds one; None for anything else."""
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
    """Return a value in one line, cut if long."""
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


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def used() -> Outcome:
    """Return the resources used by this process and the children that it waited for."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "processor_seconds": round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 3),
        "memory_bytes": max(_peak() or own.ru_maxrss * unit, children.ru_maxrss * unit),
    }


def _peak() -> int | None:
    """Return the peak memory of this process in bytes, or None without /proc.

    `getrusage` starts from the memory of the process that started this one.
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
    # The folder of the objective comes first, as if it were the program's; that of this file must not be searched.
    if sys.path[:1] == [os.path.dirname(os.path.abspath(__file__))]:  # noqa: PTH100, PTH120 - an import less
        del sys.path[0]
    sys.path.insert(0, request["folder"])
    sys.path.append(request["examples"])
    called = request["python"], request["args"], request["keywords"]
    file = {name: request[name] for name in ("file", "sha256") if name in request}
    if request.get("check"):
        outcome = check_function(*called, **file)
    else:
        outcome = call_function(*called, request["wants_value"], **file)
    if os.getpid() != ours:
        os._exit(0)  # a fork of the objective that has come back to here: its parent is the trial
    # On a line of its own, whatever the objective has written before.
    _write(pipe, b"\n" + json.dumps({"token": request["token"], **outcome, **used()}).encode() + b"\n")


if __name__ == "__main__":
    _main()
