"""The runtime of images: where it is in them, and whether this is one."""

from __future__ import annotations

from pathlib import Path

RUNTIME = "/opt/bayesopt"
"""The folder of our programs, our packages and a Python of their own."""
BIN = f"{RUNTIME}/bin"
"""Its programs: the step, `executor`, which reports the step's outputs to KFP, and `copy`."""


def is_image() -> bool:
    """Tell whether this is the runtime of an image."""
    return Path(__file__).is_relative_to(RUNTIME)
