"""The file of a function where it is kept: beside a study file, and in a study folder, by its SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from kfp_bayesopt.errors import DamagedError, NotFoundError
from kfp_bayesopt.function.file import SUFFIX, FunctionFile
from kfp_bayesopt.store import storage

MOST_BYTES = 64_000_000
"""The largest file of a function."""


def function_uri(root: str, sha256: str) -> str:
    """Return the URI of the file of a function in a study folder."""
    return f"{root}/code/{sha256}{SUFFIX}"


def find_function(uris: Iterable[str], name: str, sha256: str) -> FunctionFile:
    """Read the file of a function from the first place that has it; nothing in it is loaded.

    Args:
        uris: Where it may be.
        name: Its name, for messages.
        sha256: The SHA-256 that the study file names.

    Raises:
        NotFoundError: It is at none of them.
        DamagedError: It is another one.
    """
    missing = []
    for uri in uris:
        try:
            content = storage.read(uri, limit=MOST_BYTES)
        except NotFoundError:
            missing.append(uri)
            continue
        if (found := hashlib.sha256(content).hexdigest()) != sha256:
            raise DamagedError(
                f"{uri}: is not the function of the study: its SHA-256 is {found[:12]}…, and the study file names "
                f"{sha256[:12]}…; restore it from a copy, or tune the function again"
            )
        return FunctionFile(content)
    raise NotFoundError(
        f"objective.function: the file of {name} is neither {' nor '.join(missing)}; `Study.save` writes it beside the "
        "study file"
    )
