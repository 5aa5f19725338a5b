"""The code of a function in a form that neither lines, names of files and cells, nor positions in tables change."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

MAIN = "__main__"
"""The notebook or script itself."""
_READS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_WRITES = {"STORE_GLOBAL", "DELETE_GLOBAL"}
_OF_LINES = {"__firstlineno__", "__static_attributes__", "__doc__"}
"""What the body of a class notes of its text."""


def instructions(code: CodeType) -> Iterator[tuple[str, Any, bool]]:
    """Yield the instructions of a code: name, what it is about, and whether that is a constant."""
    every = list(dis.get_instructions(code))
    for each, after in zip(every, [*every[1:], None], strict=True):
        if each.opcode in dis.hasconst:
            of_lines = after is not None and after.opname == "STORE_NAME" and after.argval in _OF_LINES
            yield each.opname, None if of_lines else each.argval, True
        elif each.opcode in dis.hasname or each.opcode in dis.haslocal or each.opcode in dis.hasfree:
            yield each.opname, each.argval, False
        elif after is not None and after.argval == "__firstlineno__":
            yield each.opname, None, False
        else:
            yield each.opname, each.arg, False


@dataclass
class Names:
    """What the code of a function, with all that is inside of it, refers to.

    Attributes:
        read: Names that may be global ones.
        assigned: Names that it assigns by `global`.
        imported: Modules, with a name that is taken from one.
    """

    read: set[str] = field(default_factory=set)
    assigned: set[str] = field(default_factory=set)
    imported: set[str] = field(default_factory=set)


def names_of(code: CodeType) -> Names:
    """Return the names that a code refers to."""
    found = Names()
    ahead = [code]
    while ahead:
        each = ahead.pop()
        ahead += [constant for constant in each.co_consts if isinstance(constant, CodeType)]
        module = None
        own = set()  # of the body of a class
        for instruction in dis.get_instructions(each):
            name = instruction.argval
            if instruction.opname == "STORE_NAME":
                own.add(name)
            elif instruction.opname in _READS and name not in own:
                found.read.add(name)
            elif instruction.opname in _WRITES:
                found.assigned.add(name)
            elif instruction.opname == "IMPORT_NAME":
                module = name
                found.imported.add(name)
            elif instruction.opname == "IMPORT_FROM":
                found.imported.discard(module or "")
                found.imported.add(f"{module}.{name}")
    return found
