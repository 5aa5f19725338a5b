"""Several people on one folder: whatever the umask of each, none locks the others out, and nothing else is opened."""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kfp_bayesopt.folder.lock import locked
from kfp_bayesopt.folder.publish import publish
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.store import storage
from kfp_bayesopt_pipeline.places.in_process import Options, run
from tests.builders import a_batch, a_study, records_of, write_study

MODEL = """
import os, pathlib, json
def objective(x1, x2):
    for variable in ("BAYESOPT_OUTPUT", "BAYESOPT_CHECKPOINT"):
        folder = pathlib.Path(os.environ[variable], "deep")
        folder.mkdir(exist_ok=True)
        (folder / "model").write_text("model")
    print("said")
    return x1 + x2
"""
ANN, BOB, TEAM = 61001, 61002, 61003


@pytest.fixture(autouse=True)
def _private() -> Iterator[None]:
    """Let this process keep what it writes to itself, as a person with umask 077 does."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def _modes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): stat.filemode(path.lstat().st_mode) for path in folder.rglob("*")}


def _folder(path: Path, mode: int) -> Path:
    path.mkdir()
    path.chmod(mode)
    return path


@pytest.mark.parametrize(("mode", "file", "folder"), [
    (0o2770, "-rw-rw----", "drwxrws---"),
    (0o770, "-rw-rw----", "drwxrwx---"),
    (0o2750, "-rw-r-----", "drwxr-s---"),
    (0o777, "-rw-rw-rw-", "drwxrwxrwx"),
    (0o755, "-rw-------", "drwx------"),
    (0o700, "-rw-------", "drwx------"),
    (0o1777, "-rw-------", "drwx------"),
])  # fmt: skip
def test_what_is_new_is_for_those_who_share_its_folder(tmp_path: Path, mode: int, file: str, folder: str) -> None:
    root = _folder(tmp_path / "shared", mode)
    storage.create(f"{root}/a/b/created", b"")
    storage.replace(f"{root}/replaced", b"old")
    storage.replace(f"{root}/replaced", b"new")
    modes = _modes(root)
    assert {name: modes.pop(name) for name in ("a", "a/b")} == {"a": folder, "a/b": folder}
    assert modes == {"a/b/created": file, "replaced": file}


def test_a_program_that_gives_more_keeps_it(tmp_path: Path) -> None:
    os.umask(0o002)
    root = _folder(tmp_path / "private", 0o700)
    storage.create(f"{root}/a/file", b"")
    assert _modes(root) == {"a": "drwxrwxr-x", "a/file": "-rw-rw-r--"}


@pytest.mark.parametrize("schedule", ["batches", "asynchronous"])
def test_everything_that_a_run_leaves_is_for_the_group_of_its_folder(tmp_path: Path, schedule: str) -> None:
    study = write_study(
        tmp_path / "study", MODEL, optimizer={"engine": "gp"}, checkpoint=True, schedule=schedule,
        **({"iterations": 2} if schedule == "batches" else {"iterations": None, "trials": 4}),
    )  # fmt: skip
    root = _folder(tmp_path / "shared", 0o2770)
    run(str(study), str(root / "study"), 2, Options())
    run(str(study), str(root / "study"), 2, Options(fresh=True))
    modes = _modes(root)
    assert len(modes) > 40
    assert [name for name in modes if name.endswith("/deep/model")]
    assert {name: mode for name, mode in modes.items() if mode not in ("drwxrws---", "-rw-rw----")} == {}
    assert {path.stat().st_gid for path in root.rglob("*")} == {root.stat().st_gid}


def test_a_lock_can_be_taken_by_the_next_person(tmp_path: Path) -> None:
    root = _folder(tmp_path / "shared", 0o2770)
    with locked(str(root)):
        assert _modes(root) == {".lock": "-rw-rw----"}
    assert _modes(root) == {}


# --- two people --------------------------------------------------------------------------------


@pytest.fixture
def reached() -> Iterator[Path]:
    """Return a folder that other users reach too: those of pytest are closed whenever another session begins."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def _as(user: int, umask: int, work: Callable[[], None]) -> None:
    """Do something as another user of the group TEAM, in a process of their own; where nobody can, as this one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: those of the tests hold no lock that counts
        child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([TEAM])
                os.setgid(user)
                os.setuid(user)
            os.umask(umask)
            work()
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("mode", [0o2770, 0o770, 0o777])
def test_two_people_go_on_with_one_study_by_turns(reached: Path, mode: int) -> None:
    """As root they are two users who share a group; else one, of whose files the modes are looked at."""
    root = reached / "shared"
    root.mkdir()
    if os.geteuid() == 0:
        os.chown(root, ANN, TEAM)
    root.chmod(mode)
    study = a_study(iterations=4)
    here = StudyFolder(str(root), study)

    def turn(number: int) -> Callable[[], None]:
        def work() -> None:
            folder = StudyFolder(str(root), study)
            with locked(folder.root):
                known = folder.read().ledger
                assert len(known) == 2 * (number - 1)
                batch = a_batch(study, [{"x1": 1.0, "x2": 2.0}] * 2, number, 2 * number - 1, known)
                folder.write_suggestions(batch)
                for record in records_of(study, batch, [0.5, 0.25]):
                    folder.write_record(record)
                publish(folder, folder.read().ledger)
                storage.replace(folder.heartbeat_uri(1, 1), b"{}")

        return work

    for number, (user, umask) in enumerate([(ANN, 0o002), (BOB, 0o077), (ANN, 0o077), (BOB, 0o022)], 1):
        _as(user, umask, turn(number))
    assert len(here.read().ledger) == 8
    assert json.loads((root / "best.json").read_text())["completed"] == 8
    closed = {name: each for name, each in _modes(root).items() if not each.startswith(("drwxrw", "-rw-rw-"))}
    assert closed == {}
