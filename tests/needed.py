"""What some tests need of the machine. Without it they are skipped and say so; with CI=true that is a failure."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip a test that this machine cannot run, or fail it where everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true, but {what}")
    pytest.skip(f"NOT RUN: {what}")


def program(*names: str) -> str:
    """Return the path of the first of some programs that is installed."""
    found = next(filter(None, map(shutil.which, names)), None)
    return found or missing(f"{' and '.join(names)} are not installed" if names[1:] else f"{names[0]} is not installed")
