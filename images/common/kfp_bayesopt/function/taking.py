"""Takes a function as a file, and says what is in it."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.function.classes import dumped
from kfp_bayesopt.function.file import MOST_BYTES, FunctionFile, Header
from kfp_bayesopt.function.packages import packages_of
from kfp_bayesopt.function.walk import Walk, size_text, walk

_CALLED = "a trial calls the function and takes what it returns"


def take(function: Callable[..., Any]) -> FunctionFile:
    """Return a function as a file, with what it refers to.

    Raises:
        UserError: It cannot travel; the message names what in it cannot, and the way out.
    """
    return take_walked(function, walk_over(function))


def walk_over(function: Callable[..., Any]) -> Walk:
    """Return what a walk over a function finds.

    Raises:
        UserError: It cannot travel; the message names all that cannot, and the way out of each.
    """
    name = name_of(function)
    try:
        found = walk(function, name)
    except RecursionError:
        raise UserError(
            f"objective: {name} cannot be taken along: what it refers to is nested too deeply; make it inside of the "
            "function"
        ) from None
    if (problem := _calling_problem(function)) is not None:
        found.problems[name] = problem
    if found.problems:
        lines = [f"{path}: {problem}" for path, problem in found.problems.items()]
        shown = f" {lines[0]}" if len(lines) == 1 else "".join(f"\n- {line}" for line in lines)
        raise UserError(f"objective: {name} cannot be taken along:{shown}")
    return found


def take_walked(function: Callable[..., Any], found: Walk) -> FunctionFile:
    """Return a function as a file, after the walk over it."""
    import dill  # takes a while

    name = name_of(function)
    content = dump((function, found.names), name)
    if len(content) > MOST_BYTES:
        raise UserError(
            f"objective: {name} cannot be taken along: it has {size_text(len(content))}, and at most "
            f"{size_text(MOST_BYTES)} are; see kfp_bayesopt.travels({name})"
        )
    header = Header(
        name=name,
        code=found.code,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        implementation=sys.implementation.name,
        byte_order=sys.byteorder,
        dill=dill.__version__,
        packages=packages_of(found.modules.imported),
        beside=dict(found.modules.code),
        folders=[str(folder) for folder in found.modules.folders],
    )
    return FunctionFile.of(header, content)


def dump(value: Any, name: str) -> bytes:
    """Return what dill writes of a value.

    Raises:
        UserError: It writes nothing of it.
    """
    try:
        return dumped(value)
    except Exception as error:
        raise UserError(
            f"objective: {name} cannot be taken along: {type(error).__name__}: {error}; make what it names inside of "
            "the function, or put the function into a module beside the notebook: objective.python: module:function"
        ) from None


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function, as letters, digits and underscores."""
    if isinstance(function, functools.partial):
        return name_of(function.func)
    found = getattr(function, "__name__", None) or type(function).__name__
    name = "".join(each if each.isalnum() and each.isascii() else "_" for each in found).strip("_")
    return f"_{name}" if name[:1].isdigit() else name or "function"


def _calling_problem(function: Any) -> str | None:
    """Return the reason a call gives no value, and the way out; None if nothing is known against it."""
    while isinstance(function, functools.partial):
        function = function.func
    called = function
    if not isinstance(function, type | FunctionType) and not inspect.isroutine(function):
        called = type(function).__call__
    if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
        return f"an async function, and {_CALLED}; call it with asyncio.run in a plain function"
    if inspect.isgeneratorfunction(called):
        return f"a generator function, and {_CALLED}; return the value, and report others as intermediate ones"
    if isinstance(function, type):
        return f"a class, and {_CALLED}; give a function, or an object of it that can be called"
    return None
