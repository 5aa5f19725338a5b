"""The sessions of objectives: all of their processes end, whatever ends ours."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from kfp_bayesopt.errors import UnavailableError
from kfp_bayesopt.store.local import PASSING
from kfp_bayesopt.trial.process import watchdog
from kfp_bayesopt.trial.process.memory import MemoryWatch
from kfp_bayesopt.trial.process.watchdog import STOP_SECONDS, end

FOLDER_PREFIX = "bayesopt-"


class StoppedError(Exception):
    """The process that runs an objective has been told to stop."""


class Sessions:
    """Starts programs in sessions of their own, and ends them.

    Threads may share it. After `stop` nothing runs, not even a program that a thread was just about to start.

    Attributes:
        memory: Watches the memory of the container while objectives run.
        lasting: What ends with them, such as a folder that several objectives use.
    """

    def __init__(self) -> None:
        self.memory = MemoryWatch()
        self.lasting = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._folders: set[str] = set()
        self._watchdog: subprocess.Popen[bytes] | None = None
        self.stopped_at = math.inf  # by time.monotonic

    def start(
        self,
        command: Sequence[str],
        pass_fds: Collection[int],
        output: int | None,
        environment: Mapping[str, str],
    ) -> subprocess.Popen[bytes]:
        """Start a program whose standard input is a pipe.

        The program must wait for its input: only after the return is it sure to be watched.

        Args:
            command: Program and arguments.
            pass_fds: File descriptors that it inherits.
            output: File descriptor that it prints to; None for our own output.
            environment: Its environment.

        Raises:
            StoppedError: `stop` was called.
        """
        with self._lock:
            if self.is_stopped:
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
        """End all processes of a session; with a grace period they are asked first, and killed after it."""
        end([process.pid], grace)
        with self._lock:
            self._running.discard(process.pid)
            self._tell(f"-{process.pid}\n")
        process.wait()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self.stopped_at < math.inf

    def stop(self) -> None:
        """End all running programs at once, asking them first."""
        with self._lock:
            self.stopped_at = min(self.stopped_at, time.monotonic())
            running = set(self._running)
        end(running, STOP_SECONDS)

    @contextlib.contextmanager
    def with_folder(self, folder: Path) -> Iterator[None]:
        """Remove a folder for the caller even if this process is killed in the block."""
        name = f"/{os.fsencode(folder).hex()}"  # a path may have lines
        with self._lock:
            self._folders.add(name)
            self._tell(f"+{name}\n")
        try:
            yield
        finally:
            with self._lock:
                self._folders.discard(name)
                self._tell(f"-{name}\n")

    def _tell(self, line: str) -> None:
        try:
            if self._watchdog is None:
                self._watch()
            else:
                self._send(line)
        except BrokenPipeError:  # somebody has killed it
            self._watch()

    def _watch(self) -> None:
        """Start a watchdog and tell it all that is running."""
        self._dismiss()
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us
        )
        self._send("".join(f"+{each}\n" for each in (*self._running, *self._folders)))

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
        try:
            self.stop()
            self.lasting.close()
        finally:
            self._dismiss()  # which kills what an interrupted `stop` has left


@contextlib.contextmanager
def temporary_folder(sessions: Sessions) -> Iterator[Path]:
    """Yield a new folder for the files of a trial; it is removed at the end, even if this process is killed.

    Raises:
        UnavailableError: It cannot be made, or there is no room for what is written in the block.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX, ignore_cleanup_errors=True)
    except OSError as error:
        raise _no_room(error) from None
    with made as folder:
        path = Path(folder).resolve()
        try:
            with sessions.with_folder(path):
                yield path
        except OSError as error:
            if error.errno not in PASSING:
                raise
            raise _no_room(error) from None


def _no_room(error: OSError) -> UnavailableError:
    return UnavailableError(
        f"a trial needs room for its files while it runs: {error.strerror or error}; free some space, or let TMPDIR "
        "name a folder that can be written, then run the same command again"
    )
