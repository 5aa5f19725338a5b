"""A full disk: the record of a trial has its room, and what has none waits."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kfp_bayesopt.errors import NoRoomError, UserError
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.proposing.batches import begin
from kfp_bayesopt.store import local, storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial import attempt as trial
from kfp_bayesopt.trial import room
from kfp_bayesopt.trial.attempt import run_trial
from kfp_bayesopt.trial.process.sessions import Sessions
from kfp_bayesopt.trial.room import with_room
from kfp_bayesopt_pipeline.places.in_process import Options, run
from tests.builders import write_study
from tests.needed import missing

SPACE = {"x": {"type": "real", "low": 0.0, "high": 1.0}}
RANDOM = {"engine": "random"}
# It says that it runs, waits until the disk is full, and leaves a line in a log.
CODE = """
import os, time
from pathlib import Path
def objective(x):
    Path("{calls}").open("a").write(os.environ["BAYESOPT_TRIAL"])
    Path("{folder}/runs").touch()
    while not Path("{folder}/full").exists():
        time.sleep(0.01)
    print("it was full")
    return 0.25
"""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SECONDS_BETWEEN_TRIES", 0.01)
    monkeypatch.setattr(trial, "LOG_PATIENCE", 0.0)


def a_folder(tmp_path: Path) -> StudyFolder:
    code = CODE.format(calls=tmp_path / "calls", folder=tmp_path)
    path = write_study(tmp_path, code, space=SPACE, optimizer=RANDOM, iterations=1, parallel_trials=1)
    study = Study.from_file(path)
    folder = StudyFolder(str(tmp_path / "out"), study)
    begin(folder, folder.read(), None)
    return folder


@contextmanager
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str) -> Iterator[None]:
    """Let a disk have no more room for new files, or names, from the moment on at which the objective runs."""
    is_full = threading.Event()
    write, link = local._beside, os.link

    def full() -> OSError:
        return OSError(number, os.strerror(number))

    @contextmanager
    def beside(path: Path, content: Iterable[bytes]) -> Iterator[Path]:
        if is_full.is_set():
            raise full()
        with write(path, content) as temporary:
            yield temporary

    def linked(source: Path, path: Path) -> None:
        if is_full.is_set() and call == "link" and source.with_name(f"{source.name}-spare").exists():
            raise full()
        link(source, path)

    monkeypatch.setattr(local, "_beside", beside)
    monkeypatch.setattr(os, "link", linked)

    def fill() -> None:
        while not (tmp_path / "runs").exists():
            time.sleep(0.01)
        is_full.set()
        (tmp_path / "full").touch()

    filler = threading.Thread(target=fill, daemon=True)
    filler.start()
    yield
    filler.join(10)


@pytest.mark.parametrize("call", ["write", "link"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_record_has_its_room_on_a_disk_that_is_full_by_then(
    number: int, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = a_folder(tmp_path)
    with filled(tmp_path, monkeypatch, number, call), Sessions() as sessions:
        record = run_trial(folder, 1, tmp_path, sessions)
    assert record is not None
    assert (record.value, record.log) == (0.25, None)
    assert folder.read().ledger == [record]
    assert f"trial 1: what it printed cannot be kept: {folder.log_uri(1, 1)}: {os.strerror(number)}" in caplog.text
    assert [path.name for path in Path(folder.root).rglob(".*") if path.is_file()] == []


def test_a_record_waits_where_its_spare_name_is_used_up_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = tmp_path / ".room-1"
    held.write_bytes(bytes(1000))
    answers = iter([True, True, True, False])
    link = os.link

    def linked(source: Path, path: Path) -> None:
        if next(answers):
            raise OSError(errno.ENOSPC, "full")
        link(source, path)

    monkeypatch.setattr(os, "link", linked)
    with Sessions() as sessions:
        with_room(lambda: storage.create_in(held, str(tmp_path / "record-1.json"), b"record"), sessions)
    assert (tmp_path / "record-1.json").read_bytes() == b"record"


def test_a_record_is_written_where_its_room_was_deleted(tmp_path: Path) -> None:
    storage.create_in(tmp_path / ".room-1", str(tmp_path / "record-1.json"), b"record")
    assert [path.name for path in tmp_path.iterdir()] == ["record-1.json"]
    assert (tmp_path / "record-1.json").read_bytes() == b"record"


def test_what_has_no_room_waits_for_it(caplog: pytest.LogCaptureFixture) -> None:
    answers: Iterator[NoRoomError | str] = iter([NoRoomError("full"), NoRoomError("full"), "written"])

    def write() -> str:
        answer = next(answers)
        if isinstance(answer, NoRoomError):
            raise answer
        return answer

    with Sessions() as sessions:
        assert with_room(write, sessions) == "written"
    assert caplog.messages == ["waiting for room, 900 s at most: full"]


@pytest.mark.timeout(120)
def test_it_waits_no_longer_than_it_may_and_not_once_it_is_told_to_stop() -> None:
    def write() -> None:
        raise NoRoomError("full")

    with Sessions() as sessions:
        with pytest.raises(NoRoomError):
            with_room(write, sessions, 0.05)
        threading.Timer(0.1, sessions.stop).start()
        with pytest.raises(NoRoomError):
            with_room(write, sessions)


def test_a_value_that_is_not_recorded_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room, "PATIENCE", 0.05)
    folder = a_folder(tmp_path)
    (tmp_path / "full").touch()

    def full(*_: object) -> None:
        raise NoRoomError("no room")

    monkeypatch.setattr(storage, "create_in", full)
    with Sessions() as sessions, pytest.raises(NoRoomError) as caught:
        run_trial(folder, 1, tmp_path, sessions)
    assert caught.value.message == "trial 1: completed: 0.25; this is not recorded: no room"
    assert caught.value.message in caplog.messages


def test_no_trial_begins_without_room_for_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PATIENCE", 0.05)
    folder = a_folder(tmp_path)
    create = storage.create

    def full(uri: str, content: bytes) -> None:
        if len(content) >= room.RESERVED_BYTES:
            raise NoRoomError(f"{uri}: full")
        create(uri, content)

    monkeypatch.setattr(storage, "create", full)
    with Sessions() as sessions, pytest.raises(NoRoomError):
        run_trial(folder, 1, tmp_path, sessions)
    assert not (tmp_path / "calls").exists()


FILLS = """
import os, time
def objective(x):
    with open({calls!r}, "a") as calls:
        calls.write(os.environ["BAYESOPT_TRIAL"] + " ")
    time.sleep(0.5)
    try:
        for number in range(100_000):
            with open(f"{disk}/fill/{{os.environ['BAYESOPT_TRIAL']}}-{{number}}", "wb") as file:
                file.write(bytes({size}))
    except OSError:
        pass
    return x
"""


@pytest.mark.parametrize(
    ("options", "size"), [("size=4m", 1 << 16), ("size=64m,nr_inodes=150", 0)], ids=["room", "inodes"]
)
@pytest.mark.parametrize("schedule", ["batches", "asynchronous"])
def test_trials_that_fill_the_disk_are_evaluated_once(schedule: str, options: str, size: int, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        missing("a disk of its own needs root")
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=False, capture_output=True
    ).returncode:
        missing("this machine mounts nothing")
    try:
        (disk / "fill").mkdir()
        asked = {"iterations": 1} if schedule == "batches" else {"iterations": None, "trials": 2}
        study = write_study(
            tmp_path, FILLS.format(calls=str(tmp_path / "calls"), disk=disk, size=size), space=SPACE, optimizer=RANDOM,
            schedule=schedule, parallel_trials=2, **asked,
        )  # fmt: skip
        with suppress(UserError):  # there may be no room for the results
            run(str(study), str(disk / "out"), 2, Options())
        for path in (disk / "fill").iterdir():
            path.unlink()
        best = run(str(study), str(disk / "out"), 2, Options())
        assert best.completed == 2
        assert sorted((tmp_path / "calls").read_text().split()) == ["1", "2"]
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
