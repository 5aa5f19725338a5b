"""What a function takes along, for whoever wants to see it before it travels."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from kfp_bayesopt.function.taking import dump, take_walked, walk_over
from kfp_bayesopt.function.walk import size_text

_COPY = (
    "A variable that is changed afterwards changes no trial: what counts is the copy that is taken when the study is "
    "made."
)


@dataclass(frozen=True)
class Item:
    """A part of what a function takes along.

    Attributes:
        name: A name of the notebook or script, or the path to a variable around the function.
        kind: What it is.
        size: Its size in bytes, by itself.
    """

    name: str
    kind: str
    size: int


@dataclass(frozen=True, repr=False)
class Contents:
    """What a function takes along to its trials.

    Attributes:
        name: Its name.
        code: The SHA-256 of its code and of what it refers to; another one is another objective.
        size: The size of its file in bytes.
        items: The function itself, and what it refers to.
        beside: The modules that lie beside the notebook or script: files that count by their content, and stay here.
        packages: The version of each package that it imports, and of those that they need.
        python: The version of Python that it needs.
    """

    name: str
    code: str
    size: int
    items: tuple[Item, ...]
    beside: tuple[str, ...]
    packages: dict[str, str]
    python: str

    def __repr__(self) -> str:
        """Return it as a table and sentences."""
        first = max(len(each.name) for each in self.items)
        second = max(len(each.kind) for each in self.items)
        lines = [f"{self.name}: {size_text(self.size)} for Python {self.python}, code {self.code[:12]}"]
        lines += [f"  {each.name:<{first}}  {each.kind:<{second}}  {size_text(each.size):>10}" for each in self.items]
        if self.beside:
            lines.append(_wrapped(f"Modules beside it, for trials on this machine: {', '.join(self.beside)}"))
        packages = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        return "\n".join([*lines, _wrapped(f"Packages: {packages}"), _wrapped(_COPY)])


def travels(function: Callable[..., Any]) -> Contents:
    """Say what a function takes along to its trials: the variables, helpers and classes that it refers to.

    Nothing is run, written or sent.

    Args:
        function: The function, or whatever else can be called, such as a method of an object.

    Returns:
        What is in it, as a table where it is shown.

    Raises:
        UserError: It cannot travel. The message names all that cannot, such as an open socket, where it is, and what to
            do instead.
    """
    found = walk_over(function)
    file = take_walked(function, found)
    header = file.header("objective")
    named = {header.name: function, **dict(sorted(found.names.items())), **found.captured}
    return Contents(
        name=header.name,
        code=header.code,
        size=len(file.content),
        items=tuple(Item(name, _kind(each), len(dump(each, name))) for name, each in named.items()),
        beside=tuple(header.beside),
        packages=header.packages,
        python=header.python,
    )


def _kind(value: Any) -> str:
    """Return what a value is, in some words."""
    if isinstance(value, type):
        return "class"
    if isinstance(value, ModuleType):
        return f"module {value.__name__}"
    if type(value) in (type(None), bool, int, float):
        return repr(value)
    if hasattr(value, "__wrapped__"):  # also where Python keeps what it returned
        return "function"
    name = type(value).__name__
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"{name} of {' x '.join(map(str, shape)) or '1'}"
    if isinstance(value, list | tuple | dict | set | frozenset | str | bytes):
        return f"{name} of {len(value):,}"
    return name


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 100, subsequent_indent="  "))
