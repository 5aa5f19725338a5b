"""Runs an objective in a process of its own, by caller.py or launcher.py, and waits for its outcome."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from kfp_bayesopt.folder.trials import Reason, Steps
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError
from kfp_bayesopt.trial.process.watchdog import STOP_SECONDS

CALLER = Path(__file__).with_name("caller.py")
# Objectives that come with the project: found if nobody has a module of that name.
EXAMPLES = Path(__file__).with_name("examples")
LAUNCHER = Path(__file__).with_name("launcher.py")
KILLED = frozenset({-signal.SIGKILL, 128 + signal.SIGKILL})
"""The exit status of a process that was killed, and of a shell whose last program was."""
# Delay until the end of a process is noticed if another one holds its pipe open.
POLL_SECONDS = 0.2


@dataclass
class Outcome:
    """The outcome of an objective: its value, or the reason there is none.

    Attributes:
        ended: The time of the outcome, by time.monotonic.
        exited: Whether the process then exited by itself, and was not stopped because it took too long.
        is_stopped: Whether it was stopped because other trials are better.
        steps: A summary of its intermediate values.
        warnings: What a person should look at in what it printed.
    """

    ended: float
    returned: Any = None
    last_line: str = ""
    exit: int = 0
    reason: Reason | None = None
    values: dict[str, float] = field(default_factory=dict)
    processor_seconds: float | None = None
    memory_bytes: int | None = None
    exited: bool = True
    is_stopped: bool = False
    steps: Steps | None = None
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, said: dict[str, Any]) -> Self:
        """Read the outcome written by caller.py or launcher.py."""
        reason = said.pop("reason", None)
        if mistake := said.pop("mistake", None):
            reason = {"kind": "raised" if said.pop("is_long") else "mistake", "message": mistake}
        return cls(ended=time.monotonic(), reason=reason and Reason(**reason), **said)


def call(
    program: Sequence[str],
    request: dict[str, Any],
    study: Study,
    sessions: Sessions,
    printed: int,
    environment: Mapping[str, str],
    is_over: Callable[[], bool],
) -> Outcome:
    """Run caller.py or launcher.py with a request and return the outcome."""
    token = os.urandom(8).hex()
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        try:
            process = sessions.start([*program, str(writer)], [writer], printed, environment)
        except OSError as error:
            why = f"objective.python: cannot run {program[0]}: {error.strerror}"
            return Outcome(time.monotonic(), reason=Reason(kind="mistake", message=why))
        finally:
            os.close(writer)
        grace = STOP_SECONDS
        memory = sessions.memory
        kills = memory.kills()
        try:
            assert process.stdin is not None
            with memory.watching(process.pid) as watched:
                with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                    stdin.write(json.dumps({**request, "token": token}).encode() + b"\n")
                outcome = _wait(pipe, process, token, study.max_trial_seconds, study.finish_seconds, is_over)
            if process.poll() is not None:
                grace = 0.0  # what it left behind has had its time
        finally:
            sessions.end(process, grace)
    if outcome.ended >= sessions.stopped_at:
        raise StoppedError
    if outcome.exit in KILLED and (outcome.reason is None or outcome.reason.kind == "exit"):
        if watched.reason is not None:
            outcome.reason, outcome.memory_bytes = watched.reason, watched.memory_bytes
        elif memory.kills() > kills:
            outcome.reason = memory.killed()
    return outcome


def _wait(
    pipe: IO[bytes],
    process: subprocess.Popen[bytes],
    token: str,
    limit: float | None,
    finish: float,
    is_over: Callable[[], bool],
) -> Outcome:
    """Wait for the outcome, and then for the process to exit.

    The end of the pipe alone is not enough: processes that the objective forked hold it open too.

    Args:
        pipe: The pipe for the outcome.
        process: The process of the objective.
        token: The mark of the outcome; anything else written there is not ours.
        limit: The seconds that the outcome may take.
        finish: The seconds that the process may then take to exit: exit handlers, files, threads that save something.
        is_over: Tells whether the trial is stopped early.
    """
    outcome: Outcome | None = None
    deadline = math.inf if limit is None else time.monotonic() + limit
    received = b""
    is_open = True
    while (left := deadline - time.monotonic()) > 0:
        has_ended = process.poll() is not None
        pause = 0.0 if has_ended else min(left, POLL_SECONDS)
        if not is_open:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(pause)
        elif select.select([pipe], [], [], pause)[0]:
            chunk = os.read(pipe.fileno(), 1 << 20)
            is_open = bool(chunk)
            *lines, received = (received + chunk).split(b"\n")
            received = received[-(1 << 20) :]
            for line in lines:
                if outcome is None and (said := _parse(line, token)):
                    outcome = Outcome.of(said)
                    deadline = time.monotonic() + finish
        if has_ended:
            break
        if outcome is None and is_over():
            return Outcome(ended=time.monotonic(), is_stopped=True)
    if outcome is not None:
        outcome.exited = process.poll() is not None
        return outcome
    status = process.poll()
    if status is None:
        why = f"the objective took longer than {limit:g} s (max_trial_seconds) and was stopped"
        reason = Reason(kind="timeout", message=why)
    else:
        why = f"the process of the objective {describe_end(status)} before it returned a value"
        reason = Reason(kind="exit", exit=status, message=why)
    return Outcome(ended=time.monotonic(), exit=status or 0, reason=reason)


def describe_end(status: int) -> str:
    """Describe an exit status, as `subprocess` gives it."""
    if status >= 0:
        return f"exited {status}"
    known = {number.value: number.name for number in signal.Signals}
    hint = " (often: out of memory)" if -status == signal.SIGKILL else ""
    return f"was killed by {known.get(-status, f'signal {-status}')}{hint}"


def _parse(line: bytes, token: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.pop("token", None) != token:
        return None
    return found
