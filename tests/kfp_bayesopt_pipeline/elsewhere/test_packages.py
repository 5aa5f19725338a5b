"""The packages of a function: what cannot travel is said, and the rest is a lock and a cache of wheels."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import dill
import pytest

from kfp_bayesopt import UserError
from kfp_bayesopt.errors import DamagedError
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.function.file import FunctionFile, Header
from kfp_bayesopt.function.lock import Lock
from kfp_bayesopt.study.function import Function
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.elsewhere import wheels
from kfp_bayesopt_pipeline.elsewhere.packages import prepare
from tests.builders import study_data
from tests.kfp_bayesopt.function.cells import cell
from tests.wheels import a_package, a_wheel

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LINUX = "cp311-cp311-manylinux_2_17_x86_64"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip takes wheels from; dill is there."""
    folder = tmp_path / "index"
    monkeypatch.setenv("BAYESOPT_DOOR", "python")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    a_wheel(folder, "dill", "9.9", modules={"dill/__init__.py": ""})
    return folder


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What pip was asked for."""
    asked: list[list[str]] = []
    real = wheels.download

    def download(requirements: list[str], python: str, folder: Path) -> str:
        asked.append(list(requirements))
        return real(requirements, python, folder)

    monkeypatch.setattr(wheels, "download", download)
    return asked


def with_packages(**packages: str) -> Study:
    """Return a study whose function has packages."""
    header = Header(
        name="train",
        code="0" * 64,
        python=PYTHON,
        implementation="cpython",
        byte_order="little",
        dill="9.9",
        packages=packages,
    )
    file = FunctionFile.of(header, dill.dumps((print, {})))
    data = study_data(objective={"function": Function.of(file, "train").to_data()})
    study = Study.from_text(json.dumps(data))
    study._carried = file
    return study


def lock_of(study: Study) -> list[str]:
    """Return the packages of the lock of a study."""
    assert study.carried is not None
    assert study.carried.lock is not None
    return [str(pin) for pin in study.carried.lock.pins]


def test_packages_become_a_lock_and_a_cache_of_wheels(index: Path, tmp_path: Path) -> None:
    wheel = a_wheel(index)
    study = with_packages(greeting="1.0")
    found = prepare(study, str(tmp_path / "home"), PYTHON)
    assert lock_of(found) == ["dill==9.9", "greeting==1.0"]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert (tmp_path / f"home/wheels/{digest}/{wheel.name}").read_bytes() == wheel.read_bytes()
    function = found.objective.function
    assert function is not None
    assert function.wheels == str(tmp_path / "home/wheels")
    assert found.fingerprint == study.fingerprint
    content = found.carried.lock.content  # type: ignore[union-attr]
    assert function.lock == hashlib.sha256(content).hexdigest()
    assert content.splitlines()[1].decode() == f"greeting==1.0 --hash=sha256:{digest}  # {wheel.name}"
    assert b"://" not in content
    _check_that_the_lock_goes_with_the_study_file(found, tmp_path)


def _check_that_the_lock_goes_with_the_study_file(found: Study, tmp_path: Path) -> None:
    found.save(tmp_path / "study.yaml")
    study = Study.from_file(tmp_path / "study.yaml")
    assert study.objective == found.objective
    assert StudyFolder(str(tmp_path / "root"), study).function == found.carried
    (file,) = tmp_path.glob("*.lock")
    file.write_bytes(file.read_bytes().replace(b"9.9", b"9.8"))
    with pytest.raises(DamagedError, match=r"train-.*\.lock: is not the lock of train's packages of the study"):
        _ = StudyFolder(str(tmp_path / "root"), study).function


def test_what_is_in_the_cache_is_neither_downloaded_nor_written_again(
    index: Path, tmp_path: Path, downloads: list[list[str]]
) -> None:
    a_wheel(index)
    study = with_packages(greeting="1.0")
    first = prepare(study, str(tmp_path / "home"), PYTHON)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "home").rglob("*")}
    again = prepare(study, str(tmp_path / "home"), PYTHON)
    assert downloads == [["dill==9.9", "greeting==1.0"]]
    assert again == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "home").rglob("*")} == before
    prepare(study, str(tmp_path / "other"), PYTHON)
    assert len(downloads) == 2
    assert len(list((tmp_path / "other").rglob("*.whl"))) == 2


@pytest.mark.parametrize("content", [b"", b"dill\n", b"x==1 --hash=sha256:0  # x.whl\n", b"\xff\n"])
def test_what_is_no_lock_is_refused(content: bytes) -> None:
    with pytest.raises(DamagedError, match=r"code/x\.lock: is no lock of packages"):
        Lock.parse(content, "code/x.lock")


def test_a_wheel_that_somebody_planted_in_the_cache_is_refused_by_name(index: Path, tmp_path: Path) -> None:
    wheel = a_wheel(index)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    planted = a_wheel(tmp_path / "home/wheels" / digest, modules={"greeting.py": "import os\n"})
    for _ in range(2):  # also where it need not be downloaded
        with pytest.raises(
            UserError, match=r"is not the wheel of greeting==1\.0, but other content; delete it"
        ) as caught:
            prepare(with_packages(greeting="1.0"), str(tmp_path / "home"), PYTHON)
        assert str(planted) in caught.value.message


URL = "https://me:secret@example.com/greeting.git"
FROM = {
    "git": ({"url": URL, "vcs_info": {"vcs": "git", "commit_id": "1"}}, "git, https://example.com/greeting.git"),
    "editable": ({"url": "file:///src/x", "dir_info": {"editable": True}}, "the folder /src/x, editable"),
    "folder": ({"url": "file:///src/x", "dir_info": {}}, "the folder /src/x"),
    "file": ({"url": "file:///src/x.whl", "archive_info": {}}, "the file /src/x.whl"),
}


@pytest.mark.parametrize("kind", FROM)
def test_a_package_that_no_index_has_is_said_before_anything_is_sent(
    kind: str, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, downloads: list[list[str]]
) -> None:
    direct_url, where = FROM[kind]
    a_wheel(index)
    a_package(tmp_path / "site", direct_url=direct_url)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(UserError) as caught:
        prepare(with_packages(greeting="1.0"), str(tmp_path / "home"), PYTHON)
    assert caught.value.message == (
        f"objective.function: greeting==1.0: is installed from {where}, and a worker takes packages from an index; "
        'say image="build" to build an image with it'
    )
    assert not downloads
    assert not (tmp_path / "home").exists()


def test_a_package_of_its_source_as_develop_leaves_it_is_said(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert index.is_dir()
    info = tmp_path / "site/greeting.egg-info"
    info.mkdir(parents=True)
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
    (info / "SOURCES.txt").write_text("greeting.py\n")
    (tmp_path / "site/setup.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(UserError, match=r"greeting==1.0: is installed from a folder of this machine \(develop\)"):
        prepare(with_packages(greeting="1.0"), str(tmp_path / "home"), PYTHON)


@pytest.mark.long
def test_every_package_without_a_wheel_for_a_worker_is_named(index: Path, tmp_path: Path) -> None:
    a_wheel(index, "windows", tag=f"cp{PYTHON.replace('.', '')}-none-win_amd64")
    a_wheel(index, "greeting")
    with pytest.raises(UserError) as caught:
        prepare(with_packages(windows="1.0", greeting="1.0", private="2.0"), str(tmp_path / "home"), PYTHON)
    assert caught.value.message.splitlines() == [
        f"objective.function: {each}: the index that pip is set to has no wheel of it for Python {PYTHON} on Linux "
        '(x86_64); say image="build" to build an image with it'
        for each in ("windows==1.0", "private==2.0")
    ]
    assert not (tmp_path / "home").exists()


@pytest.mark.long
def test_what_a_package_needs_on_a_worker_alone_comes_along(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_wheel(index, needs=["runtime[fast]<3; sys_platform == 'linux'", "absent", "other; sys_platform == 'win32'"])
    for version in ("2.0", "3.0"):
        a_wheel(
            index, "runtime", version, needs=["speed; extra == 'fast' and sys_platform == 'linux'", "no; extra == 'x'"]
        )
    a_wheel(index, "speed")
    here: Any = {"sys_platform": "darwin", "platform_system": "Darwin", "python_version": PYTHON, "os_name": "posix"}
    monkeypatch.setattr("kfp_bayesopt_pipeline.elsewhere.packages.default_environment", lambda: here)
    found = lock_of(prepare(with_packages(greeting="1.0"), str(tmp_path / "home"), PYTHON))
    assert found == ["dill==9.9", "greeting==1.0", "runtime==2.0", "speed==1.0"]  # absent: here nobody misses it


def test_a_python_without_pip_says_how_to_get_it(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert index.is_dir()
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$0: No module named pip" >&2; exit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(UserError, match=r"has no pip, which downloads the packages of a function; run `.*ensurepip`"):
        prepare(with_packages(), str(tmp_path / "home"), PYTHON)


def test_a_damaged_wheel_is_named(index: Path, tmp_path: Path) -> None:
    (index / "greeting-1.0-py3-none-any.whl").write_bytes(b"no wheel")
    with pytest.raises(UserError):
        prepare(with_packages(greeting="1.0"), str(tmp_path / "home"), PYTHON)
    assert not (tmp_path / "home").exists()


def test_modules_beside_a_notebook_are_said_and_an_editable_package_is_named_as_one(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert index.is_dir()
    source = tmp_path / "source"
    a_package(tmp_path / "site", "theirs", direct_url={"url": source.as_uri(), "dir_info": {"editable": True}})
    for folder, name in ((source, "theirs"), (tmp_path / "notebooks", "beside_it")):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text("WORD = 'hello'\n")
        monkeypatch.syspath_prepend(str(folder))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (tmp_path / "site/theirs.py").unlink()
    names = "import theirs, beside_it\n"
    train = cell(f"{names}def train(x1, x2):\n    return len(theirs.WORD) + len(beside_it.WORD)\n")
    study = Study(**study_data(objective=train))
    with pytest.raises(UserError) as caught:
        prepare(study, str(tmp_path / "home"), PYTHON)
    way_out = 'say image="build" to build an image with it'
    assert caught.value.message.splitlines() == [
        f"objective.function: theirs==1.0: is installed from the folder {source}, editable, and a worker takes "
        f"packages from an index; {way_out}",
        f"objective.function: beside_it.py: beside the notebook or script, and not where its trials run; {way_out}",
    ]


def test_that_packages_of_a_private_index_lie_in_the_cache_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def download(_requirements: list[str], _python: str, folder: Path) -> str:
        a_wheel(folder, "dill", "9.9", modules={"dill/__init__.py": ""})
        return "Looking in indexes: https://me:****@example.com/simple"

    monkeypatch.setattr(wheels, "download", download)
    said: list[str] = []
    prepare(with_packages(), str(tmp_path / "home"), PYTHON, said.append)
    assert said == [
        f"downloading 1 packages for Python {PYTHON} on Linux",
        "pip is set to an index of its own; whoever may read the cache has these packages too: "
        f"{tmp_path / 'home/wheels'}",
    ]
