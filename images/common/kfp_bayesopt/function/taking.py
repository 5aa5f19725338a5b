"""Takes a function as a file."""

from __future__ import annotations

import dis
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.function.file import FunctionFile, Header

MAIN = "__main__"


def take(function: Callable[..., Any]) -> FunctionFile:
    """Return a function as a file, with what it refers to.

    Raises:
        UserError: It cannot travel; the message names what in it cannot, and the way out.
    """
    import dill  # takes a while

    names = _names(function)
    try:
        dumped = dill.dumps((function, names), byref=False, recurse=False)
    except Exception as error:
        raise UserError(f"objective: cannot take {function!r} along: {error}") from None
    header = Header(
        name=name_of(function),
        code=_code(function, names),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        implementation=sys.implementation.name,
        byte_order=sys.byteorder,
        dill=dill.__version__,
    )
    return FunctionFile.of(header, dumped)


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function, as letters, digits and underscores."""
    found = getattr(function, "__name__", None) or type(function).__name__
    return "".join(each if each.isalnum() and each.isascii() else "_" for each in found).strip("_") or "function"


def _names(function: Any) -> dict[str, Any]:
    """Return the names of the notebook or script that a function refers to, and what they refer to."""
    found: dict[str, Any] = {}
    ahead = [function]
    while ahead:
        for each in _functions_of(ahead.pop()):
            for name in _globals_of(each.__code__):
                if name in each.__globals__ and name not in found:
                    found[name] = each.__globals__[name]
                    ahead.append(found[name])
    return found


def _functions_of(value: Any) -> Iterator[FunctionType]:
    """Yield the functions of a notebook or script that a value is made of."""
    if isinstance(value, FunctionType):
        if value.__module__ == MAIN:
            yield value
        for cell in value.__closure__ or ():
            yield from _functions_of(cell.cell_contents)
    elif isinstance(value, type) and value.__module__ == MAIN:
        for each in [*vars(value).values(), *value.__bases__]:
            yield from _functions_of(getattr(each, "__func__", each))


def _globals_of(code: CodeType) -> Iterator[str]:
    for each in dis.get_instructions(code):
        if each.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield each.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals_of(constant)


def _code(function: Any, names: dict[str, Any]) -> str:
    said = [_said(getattr(each, "__code__", each)) for each in [function, *(names[name] for name in sorted(names))]]
    return hashlib.sha256(json.dumps([sorted(names), said]).encode()).hexdigest()


def _said(value: Any) -> Any:
    if isinstance(value, CodeType):
        return [value.co_code.hex(), [_said(each) for each in value.co_consts], value.co_names, value.co_varnames]
    return repr(value) if isinstance(value, int | float | str | bytes | bool | None) else str(type(value))
