"""The program `bayesopt`: what it says to an old Python, how it ends where it is interrupted, and its old name."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from kfp_bayesopt import __version__, hints
from kfp_bayesopt.cli.commands.about_commands import version
from kfp_bayesopt.cli.renamed import GONE_IN
from tests import ROOT
from tests.builders import write_study

BAYESOPT = str(Path(sys.executable).with_name("bayesopt"))
MOST_SECONDS = 60.0
PACKAGE = ROOT / "images" / "common" / "kfp_bayesopt"


# --- an old Python ------------------------------------------------------------------------------


def test_an_old_python_is_refused_in_one_sentence() -> None:
    program = """if True:
        import sys
        sys.version_info, sys.version = (3, 10, 4, "final", 0), "3.10.4 (main)"
        before = set(sys.modules)
        try:
            import kfp_bayesopt.cli.main
        finally:
            print(*sorted(sys.modules.keys() - before))
    """
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == f"Error: kfp-bayesopt needs Python 3.11 or newer, but {sys.executable} is 3.10.4\n"
    assert "click" not in ended.stdout.split()


def test_an_old_python_can_read_what_refuses_it() -> None:
    for file in (PACKAGE / "__init__.py", PACKAGE / "cli" / "__init__.py", PACKAGE / "cli" / "main.py"):
        ast.parse(file.read_text(), feature_version=(3, 8))


# --- interruptions ------------------------------------------------------------------------------


@contextlib.contextmanager
def a_reader_that_has_enough() -> Iterator[int]:
    """Yield the end of a pipe that nobody reads any more."""
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        yield theirs
    finally:
        os.close(theirs)


@pytest.mark.parametrize(
    "words", [["--help"], ["studies"], ["run", "--help"], ["version"], ["run", "study.yaml"]], ids=" ".join
)
def test_a_reader_that_has_enough_is_no_fault(words: list[str], tmp_path: Path) -> None:
    write_study(tmp_path, "def objective(**_):\n    return 1.0\n", iterations=1, optimizer={"engine": "random"})
    with a_reader_that_has_enough() as pipe:
        ended = subprocess.run(
            [BAYESOPT, *words], cwd=tmp_path, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize(
    "words", [["--help"], ["studies"], ["run", "study.yaml"], ["run", "study.yaml", "--json"]], ids=" ".join
)
def test_output_that_cannot_be_written_is_said_in_a_line(words: list[str], tmp_path: Path) -> None:
    write_study(tmp_path, "def objective(**_):\n    return 1.0\n", iterations=1, optimizer={"engine": "random"})
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [BAYESOPT, *words], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    said = "Error: standard output: No space left on device; check where it goes\n"
    assert (ended.returncode, ended.stderr) == (1, said)


def test_ctrl_c_ends_a_command_without_a_traceback(tmp_path: Path) -> None:
    code = "import pathlib, time\n\ndef objective(**_):\n    pathlib.Path('begun').touch()\n    time.sleep(60)\n"
    write_study(tmp_path, code)
    command = [BAYESOPT, "check", "study.yaml"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    end = time.monotonic() + MOST_SECONDS
    while not (tmp_path / "begun").exists() and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=MOST_SECONDS)
    assert (process.returncode, said.strip()) == (130, "")


@pytest.mark.parametrize("fault", ["KeyboardInterrupt", "ValueError"])
def test_ctrl_c_is_no_fault_while_the_program_starts(fault: str) -> None:
    program = f"import kfp_bayesopt.cli.main; raise {fault}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == (-signal.SIGINT if fault == "KeyboardInterrupt" else 1)
    assert ("Traceback" in ended.stderr) == (fault == "ValueError")


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "known", "said"),
    [
        ([BAYESOPT], None, "run my-study"),
        ([BAYESOPT], "make", "make run STUDY=my-study"),
        ([sys.executable, "-m", "pipeline"], None, "make run STUDY=my-study"),
        ([sys.executable, "-m", "pipeline"], "command", "bayesopt run my-study"),
    ],
    ids=["bayesopt", "bayesopt of make", "the old name", "the old name with a door"],
)
def test_a_program_has_the_words_of_its_door(
    command: list[str], known: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(hints.VARIABLE)
    if known:
        monkeypatch.setenv(hints.VARIABLE, known)
    made = [*command, "new", "my-study", "--into", str(tmp_path)]
    ended = subprocess.run(made, cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.replace("my-study", str(tmp_path / "my-study")) in ended.stdout
    assert ended.stderr == ""


def test_the_old_name_is_said_on_a_terminal_alone() -> None:
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != hints.VARIABLE}
    command = [sys.executable, "-m", "pipeline", "--version"]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs, env=environment, check=True)
    os.close(theirs)
    said = os.read(ours, 1000).decode().replace("\r\n", "\n")
    os.close(ours)
    assert said == f"python -m pipeline is now called bayesopt; the old name goes in {GONE_IN}\n"


def test_the_version_is_of_all_that_decides_what_is_suggested() -> None:
    found = json.loads(CliRunner().invoke(version, ["--json"]).output)
    assert found["kfp-bayesopt"] == __version__
    assert {"python", "numpy", "scipy", "scikit-learn", "scikit-optimize", "blas"} <= found.keys()
    assert found["interpreter"] == sys.executable
    assert Path(found["installed_in"], "kfp_bayesopt").is_dir()
    lines = CliRunner().invoke(version).output.splitlines()
    assert [line.split()[-1] for line in lines[:3]] == list(found.values())[:3]
