"""Evaluates one trial: what the objective does, crash and hang included, ends in a record."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from bayesopt.errors import UserError
from bayesopt.space import Parameters
from bayesopt.study import Objective, Study
from bayesopt.trials import Batch, Record
from call_objective import describe_end

# The whole of it is in the log; a ledger is read again and again.
LONGEST_ERROR = 4000


def evaluate(study: Study, batch: Batch, index: int, folder: Path) -> Record:
    """Evaluate the trial at an index of a batch, from 0.

    Args:
        study: The study.
        batch: The suggestions of an iteration.
        index: Which of them. One that is not there gives a record that says `skipped`.
        folder: Where the objective runs, and where its modules are looked for first.

    Raises:
        UserError: The objective cannot be called at all: not found, or of another signature.
    """
    started = datetime.now(UTC)
    clock = time.monotonic()
    outcome: dict[str, Any] = {"skipped": True}
    suggestion = batch.suggestions[index] if index < len(batch.suggestions) else None
    if suggestion is not None:
        os.environ.update(
            BAYESOPT_STUDY=study.name, BAYESOPT_ITERATION=str(batch.iteration), BAYESOPT_TRIAL=str(suggestion.trial)
        )
        outcome = _call(study.objective, suggestion.parameters, folder, study.max_trial_seconds)
    if "mistake" in outcome:
        raise UserError(outcome["mistake"])
    return Record(
        study=study.name,
        fingerprint=study.fingerprint,
        iteration=batch.iteration,
        trial=suggestion.trial if suggestion else None,
        parameters=suggestion.parameters if suggestion else None,
        state="skipped" if suggestion is None else "failed" if "failed" in outcome else "completed",
        value=outcome.get("value"),
        error=_printable(outcome["failed"]) if "failed" in outcome else None,
        started=started.isoformat(timespec="milliseconds"),
        seconds=round(time.monotonic() - clock, 3),
        host=socket.gethostname(),
    )


def _call(objective: Objective, parameters: Parameters, folder: Path, limit: float | None) -> dict[str, Any]:
    """Run call_objective.py and return its outcome; it is killed with all that it started after `limit` seconds."""
    request = {**objective.model_dump(), "parameters": parameters, "folder": str(folder)}
    reader, writer = os.pipe()
    process = subprocess.Popen(
        # Unbuffered, so that what it printed is in the log when it is killed.
        [sys.executable, "-u", str(Path(__file__).with_name("call_objective.py")), str(writer)],
        stdin=subprocess.PIPE,
        pass_fds=[writer],
        start_new_session=True,
    )
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as pipe:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(json.dumps(request).encode())
            try:
                _wait(pipe, process, limit)
            except TimeoutError:
                return {
                    "failed": f"the objective must end within {limit:g} s (max_trial_seconds), but was still running"
                }
            line = pipe.readline() if select.select([pipe], [], [], 0)[0] else b""
        if line:
            outcome: dict[str, Any] = json.loads(line)
            return outcome
        return {"failed": f"the process of the objective must return a value, but {describe_end(process.wait())}"}
    finally:
        # Whatever it left behind, or all of it when we are interrupted ourselves.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(pipe: BinaryIO, process: subprocess.Popen[bytes], limit: float | None) -> None:
    """Return when the outcome is there or the process has ended.

    The end of the pipe alone would not tell: processes that the objective forked hold it open too.

    Raises:
        TimeoutError: Neither happened within `limit` seconds.
    """
    deadline = math.inf if limit is None else time.monotonic() + limit
    while process.poll() is None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if select.select([pipe], [], [], min(left, 0.5))[0]:
            return


def _printable(error: str) -> str:
    """Return what a record can hold of an error: no endless text, and nothing that is no Unicode."""
    return error[:LONGEST_ERROR].encode(errors="replace").decode()
