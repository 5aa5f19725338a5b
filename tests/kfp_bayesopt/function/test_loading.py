"""Where the file of a function is loaded: in the process of a trial, after all that speaks against it was said."""

from __future__ import annotations

import hashlib
import importlib
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import dill
import pytest
from click.testing import CliRunner

from kfp_bayesopt import open_study
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.function.file import FunctionFile, Header
from kfp_bayesopt.study.budget import batches
from kfp_bayesopt.study.function import Function
from kfp_bayesopt.trial.process.caller import call_function, check_function
from tests.builders import a_study, records_of
from tests.chain import Chain

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = sys.executable


class Mark:
    """What creates a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what is called by whoever loads it."""
        return os.mkdir, (str(self.path),)


@pytest.fixture(autouse=True)
def own_main(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process of a trial makes a `__main__` of its own; here ours comes back."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    path = list(sys.path)
    yield
    sys.path[:] = path


def a_file(mark: Path, **changes: Any) -> FunctionFile:
    """Return a file that leaves a mark when it is loaded."""
    made: dict[str, Any] = {"name": "train", "code": "1" * 64, "python": VERSION, "dill": dill.__version__}
    made |= {"implementation": sys.implementation.name, "byte_order": sys.byteorder} | changes
    return FunctionFile.of(Header(**made), pickle.dumps((Mark(mark), {})))


def load(folder: Path, content: bytes, sha256: str | None = None) -> str:
    """Return what the process of a trial says of a file."""
    (folder / "function.dill").write_bytes(content)
    named = sha256 or hashlib.sha256(content).hexdigest()
    outcome = check_function("train", [], {}, str(folder / "function.dill"), named)
    assert outcome["reason"]["kind"] == "mistake"
    return str(outcome["reason"]["message"]).removeprefix("objective.function: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"python": "3.99"},
            f"train needs Python 3.99, and {PYTHON} has Python {VERSION}; run it where there is Python 3.99, or tune "
            f"the function again from Python {VERSION}",
        ),
        (
            {"implementation": "pypy", "byte_order": "big"},
            f"train needs implementation pypy, byte order big, and {PYTHON} has implementation cpython, byte order "
            "little; run it where there is implementation pypy, or tune the function again from implementation cpython",
        ),
        (
            {"dill": "99.1"},
            f"train needs dill 99.1 or newer, and {PYTHON} has dill {dill.__version__}; install it: {PYTHON} -m pip "
            "install 'dill>=99.1'",
        ),
        (
            {"python": "3.99", "dill": "99.1"},
            f"train needs Python 3.99, dill 99.1 or newer, and {PYTHON} has Python {VERSION}, dill {dill.__version__}; "
            f"run it where there is Python 3.99, or tune the function again from Python {VERSION}",
        ),
    ],
    ids=["python", "machine", "dill", "several"],
)
def test_a_file_of_another_python_is_refused_before_it_is_loaded(
    changes: dict[str, str], message: str, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    assert load(tmp_path, a_file(mark, **changes).content) == message
    assert not mark.exists()


def test_one_of_an_older_dill_is_loaded(tmp_path: Path) -> None:
    load_it = a_file(tmp_path / "mark", dill="0.3").content
    (tmp_path / "function.dill").write_bytes(load_it)
    call_function("train", [], {}, True, str(tmp_path / "function.dill"), hashlib.sha256(load_it).hexdigest())
    assert (tmp_path / "mark").exists()


def test_a_planted_file_is_refused_by_the_name_of_its_function(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    message = load(tmp_path, a_file(mark).content, sha256="2" * 64)
    assert message == (
        "the file of train is not the one that the study names, and was not loaded; restore it from a copy, or tune "
        "the function again"
    )
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"kfp-bayesopt function 1\n{}\nx", b"kfp-bayesopt function 1\n{\nx"])
def test_a_damaged_file_is_refused_by_the_name_of_its_function(content: bytes, tmp_path: Path) -> None:
    assert load(tmp_path, content) == "the file of train is damaged, and was not loaded; tune the function again"


def test_a_module_beside_the_notebook_that_was_changed_or_is_gone_is_said(tmp_path: Path) -> None:
    mark, helper = tmp_path / "mark", tmp_path / "helper.py"
    content = a_file(
        mark, beside={"helper.py": hashlib.sha256(b"A = 1\n").hexdigest()}, folders=[str(tmp_path)]
    ).content
    assert load(tmp_path, content) == (
        "train needs helper.py, which lay beside its notebook and is not here; make a package of it and install that, "
        "or give the objective as module:function"
    )
    helper.write_text("A = 2\n")
    assert load(tmp_path, content) == f"{helper} was changed after train was taken along; tune the function again"
    assert not mark.exists()
    helper.write_text("A = 1\n")
    assert check_function("train", [], {}, str(tmp_path / "function.dill"), FunctionFile(content).sha256) == {}
    assert mark.exists()


def test_an_image_of_the_folder_of_a_notebook_has_its_modules_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [*sys.path])  # as it was, afterwards
    (tmp_path / "study").mkdir()
    (tmp_path / "study/helper.py").write_text("A = 2\n")
    beside = {"helper.py": hashlib.sha256(b"A = 1\n").hexdigest()}
    file = a_file(tmp_path / "mark", beside=beside, folders=["/notebooks/of/another/machine"])
    monkeypatch.syspath_prepend(str(tmp_path / "study"))
    assert "study/helper.py was changed after train was taken along" in load(tmp_path, file.content)
    (tmp_path / "study/helper.py").write_text("A = 1\n")
    assert check_function("train", [], {}, str(tmp_path / "function.dill"), file.sha256) == {}


def test_a_package_that_is_not_there_is_named(tmp_path: Path) -> None:
    content = FunctionFile.of(a_file(tmp_path).header("it"), b"cno_such_module\nname\n.").content
    assert load(tmp_path, content) == (
        f"train needs the module no_such_module, which {PYTHON} has not; install it: {PYTHON} -m pip install "
        "no_such_module"
    )


def test_nobody_who_looks_at_a_study_loads_its_function(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    file = a_file(mark)
    function = Function.of(file, "it")
    study = a_study(objective={"function": function.model_dump(exclude_none=True)}, optimizer={"engine": "gp"})
    (tmp_path / "study.yaml").write_text(study.to_text())
    (tmp_path / function.file_name).write_bytes(file.content)
    chain = Chain(str(tmp_path / "study.yaml"), str(tmp_path / "out"), "job-1")
    succeed("init", chain.init())
    for batch in batches(study):
        folder = StudyFolder(chain.root, study)
        for each in records_of(study, list(folder.read().pending.values()), [0.5] * len(batch)):
            folder.write_record(each)
        succeed("update", chain.update(batch))
    succeed("report", chain.report())
    result = open_study(chain.root)
    assert result.best.value == 0.5  # type: ignore[union-attr]
    assert {each.verdict for each in result.verify()} == {"same"}
    assert result.status.trials == 4
    result.report()
    assert not mark.exists()

    at = str(tmp_path / function.file_name)
    call_function("train", [], {}, True, at, function.file)
    assert mark.exists(), "it leaves no mark"


def succeed(step: str, arguments: list[str]) -> None:
    """Call a step."""
    command: click.Command = importlib.import_module(f"images.{step}.main").main
    ended = CliRunner().invoke(command, arguments)
    assert ended.exit_code == 0, ended.output
