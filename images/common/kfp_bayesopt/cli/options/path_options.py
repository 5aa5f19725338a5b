"""The types of options that name a folder or a file: anywhere, or on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.store import storage, stores

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let a shell complete a word to files and folders."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


class _Place(click.ParamType):  # type: ignore[type-arg] # older releases have it without
    """A folder or a file that a person names."""

    def __init__(self, name: str, read: Callable[[Any], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return it in our form."""
        return self._read(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Let a shell complete it to files and folders."""
        return files(ctx, param, incomplete)


def _folder(value: str) -> str:
    """Return a folder of this machine or in a bucket that a person names.

    As the type of an option it refuses anything else before a command has written anything.

    Raises:
        UserError: It is in another kind of storage.
    """
    return storage.given(value)


def _path(value: str | Path) -> Path:
    """Return a path of this machine that a person names.

    Raises:
        UserError: It is somewhere else.
    """
    if not storage.is_local(str(value)):
        raise UserError(f"{value}: must be a path of this machine, not of a bucket")
    return Path(storage.given(str(value)))


folder = _Place("folder", _folder)
"""The type of an option for a folder, here or in a bucket."""

path = _Place("path", _path)
"""The type of an option for a file or folder of this machine."""


def with_root(
    default: str = "by the study, below PIPELINE_ROOT, else out/NAME", here: bool = True, bucket: bool = True
) -> Callable[..., Any]:
    """Give a command the option for the study folder: --root and --out are the same in every command.

    Args:
        default: The folder if none is given.
        here: It may be on this machine.
        bucket: It may be in a bucket; a command that writes through containers gets a `Path` instead.
    """
    where = " or ".join(["here"] * here + [stores.ROOT] * bucket)
    return click.option(
        *("--root", "--out", "root"),
        type=folder if bucket else path,
        metavar="FOLDER",
        help=f"Study folder, {where}.  [default: {default}]",
    )
