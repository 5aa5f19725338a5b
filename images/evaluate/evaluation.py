"""Evaluates one trial: what the objective does, crash and hang included, ends in a record."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Self

from bayesopt.study import Study
from bayesopt.trials import VALUE, Reason, Record, Suggestion

from .call_objective import LONGEST_ERROR, describe_end
from .output import Output, readable
from .sessions import Sessions, StoppedError
from .watchdog import STOP_SECONDS

# How long an objective may take to exit once its value is there: exit handlers, files, threads that save something.
FINISH_SECONDS = 60.0
# How soon the end of a process is noticed where another one holds its pipe open.
POLL_SECONDS = 0.2

logger = logging.getLogger(__name__)


def worker() -> str:
    """Return what a claim and a record call this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def evaluate(
    study: Study,
    suggestion: Suggestion,
    attempt: int,
    folder: Path,
    sessions: Sessions,
    output: Output,
    environment: Mapping[str, str] | None = None,
) -> Record:
    """Evaluate a suggestion.

    Args:
        study: The study.
        suggestion: What to evaluate.
        attempt: Which try it is, from 1.
        folder: Where the objective runs, and where its modules are looked for first.
        sessions: What starts the objective, and ends it.
        output: What captures what the objective prints.
        environment: What the objective finds in its environment, besides what names the trial. By default ours.

    Raises:
        StoppedError: The sessions were stopped before there was an outcome; what the objective did then says nothing
            about the trial.
    """
    started = datetime.now(UTC)
    clock = time.monotonic()
    environment = {
        **(os.environ if environment is None else environment),
        "BAYESOPT_STUDY": study.name,
        "BAYESOPT_TRIAL": str(suggestion.trial),
    }
    if suggestion.iteration is not None:
        environment["BAYESOPT_ITERATION"] = str(suggestion.iteration)
    request = {**study.objective.model_dump(), "parameters": suggestion.parameters, "folder": str(folder)}
    with output.capture() as printed:
        outcome = _call(request, study.max_trial_seconds, sessions, printed, environment)
    if not outcome.exited:
        logger.warning("trial %d: its process did not exit in %g s; killed", suggestion.trial, FINISH_SECONDS)
    return Record(
        study=study.name,
        fingerprint=study.fingerprint,
        trial=suggestion.trial,
        iteration=suggestion.iteration,
        attempt=attempt,
        parameters=suggestion.parameters,
        state="completed" if outcome.reason is None else "failed",
        values={} if outcome.value is None else {VALUE: outcome.value},
        reason=outcome.reason and outcome.reason.model_copy(update={"last_lines": output.last_lines()}),
        worker=worker(),
        started=started.isoformat(timespec="milliseconds"),
        seconds=round(outcome.ended - clock, 3),
        machine=socket.gethostname(),
        processor_seconds=outcome.processor_seconds,
        memory_bytes=outcome.memory_bytes,
    )


@dataclass
class _Outcome:
    """What came of an objective: a value, or the reason why there is none.

    Attributes:
        ended: When it was there, by time.monotonic.
        exited: Whether the process then exited by itself, or was stopped because it took too long.
    """

    ended: float
    value: float | None = None
    reason: Reason | None = None
    processor_seconds: float | None = None
    memory_bytes: int | None = None
    exited: bool = True

    @classmethod
    def of(cls, said: dict[str, Any]) -> Self:
        """Read what call_objective.py says."""
        reason = said.pop("reason", None)
        if reason is not None:
            reason = Reason(**{**reason, "message": readable(reason["message"], LONGEST_ERROR)})
        return cls(ended=time.monotonic(), reason=reason, **said)


def _call(
    request: dict[str, Any],
    limit: float | None,
    sessions: Sessions,
    printed: int,
    environment: Mapping[str, str],
) -> _Outcome:
    """Run call_objective.py and return its outcome."""
    token = os.urandom(8).hex()
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        try:
            process = sessions.start(
                # Unbuffered, so that what it printed is in the log when it is killed.
                [sys.executable, "-u", str(Path(__file__).with_name("call_objective.py")), str(writer)],
                [writer],
                printed,
                environment,
            )
        finally:
            os.close(writer)
        grace = STOP_SECONDS
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(json.dumps({**request, "token": token}).encode() + b"\n")
            outcome = _wait(pipe, process, token, limit)
            if process.poll() is not None:
                grace = 0.0  # what it left behind has had its time
        finally:
            sessions.end(process, grace)
    if outcome.ended >= sessions.stopped_at:
        raise StoppedError
    return outcome


def _wait(pipe: IO[bytes], process: subprocess.Popen[bytes], token: str, limit: float | None) -> _Outcome:
    """Wait for the outcome, and then for the process to exit.

    The end of the pipe alone would not tell: processes that the objective forked hold it open too.

    Args:
        pipe: Where the outcome comes.
        process: The process of the objective.
        token: What the outcome carries; anything else that is written there is not ours.
        limit: How many seconds the outcome may take.
    """
    outcome: _Outcome | None = None
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
                    outcome = _Outcome.of(said)
                    deadline = time.monotonic() + FINISH_SECONDS
        if has_ended:
            break
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
    return _Outcome(ended=time.monotonic(), reason=reason)


def _parse(line: bytes, token: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.pop("token", None) != token:
        return None
    return found
