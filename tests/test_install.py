"""How people install the wheel: with pip into an environment of their own, on the newest Python too, and as a tool."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kfp_bayesopt import __version__
from tests.builders import study_text
from tests.installed import BASE, Installed, an_environment
from tests.needed import program

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
CELLS = (
    "from kfp_bayesopt import Integer, Real, tune",
    "def train(lr, layers):\n    import socket\n\n    assert socket.getaddrinfo.__name__ == 'refuse'\n"
    "    return (lr - 0.01) ** 2 + 0.1 * abs(layers - 3)",
    "space = {'lr': Real(1e-4, 1, log=True), 'layers': Integer(1, 8)}\n"
    "print(tune(train, space, trials=4, parallel=4, progress=False).best.value < 1)",
)
NO_NETWORK = """
import socket

def refuse(*_):
    raise OSError("the network was asked for something")

socket.getaddrinfo = socket.socket.connect = socket.socket.connect_ex = refuse
"""
NEWEST = "python:3.13-slim-trixie"


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """Return the versions of the lock as constraints, so that what is published tomorrow changes nothing."""
    path = tmp_path / "constraints.txt"
    path.write_text("".join(f"{line}\n" for line in re.findall(r"(?m)^[\w.-]+==[^\s\\]+", BASE.read_text())))
    return path


def done(command: list[str | Path], cwd: Path, **variables: str) -> str:
    ended = subprocess.run(command, cwd=cwd, env=os.environ | variables, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_two_commands_in_an_empty_folder_end_at_the_value_of_branin(
    wheel: Path, versions: Path, tmp_path: Path
) -> None:
    here = tmp_path / "empty"
    here.mkdir()
    done([sys.executable, "-m", "venv", tmp_path / "environment"], here)
    made = Installed(tmp_path / "environment")
    done([made.folder / "bin" / "pip", "install", "--quiet", "--constraint", versions, wheel], here)
    ran = made.run("bayesopt", "run", "branin", cwd=here)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"\b0\.808\d*", ran.stdout), ran.stdout
    assert [each.name for each in here.iterdir()] == ["out"]


def test_three_cells_after_the_install_tune_a_function_without_a_network(installed: Installed, tmp_path: Path) -> None:
    """The process of the cells and those of the trials have no network; the first cell is `pip install`."""
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    cells = tmp_path / "cells"
    cells.mkdir()
    run_cells = f"for number, cell in enumerate({CELLS!r}):\n    exec(compile(cell, f'<cell {{number}}>', 'exec'))"
    asked = installed.run(
        "python", "-c", "import socket; socket.create_connection(('localhost', 9))", cwd=cells, PYTHONPATH=str(tmp_path)
    )
    assert "the network was asked for something" in asked.stderr
    ran = installed.run("python", "-c", run_cells, cwd=cells, PYTHONPATH=str(tmp_path))
    assert (ran.stdout, ran.stderr) == ("True\n", "")


def test_it_runs_on_the_newest_python(wheel: Path, tmp_path: Path) -> None:
    program("docker")
    script = (
        "python -m venv /env && . /env/bin/activate && "
        "pip install --quiet --no-deps --require-hashes --requirement /lock.txt && "
        f"pip install --quiet --no-deps /{wheel.name} && pip check && "
        "mkdir /empty && cd /empty && bayesopt run branin && test -s out/branin/report.html"
    )
    mounts = [f"--volume={wheel}:/{wheel.name}:ro", f"--volume={BASE}:/lock.txt:ro"]
    ran = done(["docker", "run", "--rm", *mounts, NEWEST, "sh", "-euc", script], tmp_path)
    assert re.search(r"\b0\.808\d*", ran), ran


def test_a_tool_runs_objectives_in_the_active_environment(wheel: Path, versions: Path, tmp_path: Path) -> None:
    """As with `uv tool install` and pipx: ours has an environment of its own, theirs a package that ours has not."""
    folders = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    uv = [sys.executable, "-m", "uv", "tool", "install", "--quiet", "--python", sys.executable]
    done([*uv, "--constraints", versions, wheel], tmp_path, **folders)
    bayesopt = str(tmp_path / "bin" / "bayesopt")
    assert done([bayesopt, "--version"], tmp_path) == f"kfp-bayesopt {__version__}\n"

    theirs = an_environment(tmp_path / "theirs", lock=None)
    (theirs.packages / "only_theirs.py").write_text("VALUE = 7.5\n")
    here = tmp_path / "repository"
    here.mkdir()
    (here / "mine.py").write_text("import only_theirs\n\ndef objective(x1, x2):\n    return only_theirs.VALUE\n")
    (here / "study.yaml").write_bytes(study_text(objective={"python": "mine:objective"}, iterations=1))
    ran = theirs.run(bayesopt, "run", cwd=here)
    assert ran.returncode == 0, ran.stderr
    assert "7.5" in ran.stdout
