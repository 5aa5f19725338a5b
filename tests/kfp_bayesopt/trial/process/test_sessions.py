"""No process of an objective is left behind, whatever ends the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError
from kfp_bayesopt.trial.process.watchdog import end

SLEEPING = ["sleep", "600"]
# Starts a session, says which, and waits to be killed.
STARTS_ONE = """
import os, sys, time
from kfp_bayesopt.trial.process.sessions import Sessions
process = Sessions().start(["sleep", "600"], [], None, os.environ)
print(process.pid, flush=True)
time.sleep(600)
"""


def until(holds: Callable[[], bool]) -> None:
    for _ in range(1500):
        if holds():
            return
        time.sleep(0.01)
    pytest.fail("it does not hold after 15 s")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def sessions() -> Iterator[Sessions]:
    with Sessions() as made:
        yield made
        made.stop()


def start(sessions: Sessions, command: list[str] = SLEEPING) -> subprocess.Popen[bytes]:
    process = sessions.start(command, [], None, os.environ)
    assert process.stdin is not None
    process.stdin.close()
    return process


def test_a_session_ends_with_the_process_that_started_it_however_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", STARTS_ONE], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.kill()
    until(lambda: not alive(pid))


# Makes a folder, says that it has, and waits to be killed.
WITH_A_FOLDER = """
import pathlib, sys, time
from kfp_bayesopt.trial.process.sessions import Sessions
folder = pathlib.Path(sys.argv[1])
with Sessions().with_folder(folder):
    folder.mkdir()
    (folder / "file").touch()
    print(flush=True)
    time.sleep(600)
"""


def test_a_folder_goes_with_the_process_that_made_it_and_nothing_else_does(tmp_path: Path) -> None:
    folder = tmp_path / "two\nlines"
    neighbour = tmp_path / "two"
    neighbour.mkdir()
    command = [sys.executable, "-c", WITH_A_FOLDER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        process.kill()
    until(lambda: not folder.exists())
    assert neighbour.exists()


def test_a_folder_that_its_owner_has_removed_is_not_watched_any_more(sessions: Sessions, tmp_path: Path) -> None:
    with sessions.with_folder(tmp_path / "folder"):
        pass
    (tmp_path / "folder").mkdir()
    sessions.__exit__(None, None, None)
    assert (tmp_path / "folder").exists()


def test_the_watchdog_does_not_wait_for_sessions_that_have_ended(sessions: Sessions) -> None:
    process = start(sessions, ["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is there
    sessions.end(process)
    assert process.returncode == 0


def test_a_watchdog_that_was_killed_is_replaced(sessions: Sessions) -> None:
    first = start(sessions)
    assert sessions._watchdog is not None
    sessions._watchdog.kill()
    sessions._watchdog.wait()
    second = start(sessions)
    sessions._dismiss()  # as when this process ends
    assert [first.wait(10), second.wait(10)] == [-signal.SIGKILL] * 2


def test_a_watchdog_ignores_what_is_meant_for_us(sessions: Sessions) -> None:
    process = start(sessions)
    assert sessions._watchdog is not None
    watchdog = sessions._watchdog
    until(lambda: ignores(watchdog.pid, signal.SIGTERM))
    watchdog.terminate()
    assert alive(watchdog.pid)
    sessions._dismiss()
    assert process.wait(10) == -signal.SIGKILL


def ignores(pid: int, number: signal.Signals) -> bool:
    (mask,) = [line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigIgn" in line]
    return bool(int(mask, 16) & 1 << (number - 1))


def test_nothing_starts_after_a_stop(sessions: Sessions) -> None:
    process = start(sessions)
    sessions.stop()
    assert process.wait(10) == -signal.SIGTERM
    with pytest.raises(StoppedError):
        start(sessions)


def test_threads_share_the_sessions(sessions: Sessions) -> None:
    started: list[subprocess.Popen[bytes]] = []
    threads = [threading.Thread(target=lambda: started.append(start(sessions))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sessions.stop()
    assert [process.wait(10) for process in started] == [-signal.SIGTERM] * 20


def test_a_process_that_forks_all_the_time_ends_too(tmp_path: Path) -> None:
    script = 'trap "" TERM; while :; do (setsid sleep 600 &) ; sleep 600 & echo $! >> pids; sleep 0.01; done'
    process = subprocess.Popen(["sh", "-c", script], cwd=tmp_path, start_new_session=True)
    until(lambda: (tmp_path / "pids").exists() and len((tmp_path / "pids").read_text().split()) > 20)
    end([process.pid], grace=0.1)
    assert process.wait(10) == -signal.SIGKILL
    assert not [pid for pid in (tmp_path / "pids").read_text().split() if alive(int(pid))]


def test_without_proc_the_group_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "isdir", lambda _: False)
    process = subprocess.Popen(["sh", "-c", "sleep 600 & wait"], start_new_session=True)
    waiting = threading.Thread(target=process.wait)  # a group lasts until its leader is reaped
    waiting.start()
    end([process.pid])
    waiting.join()
    assert process.returncode == -signal.SIGKILL
