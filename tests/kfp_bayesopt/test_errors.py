"""What a message may bring to a terminal, whoever words it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kfp_bayesopt.errors import NotFoundError, UserError, named
from kfp_bayesopt.steps.command import Command


@pytest.mark.parametrize("kind", [UserError, NotFoundError])
@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a: b\n  c\td", "a: b\n  c\td"),
        ("a\x1b[2J\x1b]0;title\x07: b", "a\\x1b[2J\\x1b]0;title\\x07: b"),
        ("a\rb\x00\u2028\u202e\udcff", "a\\rb\\x00\\u2028\\u202e\\udcff"),
        ("grün, 数, 😀", "grün, 数, 😀"),
        ("a" * 10**6, "a" * 1900 + " ... " + "a" * 90),
        ("a\n" * 1000, "a\n" * 100 + "... (801 lines)\n" + "a\n" * 99),
    ],
)
def test_no_message_steers_the_terminal_or_fills_it(kind: type[UserError], given: str, shown: str) -> None:
    assert kind(given).message == shown

    @click.command(cls=Command)
    def command() -> None:
        raise kind(given)

    ended = CliRunner().invoke(command)
    assert (ended.exit_code, ended.output) == (1, f"Error: {shown}\n")


def test_many_names_are_some_of_them_and_how_many_more_there_are() -> None:
    assert named([]) == "none"
    assert named(["a", "\x1b", "b c"]) == "a, '\\x1b', b c"
    assert named([str(number) for number in range(25)]) == f"{', '.join(map(str, range(20)))}, and 5 more"


def test_a_notebook_shows_the_message_alone(tmp_path: Path) -> None:
    cell = "from kfp_bayesopt import Real; Real(1, 0)"
    ipython = [sys.executable, "-m", "IPython", "--quick", "--no-banner", f"--profile-dir={tmp_path}", "-c", cell]
    ended = subprocess.run(ipython, capture_output=True, text=True, check=False)
    assert ended.stdout == "UserError: Real: low < high must hold, but got low=1.0, high=0.0\n"
