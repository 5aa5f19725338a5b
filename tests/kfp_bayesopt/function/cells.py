"""A function as it comes out of a cell of a notebook."""

from __future__ import annotations

from typing import Any


def cell(source: str, **names: Any) -> Any:
    """Run the text of a cell in a notebook of its own, in which names are defined, and return its `train`."""
    scope = {"__name__": "__main__", **names}
    exec(compile(source, "<cell>", "exec", dont_inherit=True), scope)
    return scope["train"]
