"""The programs that people and services call: how they end where a person has made a mistake."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError


class Command(click.Command):
    """A command that prints the message of a mistake, without a traceback, and exits with its status."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run as a program."""
        return _run(super().main, arguments, options)


class Group(click.Group):
    """A command with others below it, each of which ends like a `Command`."""

    command_class = Command

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run as a program."""
        return _run(super().main, arguments, options)


def _run(program: Callable[..., Any], arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    """Run a program; a person came in by the command line, unless it is known that they came by another door."""
    hints.comes_by("command")
    try:
        return program(*arguments, **options)
    except UserError as error:
        if not options.get("standalone_mode", True):
            raise
        error.show()
        sys.exit(error.exit_code)
