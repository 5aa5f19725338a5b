"""How classes and types of a notebook or script that dill leaves out, or takes in part, are made again when loaded.

Nothing but the standard library is called there. What refers to the class itself, by `super()`, is set afterwards.
"""

from __future__ import annotations

import enum
import io
import operator
import threading
import types
import typing
import warnings
from collections import namedtuple
from collections.abc import Mapping
from functools import partial
from types import FunctionType
from typing import Any

from kfp_bayesopt.function.codes import MAIN

_LOCK = type(threading.RLock())
_OF_MAIN = None, {"__module__": MAIN}
"""Attributes that are set afterwards."""


class OwnNewError(Exception):
    """An enum makes its members itself."""


def dumped(value: Any) -> bytes:
    """Return what dill writes of a value, with classes of a notebook or script whole.

    Raises:
        Exception: It cannot write something in it.
    """
    import dill  # takes a while

    class Pickler(dill.Pickler):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:
            return _reduced(value)

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error", dill.PicklingWarning)  # of what would not be found where it is loaded
        Pickler(file, byref=False, recurse=False).dump(value)
    return file.getvalue()


def _reduced(value: Any) -> Any:
    """Return how a class is made again, as `__reduce_ex__` does; NotImplemented if dill does it."""
    if isinstance(value, _LOCK):  # in 3.11 each cached_property has one, and dill makes one of it that nobody can take
        return threading.RLock, ()
    if getattr(value, "__module__", None) != MAIN:
        return NotImplemented
    if isinstance(value, typing.TypeVar):
        given: dict[str, Any] = {
            "bound": value.__bound__,
            "covariant": value.__covariant__,
            "contravariant": value.__contravariant__,
        }
        return partial(typing.TypeVar, value.__name__, *value.__constraints__, **given), (), _OF_MAIN
    if isinstance(value, typing.NewType):
        return typing.NewType, (value.__name__, value.__supertype__), _OF_MAIN
    if not isinstance(value, type):
        return NotImplemented
    if isinstance(value, enum.EnumMeta):
        return _made_again(value, value.__bases__, _of_enum(value))
    if tuple in value.__bases__ and typing.NamedTuple in vars(value).get("__orig_bases__", ()):
        return _made_again(value, vars(value)["__orig_bases__"], _of_named_tuple(value))
    return NotImplemented


def _made_again(value: type, bases: tuple[Any, ...], body: dict[str, Any]) -> Any:
    names = {"__module__": value.__module__, "__qualname__": value.__qualname__, "__doc__": value.__doc__}
    after = {name: each for name, each in body.items() if _refers_to(each, value)}
    first = {name: each for name, each in body.items() if name not in after}
    fill = operator.methodcaller("update", names | first)
    return types.new_class, (value.__name__, bases, {}, fill), (None, after) if after else None


def _of_enum(value: enum.EnumMeta) -> dict[str, Any]:
    if "__new_member__" in vars(value):
        raise OwnNewError(f"the enum {value.__name__} has a __new__ of its own; give it __init__ instead")
    members: Mapping[str, Any] = value.__members__
    own = vars(types.new_class(value.__name__, value.__bases__))  # without members: what every such enum has
    body = {
        name: each
        for name, each in vars(value).items()
        if name not in members and (name not in own or (isinstance(each, FunctionType) and each is not own[name]))
    }
    return body | {name: member.value for name, member in members.items()}


def _of_named_tuple(value: Any) -> dict[str, Any]:
    fields = value._fields
    own = {*vars(namedtuple("_", fields)), "__orig_bases__", "__annotations__", "__annotate_func__"}
    given = vars(value).get("__annotations__") or dict.fromkeys(fields, object)
    body = {name: each for name, each in vars(value).items() if name not in own}
    return {"__annotations__": given, **body, **value._field_defaults}


def _refers_to(each: Any, value: type) -> bool:
    """Tell whether a function has a class in its closure, as one with `super()` has."""
    function = getattr(each, "__func__", each)
    return isinstance(function, FunctionType) and any(
        cell.cell_contents is value for cell in function.__closure__ or ()
    )
