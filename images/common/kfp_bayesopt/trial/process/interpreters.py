"""Chooses the Python that calls a function of an objective: the person's, not ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from kfp_bayesopt import hints
from kfp_bayesopt.private import without_private
from kfp_bayesopt.runtime import is_image
from kfp_bayesopt.store import storage

KEPT = "BAYESOPT_KEPT_"
"""Prefix of the variables that the start of a program in an image takes away from our process."""


def environment_of(ours: Mapping[str, str]) -> dict[str, str]:
    """Return the environment as the person made it for their code.

    It has the variables that the start of our program has put away, and lacks what is of our process alone.
    """
    shared = without_private(ours)
    given = {name: value for name, value in shared.items() if not name.startswith(KEPT) and name != hints.VARIABLE}
    return given | {name.removeprefix(KEPT): value for name, value in shared.items() if name.startswith(KEPT)}


def code_folder(root: str, study_uri: str) -> Path:
    """Return the objective's folder: that of the person's study file; in an image, the working folder."""
    is_persons = storage.is_local(study_uri) and not study_uri.startswith(f"{root}/study/")
    return Path(study_uri).resolve().parent if is_persons and not is_image() else Path.cwd()


def python_of(environment: Mapping[str, str]) -> str | None:
    """Return the person's Python, by the environment of the objective, or None if there is none.

    In an image it is `python` or `python3` on its PATH. On a person's machine it is the one that runs us, if they came
    in by Python; else that of the active virtual environment, or of conda's other than its base.
    """
    if is_image():
        path = environment.get("PATH", os.defpath)
        return shutil.which("python", path=path) or shutil.which("python3", path=path)
    if hints.door() == "python":
        return sys.executable
    active = [environment.get("VIRTUAL_ENV")]
    if environment.get("CONDA_DEFAULT_ENV") != "base":
        active.append(environment.get("CONDA_PREFIX"))
    found = (Path(folder) / "bin" / "python" for folder in active if folder)
    return next((str(python) for python in found if os.access(python, os.X_OK)), sys.executable)


def is_too_old(python: str) -> bool:
    """Tell whether a Python is too old for the program that calls functions."""
    code = "import sys; print(sys.version_info < (3, 8))"
    try:
        ended = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.stdout.strip() == "True"
