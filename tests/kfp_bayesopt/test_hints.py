"""The ways out that messages name have words for every door, and no message has the words of one door alone."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kfp_bayesopt import hints
from kfp_bayesopt.cli.main import cli
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.hints import DOORS, Hint
from kfp_bayesopt.steps.command import Command, Group
from kfp_bayesopt.trial.process.interpreters import environment_of
from tests import ROOT, makefile

HINTS = {name: hint for name, hint in vars(hints).items() if isinstance(hint, Hint)}
PACKAGES = (ROOT / "images" / "common" / "kfp_bayesopt", ROOT / "pipeline" / "kfp_bayesopt_pipeline")
WORDS_OF_MAKE = re.compile(r"\b[A-Z]{2,}(_[A-Z]+)*=|`?\bmake [a-z-]+( [A-Z]+=|`)|^make [a-z-]+$")
GENERATED = {
    "kfp_bayesopt/cli/reference.py",
    "kfp_bayesopt_pipeline/building/cloud.py",
    "kfp_bayesopt_pipeline/building/dockerfile.py",
    "kfp_bayesopt_pipeline/cloudbuild.py",
    "kfp_bayesopt_pipeline/places/compose.py",
}
"""What writes files, which say how they are written again."""
OTHERS = {"KEY=", "NAME=", "VERSION="}
"""Any key, any variable, an argument of Docker."""


def options_of(command: click.Command) -> set[str]:
    """Return the long options of a command, and of those below it."""
    below = command.commands.values() if isinstance(command, click.Group) else ()
    own = {name for each in command.params for name in each.opts}
    return own.union(*map(options_of, below))


def texts(path: Path) -> Iterator[str]:
    """Yield the texts of a file of code, those of an f-string one by one, without docstrings."""
    tree = ast.parse(path.read_text())
    documented = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    for each in ast.walk(tree):
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and id(each) not in documented:
            yield each.value


@pytest.mark.parametrize("name", HINTS)
def test_a_hint_has_words_for_every_door_with_the_same_values(name: str) -> None:
    words = [getattr(HINTS[name], door) for door in DOORS]
    assert all(words)
    values = sorted((set(re.findall(r"\{(\w+)", each)) for each in words), key=len)
    assert all(fewer <= more for fewer, more in itertools.pairwise(values))


@pytest.mark.parametrize("name", HINTS)
def test_the_makefile_knows_the_words_of_make(name: str) -> None:
    words = HINTS[name].make
    for variable in re.findall(r"\b([A-Z][A-Z_]+)=", words):
        assert variable in makefile.variables()
    for target in re.findall(r"\bmake ([a-z-]+)", words):
        assert target in makefile.targets()


@pytest.mark.parametrize("name", HINTS)
def test_the_command_line_knows_the_words_of_commands(name: str) -> None:
    for words in (HINTS[name].command, HINTS[name].python):
        command = re.match(r"bayesopt ([a-z-]+)", words)
        known = options_of(cli.commands[command[1]] if command else cli)
        assert {*re.findall(r"--[a-z-]+", words)} <= known


def test_no_message_has_the_words_of_make_but_by_a_hint() -> None:
    found = []
    for package in PACKAGES:
        for path in sorted(package.rglob("*.py")):
            file = f"{package.name}/{path.relative_to(package)}"
            if file not in {"kfp_bayesopt/hints.py", *GENERATED}:
                found += [
                    f"{file}: {text}"
                    for text in texts(path)
                    for match in WORDS_OF_MAKE.finditer(text)
                    if match[0] not in OTHERS
                ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "is_of_make"),
    [("say FRESH=1 now", True), ("`make verify`", True), ("give TO=", True), ("to make sure", False), ("a=1", False)],
)
def test_words_of_make_are_found(text: str, is_of_make: bool) -> None:
    assert bool(WORDS_OF_MAKE.search(text)) is is_of_make


@pytest.mark.parametrize(
    ("door", "said"),
    [
        ("make", "FRESH=1, ENDED=a-1, make cancel TARGET=kfp JOB=x y"),
        ("command", "--fresh, --ended a-1, bayesopt cancel x --target kfp y"),
        ("python", "fresh=True, ended='a-1', bayesopt cancel x --target kfp y"),
        (None, "fresh=True, ended='a-1', bayesopt cancel x --target kfp y"),
    ],
)
def test_a_message_has_the_words_of_the_door(monkeypatch: pytest.MonkeyPatch, door: str | None, said: str) -> None:
    monkeypatch.delenv(hints.VARIABLE)
    if door:
        monkeypatch.setenv(hints.VARIABLE, door)
    cancel = hints.CANCEL(target="kfp", job="x").within("", " y")
    assert UserError(f"{hints.FRESH}, {hints.ENDED(job='a-1')}, {cancel}").message == said


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("below", [[], ["wrong"]])
def test_a_command_has_the_words_of_commands_unless_another_door_is_known(
    monkeypatch: pytest.MonkeyPatch, door: str, below: list[str]
) -> None:
    def wrong() -> None:
        raise UserError(f"start again with {hints.FRESH}")

    program: click.Command = (
        Group(commands=[Command("wrong", callback=wrong)]) if below else Command(None, callback=wrong)
    )
    monkeypatch.setenv(hints.VARIABLE, door)
    said = CliRunner().invoke(program, below)
    assert (said.exit_code, said.stderr) == (1, f"Error: start again with {getattr(hints.FRESH, door)}\n")
    for unknown in ("", "window"):
        monkeypatch.setenv(hints.VARIABLE, unknown)
        assert CliRunner().invoke(program, below).stderr == f"Error: start again with {hints.FRESH.command}\n"
    monkeypatch.delenv(hints.VARIABLE)
    assert CliRunner().invoke(program, below).stderr == f"Error: start again with {hints.FRESH.command}\n"


def test_an_objective_does_not_see_the_door() -> None:
    assert environment_of({hints.VARIABLE: "make", "MINE": "1"}) == {"MINE": "1"}
