"""The sessions that objectives run in, and the end of all of their processes, whatever ends ours.

As a program it is the watchdog of a process: it reads lines `+PID` and `-PID`, which sessions there are, from its
standard input. At the end of that, when the process has ended in any way at all, it kills those that are left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import IO, Self

# How long an objective that is asked to stop may take, and how long a killed process may take to be gone.
STOP_SECONDS = 5.0
SECONDS_BETWEEN_LOOKS = 0.02


class StoppedError(Exception):
    """The process that asks for an objective has been told to stop."""


class Sessions:
    """Starts programs in sessions of their own, and ends them.

    Threads may share it. After `stop` none runs: not even one that a thread was just about to start.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._watchdog: subprocess.Popen[bytes] | None = None
        self.stopped = False

    def start(
        self,
        command: Sequence[str],
        pass_fds: Collection[int],
        output: IO[bytes] | None,
        environment: Mapping[str, str],
    ) -> subprocess.Popen[bytes]:
        """Start a program whose standard input is a pipe.

        It must wait for its input: only what is sent there after the return is sure to be watched.

        Args:
            command: Program and arguments.
            pass_fds: File descriptors that it inherits.
            output: Where it prints to; ours where None.
            environment: Its environment.

        Raises:
            StoppedError: `stop` was called.
        """
        with self._lock:
            if self.stopped:
                raise StoppedError
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=None if output is None else subprocess.STDOUT,
                pass_fds=pass_fds,
                env=environment,
                start_new_session=True,
            )
            self._running.add(process.pid)
            self._tell(f"+{process.pid}\n")
        return process

    def end(self, process: subprocess.Popen[bytes], grace: float = 0.0) -> None:
        """End all processes of a session; with a grace they are asked first, and killed after so many seconds."""
        end([process.pid], grace)
        with self._lock:
            self._running.discard(process.pid)
            self._tell(f"-{process.pid}\n")
        process.wait()

    def stop(self) -> None:
        """End what runs, all at once: politely first."""
        with self._lock:
            self.stopped = True
            running = set(self._running)
        end(running, STOP_SECONDS)

    def _tell(self, line: str) -> None:
        try:
            if self._watchdog is None:
                self._watch()
            else:
                self._send(line)
        except BrokenPipeError:  # somebody has killed it
            self._watch()

    def _watch(self) -> None:
        """Start a watchdog and tell it all that runs."""
        self._dismiss()
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us
        )
        self._send("".join(f"+{pid}\n" for pid in self._running))

    def _send(self, lines: str) -> None:
        assert self._watchdog is not None
        assert self._watchdog.stdin is not None
        os.write(self._watchdog.stdin.fileno(), lines.encode())

    def _dismiss(self) -> None:
        if self._watchdog is not None:
            assert self._watchdog.stdin is not None
            self._watchdog.stdin.close()
            self._watchdog.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dismiss()  # which kills what an interrupted `stop` has left


def end(leaders: Collection[int], grace: float = 0.0) -> None:
    """End all processes of sessions, and all that these have started, until none is left.

    Args:
        leaders: The processes that lead the sessions.
        grace: For how many seconds they are asked, before they are killed.
    """
    known: set[int] = set()
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, STOP_SECONDS)):
        deadline = time.monotonic() + seconds
        while seconds and (members := _members(leaders, known)):
            # Asked once, but killed until it is dead: it may be in the middle of a fork.
            for pid in members if number == signal.SIGKILL else members - known:
                _signal(pid, number)
            known |= members
            if time.monotonic() > deadline:
                break
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, or it has become another user's
        os.kill(pid, number)


def _members(leaders: Collection[int], known: Collection[int]) -> set[int]:
    """Return the processes of sessions and their descendants; without /proc the groups of their leaders, negative.

    Args:
        leaders: The processes that lead the sessions.
        known: Processes that were members when their parents were still there.
    """
    parents: dict[int, int] = {}
    found: set[int] = set()
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():  # noqa: PTH112, PTH208 - fast
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - fast
                state, parent, _, session = file.read().rpartition(b")")[2].split()[:4]
        except OSError:  # it has just ended
            continue
        if state in (b"Z", b"X"):
            continue
        parents[int(name)] = int(parent)
        if int(session) in leaders or int(name) in known:
            found.add(int(name))
    if not parents:
        return {-leader for leader in leaders if _has_group(leader)}
    # A child that has made itself a session is one of theirs too.
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _has_group(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    """Watch the process that writes to our standard input."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with the process, not before
    sessions: set[int] = set()
    for line in sys.stdin:
        (sessions.add if line[0] == "+" else sessions.discard)(int(line[1:]))
    end(sessions)


if __name__ == "__main__":
    main()
