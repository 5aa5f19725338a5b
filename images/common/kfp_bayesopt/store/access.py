"""Says who may give access where a person has none."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from stat import filemode


def what_denies(path: str) -> str:
    """Name the file or folder that denies access to a path, whose it is and who may do what there.

    It is the first folder on the way that may not be entered, else what is there of the path: itself if it may not be
    read, or the folder in which nothing can be made.
    """
    denying, status = Path(), Path().stat()
    for each in (*reversed(Path(path).parents), Path(path)):
        try:
            found = each.stat()
        except OSError:  # nothing is there, or the folder above may not be entered
            break
        needed = os.R_OK | (os.X_OK if each.is_dir() else 0)
        if each == Path(path) and os.access(each, needed, effective_ids=os.access in os.supports_effective_ids):
            break  # it is its folder that cannot be written
        denying, status = each, found
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = f"user {status.st_uid}"
    what = "it" if str(denying) == path.rstrip("/") else "the working folder" if denying == Path() else str(denying)
    return f"{what} belongs to {owner} ({filemode(status.st_mode)})"
