"""The packages of a function in its trials: installed from the wheels of its lock, which are those that it names."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kfp_bayesopt.errors import UnavailableError
from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.function.file import FunctionFile
from kfp_bayesopt.function.lock import Lock
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial import packages
from kfp_bayesopt.trial.evaluation import run_objective
from kfp_bayesopt.trial.process.output import Output
from kfp_bayesopt.trial.process.sessions import Sessions
from kfp_bayesopt_pipeline.elsewhere.wheels import Wheel
from tests.builders import a_suggestion
from tests.kfp_bayesopt.function.cells import cell
from tests.wheels import a_wheel

TRAIN = """
def train(x):
    import greeting, json, os, sys
    path = greeting.__file__
    with open(path, "a") as file:
        file.write("WORD = 'changed'\\n")
    print(greeting.WORD, os.environ["PYTHONPATH"], hasattr(json, "planted"), sep="|")
    return x if greeting.WORD == "hello" else 1e9
"""


@pytest.fixture(autouse=True)
def in_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs trials believes to be in an image, whose Python is that of the tests."""
    monkeypatch.setattr(packages, "is_image", lambda: True)
    monkeypatch.setenv("BAYESOPT_DOOR", "python")
    monkeypatch.setenv("PYTHONPATH", "/theirs")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules of Python that were run for packages."""
    found: list[str] = []
    real = packages._run

    def run(command: Sequence[str], *others: Any) -> tuple[int, str]:
        found.append(command[3])
        return real(command, *others)

    monkeypatch.setattr(packages, "_run", run)
    return found


def a_study(cache: Path, *wheels: Path) -> Study:
    """Return a study of `train` with wheels, put into a cache by their SHA-256."""
    space: Any = {"x": {"type": "real", "low": 0.0, "high": 9.0}}
    study = Study(name="cell", objective=cell(TRAIN), space=space, trials=4, parallel_trials=1)
    pins = [Wheel.read(path).pin for path in wheels]
    for pin, path in zip(pins, wheels, strict=True):
        target = Path(pin.uri(str(cache)))
        target.parent.mkdir(parents=True)
        path.rename(target)
    assert study.carried is not None
    return study.with_packages(FunctionFile(study.carried.content, Lock.of(pins)), str(cache))


def trial(study: Study, folder: Path, sessions: Sessions, output: Output | None = None) -> Record:
    """Evaluate a trial with x = 2.5."""
    suggestion = a_suggestion(study, 1, {"x": 2.5})
    printed = output or Output()
    return run_objective(study, suggestion, 1, folder, sessions, printed, function=study.carried)


def test_each_trial_has_packages_of_its_own_that_are_installed_once(
    tmp_path: Path, commands: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    shadowing = {"greeting/__init__.py": "from greeting.words import WORD\n", "greeting/words.py": "WORD = 'hello'\n"}
    shadowing["json.py"] = "planted = True\n"
    study = a_study(tmp_path / "wheels", a_wheel(tmp_path, modules=shadowing))
    output = Output()
    with Sessions() as sessions:
        assert trial(study, tmp_path, sessions, output).values == {"value": 2.5}
        word, path, shadowed = output.last_lines()[-1].split("|")
        assert (word, shadowed) == ("hello", "False")
        own, theirs = path.split(os.pathsep)
        assert theirs == "/theirs"
        assert not Path(own).exists()
        assert commands == ["pip"]
        # It wrote into a file that it shares with the others.
        assert trial(study, tmp_path, sessions).values == {"value": 2.5}
        assert commands[-1] == "pip"
        assert "a trial has changed files of its packages; they are installed again" in caplog.text
        room = next(iter(packages._INSTALLED[sessions].values())).folder.parent
        assert not (room / "wheels").exists()
    assert not room.exists()


def test_what_a_trial_imports_is_compiled_once_for_the_next_ones(tmp_path: Path, commands: list[str]) -> None:
    study = a_study(tmp_path / "wheels", a_wheel(tmp_path))
    with Sessions() as sessions:
        for _ in range(3):
            assert study.objective.function is not None
            (own := tmp_path / "own").mkdir()
            given = {"PATH": os.environ["PATH"]}
            with packages.brought_along(study.objective.function, study.carried, own, given, sessions) as found:
                assert found == {"PYTHONPATH": str(own / ".packages")}
                assert len(list(own.rglob("*.pyc"))) == (len(commands) > 1)
                compiled = own / f".packages/__pycache__/greeting.{sys.implementation.cache_tag}.pyc"
                compiled.parent.mkdir(exist_ok=True)
                if not compiled.exists():  # as the objective does that imports it
                    compiled.write_bytes(b"")
            own.rename(tmp_path / f"{len(commands)}-{os.urandom(4).hex()}")
    assert commands == ["pip", "compileall"]


def test_a_planted_wheel_is_refused_by_name_before_anything_of_it_runs(tmp_path: Path, commands: list[str]) -> None:
    study = a_study(tmp_path / "wheels", a_wheel(tmp_path))
    (planted,) = (tmp_path / "wheels").glob("*/*.whl")
    a_wheel(planted.parent, modules={"greeting.py": "import os\n"})
    with Sessions() as sessions:
        record = trial(study, tmp_path, sessions)
    assert record.reason is not None
    assert record.reason.kind == "mistake"
    assert record.reason.message.startswith(
        f"{planted}: is not the wheel of greeting==1.0 that the lock names: its SHA-256 is "
    )
    assert record.reason.message.endswith(
        "; find out who wrote it, delete it, and tune the function again, which puts it there"
    )
    assert not commands


def test_a_wheel_that_is_gone_is_named(tmp_path: Path, commands: list[str]) -> None:
    study = a_study(tmp_path / "wheels", a_wheel(tmp_path))
    (gone,) = (tmp_path / "wheels").glob("*/*.whl")
    gone.unlink()
    with Sessions() as sessions:
        record = trial(study, tmp_path, sessions)
    assert record.reason is not None
    assert record.reason.message == (
        f"{gone}: the wheel of greeting==1.0 is not there; tune the function again, which puts it there"
    )
    assert not commands


def test_a_wheel_for_another_python_says_which_image_has_the_right_one(tmp_path: Path) -> None:
    study = a_study(tmp_path / "wheels", a_wheel(tmp_path, tag="cp39-cp39-manylinux_2_17_x86_64"))
    with Sessions() as sessions:
        record = trial(study, tmp_path, sessions)
    assert record.reason is not None
    assert record.reason.kind == "mistake"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert record.reason.message == (
        f"objective.function.lock: {sys.executable} cannot install the packages of train: greeting-1.0-cp39-cp39-"
        f"manylinux_2_17_x86_64.whl is for other machines, or for another Python; use an image of Python {version} "
        'with pip, or say image="build" for one that has them'
    )


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("x: No module named pip", "cannot install the packages of train: it has no pip; use an image of Python"),
        ("ERROR: broken", "cannot install the packages of train: broken; use an image"),
        ("", "cannot install the packages of train: pip exited 1; use an image"),
    ],
)
def test_what_pip_says_is_one_message(said: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_run", lambda *_: (1, said))
    study = a_study(tmp_path / "wheels", a_wheel(tmp_path))
    with Sessions() as sessions:
        record = trial(study, tmp_path, sessions)
    assert record.reason is not None
    assert message in record.reason.message


def test_a_full_disk_may_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_run", lambda *_: (1, "ERROR: [Errno 28] No space left on device"))
    study = a_study(tmp_path / "wheels", a_wheel(tmp_path))
    with Sessions() as sessions, pytest.raises(UnavailableError, match="the packages of train need room"):
        trial(study, tmp_path, sessions)


def test_here_nothing_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commands: list[str]) -> None:
    monkeypatch.setattr(packages, "is_image", lambda: False)
    study = a_study(tmp_path / "wheels", a_wheel(tmp_path))
    with Sessions() as sessions:
        record = trial(study, tmp_path, sessions)
    assert record.reason is not None
    assert "No module named 'greeting'" in record.reason.message
    assert not commands
