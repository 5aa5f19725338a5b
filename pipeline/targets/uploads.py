"""Puts a study where the steps find it, under a name that its content decides."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bayesopt import storage


def upload_study(study: Path, root: str) -> str:
    """Write a study file under a root by its SHA-256 and return where.

    The same path never has two contents, so that a cache which compares paths is right.
    """
    content = storage.read(str(study))
    uri = f"{root.rstrip('/')}/studies/{hashlib.sha256(content).hexdigest()}.yaml"
    storage.write(uri, content)
    return uri
