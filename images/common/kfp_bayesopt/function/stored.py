"""The file of a function and the lock of its packages where they are kept: beside a study file, and in a study folder.

Both are found by their SHA-256, which the study file names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from kfp_bayesopt.errors import DamagedError, NotFoundError
from kfp_bayesopt.function.file import MOST_BYTES, SUFFIX, FunctionFile
from kfp_bayesopt.function.lock import SUFFIX as LOCK_SUFFIX
from kfp_bayesopt.function.lock import Lock
from kfp_bayesopt.store import storage

MOST_LOCK_BYTES = 1_000_000


def function_uri(root: str, sha256: str) -> str:
    """Return the URI of the file of a function in a study folder."""
    return f"{root}/code/{sha256}{SUFFIX}"


def lock_uri(root: str, sha256: str) -> str:
    """Return the URI of the lock of a function's packages in a study folder."""
    return f"{root}/code/{sha256}{LOCK_SUFFIX}"


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
    _, content = _find(uris, "the function", f"objective.function: the file of {name}", sha256, MOST_BYTES)
    return FunctionFile(content)


def find_lock(uris: Iterable[str], name: str, sha256: str) -> Lock:
    """Read the lock of a function's packages from the first place that has it.

    Args:
        uris: Where it may be.
        name: The name of the function, for messages.
        sha256: The SHA-256 that the study file names.

    Raises:
        NotFoundError: It is at none of them.
        DamagedError: It is another one, or none.
    """
    whose = f"objective.function.lock: the lock of the packages of {name}"
    uri, content = _find(uris, f"the lock of {name}'s packages", whose, sha256, MOST_LOCK_BYTES)
    return Lock.parse(content, uri)


def _find(uris: Iterable[str], what: str, whose: str, sha256: str, limit: int) -> tuple[str, bytes]:
    missing = []
    for uri in uris:
        try:
            content = storage.read(uri, limit=limit)
        except NotFoundError:
            missing.append(uri)
            continue
        if (found := hashlib.sha256(content).hexdigest()) != sha256:
            raise DamagedError(
                f"{uri}: is not {what} of the study: its SHA-256 is {found[:12]}…, and the study file names "
                f"{sha256[:12]}…; restore it from a copy, or tune the function again"
            )
        return uri, content
    where = f"neither {' nor '.join(missing)}" if len(missing) > 1 else f"not {''.join(missing)}"
    raise NotFoundError(f"{whose} is {where}; `Study.save` writes it beside the study file")
