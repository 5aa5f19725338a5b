"""The names of files and objects below a folder."""

from __future__ import annotations

import re

LONGEST_NAME = 1000
"""The longest name of an object, in bytes; a bucket allows 1,024 including all before it."""


def problem_with_name(name: str) -> str | None:
    """Return the reason a name is not that of a file below a folder; None if it is."""
    if not {"", ".", ".."}.isdisjoint(name.split("/")) or "\\" in name or "\0" in name:
        return "a name of a file below a folder has no empty part, no '.' and '..', no backslash and no NUL"
    return None


def can_be_object(name: str) -> bool:
    """Tell whether an object of a bucket can have a name, so that others can read it too."""
    return re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", name) is None and len(name.encode()) <= LONGEST_NAME
