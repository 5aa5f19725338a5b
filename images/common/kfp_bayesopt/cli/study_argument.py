"""The argument STUDY of every command: a study file, or the folder of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kfp_bayesopt.store import storage

STUDY_FILE = "study.yaml"


def study_path(given: str) -> str:
    """Return the path of the study file that a person means."""
    is_folder = storage.is_local(given) and Path(given).is_dir()
    return str(Path(given) / STUDY_FILE) if is_folder else given


def _parse(_context: click.Context, _parameter: click.Parameter, given: str | None) -> str | None:
    return given if given is None else study_path(given)


def with_study(required: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the argument STUDY."""
    return click.argument("study", required=required, callback=_parse)
