"""The page about Python: its programs run as they stand, and print what it shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.installed import Installed, an_environment, install

PAGE = (ROOT / "docs" / "python.md").read_text()
FILES = dict(re.findall(r"^```python (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
RUNS = re.findall(r"^```console\n\$ python (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the page, in which its first study has run."""
    folder = tmp_path_factory.mktemp("page")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    assert printed("tune.py", folder, installed) == dict(RUNS)["tune.py"]
    return folder


def printed(program: str, folder: Path, installed: Installed) -> str:
    """Return what a program prints where the wheel is installed."""
    ended = installed.run("python", program, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def with_extras(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment with the wheel and all extras."""
    lock = ROOT / "pipeline" / "cloud" / "requirements.txt"
    return install(wheel, an_environment(tmp_path_factory.mktemp("extras"), lock))


@pytest.mark.parametrize(
    ("program", "shown"), [each for each in RUNS if each[0] != "tune.py" and "import optuna" not in FILES[each[0]]]
)
def test_a_program_of_the_page_prints_what_it_shows(
    program: str, shown: str, folder: Path, installed: Installed
) -> None:
    assert printed(program, folder, installed) == shown


@pytest.mark.parametrize(("program", "shown"), [each for each in RUNS if "import optuna" in FILES[each[0]]])
def test_a_program_with_optuna_prints_what_the_page_shows(
    program: str, shown: str, folder: Path, with_extras: Installed
) -> None:
    assert printed(program, folder, with_extras) == shown


def test_every_program_of_the_page_is_run() -> None:
    assert {*FILES} == {"train.py", *(program for program, _ in RUNS)}


TYPED = """
from pathlib import Path

from kfp_bayesopt import Best, Categorical, Result, Search, Study, Trial, UserError, open_study, run

choices: list[list[int]] = [[64, 32], [16]]
study = Study(name="a", objective=["train", "{shape}"], space={"shape": Categorical(choices)}, trials=2,
              parallel_trials=1, optimizer={"engine": "random"}, stop={"target": 0.5}, limits={"size": "<= 3"})
result: Result = run(study, jobs=2, root=Path("out"))
best: Best | None = open_study(result.root).best
search = Search({"shape": Categorical(choices)}, engine="gp", direction="maximize", constraints=["a <= b"])
one: Trial = search.ask()
several: list[Trial] = search.ask(4)
told: float | None = search.tell(one, {"value": 1, "size": 2}).value
"""
WRONG = """
from kfp_bayesopt import Real, Search, Study

Real("a", 1)
Real(1, 2, logg=True)
Study(name="a", objective="m:f", space={}, trails=3, parallel_trials=1)
Search({"x": Real(0, 1)}).tell(1, "0.5")
"""


def test_a_persons_strict_type_checker_sees_the_types_of_the_wheel(folder: Path, installed: Installed) -> None:
    (folder / "typed.py").write_text(TYPED)
    (folder / "wrong.py").write_text(WRONG)
    theirs = f"--python-executable={installed.folder / 'bin' / 'python'}"
    command = [sys.executable, "-m", "mypy", "--strict", theirs, "typed.py", "wrong.py"]
    checked = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    said = re.findall(r"^(\S+?:\d+): error: .*\[(.*)\]$", checked.stdout, re.MULTILINE)
    assert said == [
        ("wrong.py:4", "arg-type"),
        ("wrong.py:5", "call-arg"),
        ("wrong.py:6", "call-arg"),
        ("wrong.py:7", "arg-type"),
    ], checked.stdout + checked.stderr
