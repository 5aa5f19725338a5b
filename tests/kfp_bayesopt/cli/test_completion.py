"""Completion: the script that click makes, in a real bash; and what a word may become."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from kfp_bayesopt.cli.commands.about_commands import SHELLS, completion
from kfp_bayesopt.cli.main import COMMANDS, RENAMED, cli

BAYESOPT = Path(sys.executable).with_name("bayesopt")
MOST_SECONDS = 60.0


@contextlib.contextmanager
def a_bash(folder: Path) -> Iterator[int]:
    """Start bash on a terminal of its own, with the completion script; yield the terminal."""
    (folder / "bashrc").write_text(
        f'PATH={BAYESOPT.parent}:$PATH; PS1="READY "; source <(bayesopt completion bash)\n'
        "bind 'set show-all-if-ambiguous on'; bind 'set enable-bracketed-paste off'\n"
    )
    ours, theirs = pty.openpty()
    command = ["bash", "--noprofile", "--rcfile", str(folder / "bashrc"), "-i"]
    environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(folder)}
    bash = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        yield ours
    finally:
        bash.kill()
        bash.wait()
        os.close(ours)


def shown(terminal: int, until: str) -> str:
    """Return what a terminal shows until a text is there."""
    text, end = "", time.monotonic() + MOST_SECONDS
    while until not in text:
        assert time.monotonic() < end, text
        if select.select([terminal], [], [], 1.0)[0]:
            text += os.read(terminal, 4096).decode(errors="replace")
    return text


def test_bash_completes_commands_targets_and_files(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "study.yaml").write_text("")
    with a_bash(tmp_path) as terminal:
        shown(terminal, "READY ")
        os.write(terminal, b"bayesopt st\t")
        assert "status" in shown(terminal, "studies")
        os.write(terminal, b"atus --target k\t")
        shown(terminal, "--target kfp ")
        os.write(terminal, b"--out mi\t")
        shown(terminal, "--out mine/")
        os.write(terminal, b"\x15bayesopt run mine/st\t")
        shown(terminal, "run mine/study.yaml ")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_its_script(shell: str) -> None:
    for words, environment in (([shell], {}), ([], {"SHELL": f"/usr/bin/{shell}"})):
        ended = CliRunner().invoke(completion, words, env=environment)
        assert ended.exit_code == 0
        assert "_BAYESOPT_COMPLETE" in ended.stdout


def test_a_shell_without_a_script_is_said() -> None:
    ended = CliRunner().invoke(completion, [], env={"SHELL": "/bin/tcsh"})
    assert ended.exit_code == 1
    assert ended.output == "Error: no completion for the shell 'tcsh'; name one: bash, zsh, fish\n"


def _completed(*words: str) -> list[tuple[str, str]]:
    *before, incomplete = words
    found = ShellComplete(cli, {}, "bayesopt", "_BAYESOPT_COMPLETE").get_completions(before, incomplete)
    return [(each.type, each.value) for each in found]


def test_a_word_becomes_what_people_type() -> None:
    names = [name for _, name in _completed("")]
    assert names == [name for name, each in COMMANDS.items() if each.section]
    assert not set(names) & set(RENAMED)
    assert _completed("export", "--format", "") == [("plain", name) for name in ("csv", "parquet", "optuna")]
    assert ("plain", "--target") in _completed("submit", "--t")


LOOKED_FOR = [
    name
    for name, command in cli.commands.items()
    for parameter in command.params
    if parameter.param_type_name == "argument" and parameter.name in ("study", "path")
]
"""The commands that take a study."""


@pytest.mark.parametrize("name", LOOKED_FOR)
def test_every_study_is_completed_to_files_and_folders(name: str) -> None:
    assert _completed(name, "my") == [("file", "my")]
