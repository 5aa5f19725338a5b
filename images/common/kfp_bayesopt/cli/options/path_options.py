"""The types of options that name a folder or a file: anywhere, or on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.store import storage


def folder(value: str) -> str:
    """Return a folder of this machine or gs://BUCKET/PREFIX that a person names.

    As the type of an option it refuses anything else before a command has written anything.

    Raises:
        UserError: It is in another kind of storage.
    """
    return storage.given(value)


def path(value: str | Path) -> Path:
    """Return a path of this machine that a person names; also the type of an option.

    Raises:
        UserError: It is somewhere else.
    """
    if not storage.is_local(str(value)):
        raise UserError(f"{value}: must be a path of this machine, not of a bucket")
    return Path(storage.given(str(value)))


def with_root(
    default: str = "by the study, below PIPELINE_ROOT, else out/NAME", here: bool = True, bucket: bool = True
) -> Callable[..., Any]:
    """Give a command the option for the study folder: --root and --out are the same in every command.

    Args:
        default: The folder if none is given.
        here: It may be on this machine.
        bucket: It may be in a bucket; a command that writes through containers gets a `Path` instead.
    """
    where = " or ".join(["here"] * here + ["gs://BUCKET/PREFIX"] * bucket)
    return click.option(
        *("--root", "--out", "root"),
        type=folder if bucket else path,
        metavar="FOLDER",
        help=f"Study folder, {where}.  [default: {default}]",
    )
