"""The programs that people and services call: how they end where a person has made a mistake."""

from __future__ import annotations

import os
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
    except OSError as error:
        if not _was_printing(error):
            raise
        UserError(f"standard output: {error.strerror}; check where it goes").show()
        os.close(sys.stdout.fileno())  # else what could not be written is tried again at the end
        sys.exit(1)


def _was_printing(error: OSError) -> bool:
    """Tell whether an error is of standard output, such as that of a full disk."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code is click.echo.__code__
