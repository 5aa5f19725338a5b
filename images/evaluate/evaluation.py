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
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from bayesopt.budget import due
from bayesopt.errors import UserError
from bayesopt.study import Study
from bayesopt.trials import Batch, Record

from .call_objective import LONGEST_ERROR, describe_end
from .sessions import Sessions, StoppedError
from .watchdog import STOP_SECONDS

# How long an objective may take to exit once its value is there: exit handlers, files, threads that save something.
FINISH_SECONDS = 60.0
# How soon the end of a process is noticed where another one holds its pipe open.
POLL_SECONDS = 0.2

logger = logging.getLogger(__name__)


def evaluate(
    study: Study,
    batch: Batch,
    index: int,
    folder: Path,
    sessions: Sessions,
    output: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Record:
    """Evaluate the trial at an index of a batch, from 0.

    Args:
        study: The study.
        batch: The suggestions of an iteration.
        index: Which of them. One that the batch does not have, or that is beyond the budget of the study, gives a
            record that says `skipped`.
        folder: Where the objective runs, and where its modules are looked for first.
        sessions: What starts the objective, and ends it.
        output: Where the objective prints to. By default to where we do.
        environment: What the objective finds in its environment, besides what names the trial. By default ours.

    Raises:
        UserError: The objective cannot be called at all: not found, or of another signature.
        StoppedError: The sessions were stopped before there was an outcome; what the objective did then says nothing
            about the trial.
    """
    started = datetime.now(UTC)
    clock = time.monotonic()
    outcome: dict[str, Any] = {"skipped": True}
    seconds = 0.0
    suggestion = batch.suggestions[index] if index < due(study, batch) else None
    if suggestion is not None:
        environment = {
            **(os.environ if environment is None else environment),
            "BAYESOPT_STUDY": study.name,
            "BAYESOPT_ITERATION": str(batch.iteration),
            "BAYESOPT_TRIAL": str(suggestion.trial),
        }
        request = {**study.objective.model_dump(), "parameters": suggestion.parameters, "folder": str(folder)}
        outcome = _call(request, study.max_trial_seconds, sessions, output, environment)
        seconds = outcome["ended"] - clock
        if not outcome["exited"]:
            logger.warning("trial %d: its process did not exit in %g s; killed", suggestion.trial, FINISH_SECONDS)
    if "mistake" in outcome:
        raise UserError(_readable(outcome["mistake"]))
    return Record(
        study=study.name,
        fingerprint=study.fingerprint,
        iteration=batch.iteration,
        trial=suggestion.trial if suggestion else None,
        parameters=suggestion.parameters if suggestion else None,
        state="skipped" if suggestion is None else "failed" if "failed" in outcome else "completed",
        value=outcome.get("value"),
        error=_readable(outcome["failed"]) if "failed" in outcome else None,
        started=started.isoformat(timespec="milliseconds"),
        seconds=round(seconds, 3),
        host=socket.gethostname(),
    )


def _call(
    request: dict[str, Any],
    limit: float | None,
    sessions: Sessions,
    output: IO[bytes] | None,
    environment: Mapping[str, str],
) -> dict[str, Any]:
    """Run call_objective.py; return its outcome, when it was there (`ended`), and whether the process then `exited`."""
    token = os.urandom(8).hex()
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        try:
            process = sessions.start(
                # Unbuffered, so that what it printed is in the log when it is killed.
                [sys.executable, "-u", str(Path(__file__).with_name("call_objective.py")), str(writer)],
                [writer],
                output,
                environment,
            )
        finally:
            os.close(writer)
        grace = STOP_SECONDS
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(json.dumps({**request, "token": token}).encode() + b"\n")
            outcome = _outcome(pipe, process, token, limit)
            if process.poll() is not None:
                grace = 0.0  # what it left behind has had its time
        finally:
            sessions.end(process, grace)
    if outcome["ended"] >= sessions.stopped_at:
        raise StoppedError
    return outcome


def _outcome(pipe: IO[bytes], process: subprocess.Popen[bytes], token: str, limit: float | None) -> dict[str, Any]:
    """Wait for the outcome, and then for the process to exit.

    The end of the pipe alone would not tell: processes that the objective forked hold it open too.

    Args:
        pipe: Where the outcome comes.
        process: The process of the objective.
        token: What the outcome carries; anything else that is written there is not ours.
        limit: How many seconds the outcome may take.
    """
    outcome: dict[str, Any] | None = None
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
                if outcome is None and (outcome := _parse(line, token)):
                    outcome["ended"] = time.monotonic()
                    deadline = time.monotonic() + FINISH_SECONDS
        if has_ended:
            break
    if outcome is not None:
        outcome["exited"] = process.poll() is not None
        return outcome
    if process.poll() is None:
        why = f"the objective took longer than {limit:g} s (max_trial_seconds) and was stopped"
    else:
        why = f"the process of the objective {describe_end(process.returncode)} before it returned a value"
    return {"failed": why, "ended": time.monotonic(), "exited": True}


def _parse(line: bytes, token: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.pop("token", None) != token:
        return None
    return found


def _readable(error: str) -> str:
    """Return what a record can hold of an error and a terminal can show: cut, and without control characters."""
    shown = "".join(
        character if character.isprintable() or character in "\n\t" else character.encode("unicode_escape").decode()
        for character in error[:LONGEST_ERROR]
    )
    return shown[:LONGEST_ERROR]
