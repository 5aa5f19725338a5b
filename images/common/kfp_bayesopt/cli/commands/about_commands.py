"""The commands about the program itself: completion, version."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.steps.command import Command
from kfp_bayesopt.version import __version__

SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def completion(shell: str | None) -> None:
    """Print the script that completes commands in a shell.

    SHELL is bash, zsh or fish; by default that of the environment variable SHELL.

    \b
    Example:
      bayesopt completion bash >> ~/.bashrc
    """  # noqa: D301 - click wants the character \b
    from click.shell_completion import get_completion_class

    name = shell or Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise UserError(f"no completion for the shell {name!r}; name one: {', '.join(SHELLS)}")
    script = get_completion_class(name)
    assert script is not None
    group = click.get_current_context().find_root().command
    click.echo(script(group, {}, "bayesopt", "_BAYESOPT_COMPLETE").source())


@click.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def version(as_json: bool) -> None:
    """Show the versions that decide what is suggested.

    Those are ours, Python's and those of packages; also where all of it is installed.

    \b
    Example:
      bayesopt version --json
    """  # noqa: D301 - click wants the character \b
    from importlib.metadata import version as version_of

    from kfp_bayesopt.proposing.batches import versions
    from kfp_bayesopt.proposing.state import PACKAGES

    python = ".".join(map(str, sys.version_info[:3]))
    kernels = {name: each for name, each in versions().items() if name == "blas"}
    found = {
        "kfp-bayesopt": __version__,
        "python": python,
        **{name: version_of(name) for name in PACKAGES},
        **kernels,
        "installed in": str(Path(__file__).resolve().parents[3]),
        "interpreter": sys.executable,
    }
    if as_json:
        click.echo(json.dumps({name.replace(" ", "_"): each for name, each in found.items()}))
        return
    width = max(map(len, found))
    for name, each in found.items():
        click.echo(f"{name:{width}}  {each}")
