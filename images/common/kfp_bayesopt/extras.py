"""The packages that only some uses need, which the extras of the distribution bring, and those that are too old."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.runtime import is_image

NAME = "kfp-bayesopt"
"""The distribution."""

Extra = Literal["gcs", "s3", "kfp", "vertex", "mlflow", "parquet", "optuna"]
"""The extras, by use; pyproject.toml has the packages of each."""
LAYER: Extra = "s3"
"""The extra that images have where a study folder needs it: a stage of each Dockerfile, and the end of their tag."""


@contextlib.contextmanager
def needed_by(what: str, extra: Extra) -> Iterator[None]:
    """Import packages of an extra within this block, and refuse what needs them where they are missing.

    Raises:
        UserError: A package is not installed.
    """
    try:
        yield
    except ImportError as error:
        # Of a namespace such as google.cloud, which other packages fill too, a name is missing, and no module.
        of_namespace = error.name is not None and error.path is None
        is_missing = isinstance(error, ModuleNotFoundError) or of_namespace
        if not is_missing or (error.name or "").startswith("kfp_bayesopt"):
            raise
        if extra == LAYER and is_image():
            made = hints.BUILD_FOR(root=what.replace("…", "BUCKET/PREFIX"))
            raise UserError(f"{what} needs a package that this image lacks: `{made}` makes images with it") from None
        raise UserError(f"{what} needs packages that are not installed: {hints.INSTALL(extra=extra)}") from None


def unmet() -> Iterator[str]:
    """Yield the requirements of the distribution that the environment does not meet, in the words of a message.

    In a checkout there are none: its locks are checked when they are installed.
    """
    from importlib import metadata  # it takes longer than the rest of `--help`

    try:
        asked = metadata.requires(NAME) or []
    except metadata.PackageNotFoundError:
        return
    for line in asked:
        requirement, _, marker = line.partition(";")
        if marker:
            continue
        name, _, least = requirement.partition(">=")
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield f"{NAME} needs {requirement}, which is not installed: pip install {NAME}"
        else:
            if _numbers(found) < _numbers(least):
                yield f'{NAME} needs {requirement}, but {name} {found} is installed: pip install "{requirement}"'


def _numbers(version: str) -> list[int]:
    """Return the numbers that a version begins with."""
    found = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        found.append(int(part))
    return found
