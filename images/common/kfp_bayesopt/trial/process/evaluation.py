"""Evaluates one trial: any outcome of the objective, including a crash or a hang, ends in a record."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Self

from kfp_bayesopt.errors import UnavailableError, UserError, shown_name
from kfp_bayesopt.folder.trials import Reason, Record, Steps, Suggestion
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.arguments import call_of, text_of
from kfp_bayesopt.study.environment import Masked
from kfp_bayesopt.study.objective import Objective
from kfp_bayesopt.study.sources import Returned
from kfp_bayesopt.study.sources.base import VALUE, Evidence, Metrics, NoValueError, UnreadError, seen
from kfp_bayesopt.study.sources.intermediate import value_so_far
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.process.interpreters import environment_of, is_too_old, python_of
from kfp_bayesopt.trial.process.output import Output, readable
from kfp_bayesopt.trial.process.sessions import Sessions, StoppedError
from kfp_bayesopt.trial.process.variables import resolve
from kfp_bayesopt.trial.process.watchdog import STOP_SECONDS
from kfp_bayesopt.trial.rungs import Watch

CALLER = Path(__file__).with_name("caller.py")
# Objectives that come with the project: found if nobody has a module of that name.
EXAMPLES = Path(__file__).with_name("examples")
LAUNCHER = Path(__file__).with_name("launcher.py")
FOLDER_PREFIX = "bayesopt-"
NO_FILE = Path("/nonexistent/metrics")
METRIC_FILE = "hypertune/output.metrics"
INTERMEDIATE_FILE = "intermediate.jsonl"
# Delay until the end of a process is noticed if another one holds its pipe open.
POLL_SECONDS = 0.2
# The whole message is in the log; a ledger is read again and again.
LONGEST_ERROR = 4000

logger = logging.getLogger(__name__)


def worker() -> str:
    """Return the name of this process in claims and records."""
    return f"{socket.gethostname()}:{os.getpid()}"


def evaluate(
    study: Study,
    suggestion: Suggestion,
    attempt: int,
    folder: Path,
    sessions: Sessions,
    output: Output,
    environment: Mapping[str, str] | None = None,
    kept: Path | None = None,
    watch: Callable[[Path, Path], Watch] | None = None,
    more: Mapping[str, str] | None = None,
) -> Record:
    """Evaluate a suggestion.

    Args:
        study: The study.
        suggestion: The trial.
        attempt: The number of the attempt, from 1.
        folder: The folder that the objective runs in, searched first for its modules.
        sessions: The sessions that start and end the objective.
        output: Captures the output of the objective.
        environment: Variables for the objective, besides those of the trial. By default ours, as the person made it.
        kept: A folder for the files to keep. By default none are kept.
        watch: What watches the intermediate values, given the file that the objective may write them to and
            that of hypertune. By default nothing does.
        more: Variables of its environment besides.

    Raises:
        StoppedError: The sessions were stopped before there was an outcome; what the objective did then says nothing
            about the trial.
        UnavailableError: The temporary folder of this machine cannot be written, or is full.
    """
    started = datetime.now(UTC)
    clock = time.monotonic()
    with temporary_folder(sessions) as own:
        try:
            variables = resolve(study.objective.env)
        except UserError as error:
            outcome = _Outcome(time.monotonic(), reason=Reason(kind="mistake", message=error.message))
        else:
            given = environment_of(os.environ if environment is None else environment)
            given |= _variables(study, suggestion, own, kept or own / "output") | dict(more or {})
            given |= variables.values
            watching = watch(own / INTERMEDIATE_FILE, own / METRIC_FILE) if watch else None
            masked = Masked(variables.secrets)
            try:
                outcome = _evaluate(study, suggestion, folder, own, sessions, output, given, masked, watching)
            finally:
                if kept is not None:
                    storage.share_below(kept)
            is_unread = outcome.reason is not None and outcome.reason.unread
            if watching is not None and not (is_unread and watching.unread):  # it is read again, and kept whole then
                watching.keep()
    if not outcome.exited:
        logger.warning(
            "trial %d: its process did not exit in %g s (finish_seconds); killed",
            suggestion.trial,
            study.finish_seconds,
        )
    return Record(
        study=study.name,
        fingerprint=study.fingerprint,
        trial=suggestion.trial,
        iteration=suggestion.iteration,
        attempt=attempt,
        parameters=suggestion.parameters,
        state="failed" if outcome.reason is not None else "stopped" if outcome.is_stopped else "completed",
        values=outcome.values if outcome.reason is None else {},
        reason=outcome.reason and outcome.reason.model_copy(update={"last_lines": output.last_lines()}),
        worker=worker(),
        started=started.isoformat(timespec="milliseconds"),
        seconds=round(outcome.ended - clock, 3),
        machine=socket.gethostname(),
        processor_seconds=outcome.processor_seconds,
        memory_bytes=outcome.memory_bytes,
        steps=outcome.steps,
    )


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
            if error.errno not in storage.PASSING:
                raise
            raise _no_room(error) from None


def _no_room(error: OSError) -> UnavailableError:
    return UnavailableError(
        f"a trial needs room for its files while it runs: {error.strerror or error}; free some space, or let TMPDIR "
        "name a folder that can be written, then run the same command again"
    )


def seed_of(study: Study, trial: int) -> int:
    """Return the seed of a trial, from 0 to 2^31 - 1: the same in every place and attempt."""
    digest = hashlib.sha256(f"{study.fingerprint}/{trial}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _variables(study: Study, suggestion: Suggestion, own: Path, kept: Path) -> dict[str, str]:
    """Return the variables that describe the trial to its objective."""
    kept.mkdir(parents=True, exist_ok=True)
    found = {
        "BAYESOPT_STUDY": study.name,
        "BAYESOPT_TRIAL": str(suggestion.trial),
        "BAYESOPT_SEED": str(seed_of(study, suggestion.trial)),
        "BAYESOPT_TRIAL_FOLDER": str(own),
        "BAYESOPT_OUTPUT": str(kept.resolve()),
        # As on Vertex AI, for programs that report to its tuning service.
        "CLOUD_ML_HP_METRIC_FILE": str(own / METRIC_FILE),
        "CLOUD_ML_TRIAL_ID": str(suggestion.trial),
        "BAYESOPT_INTERMEDIATE": str(own / INTERMEDIATE_FILE),
    }
    if suggestion.iteration is not None:
        found["BAYESOPT_ITERATION"] = str(suggestion.iteration)
    return found


def _evaluate(
    study: Study,
    suggestion: Suggestion,
    folder: Path,
    own: Path,
    sessions: Sessions,
    output: Output,
    environment: dict[str, str],
    masked: Masked,
    watch: Watch | None,
) -> _Outcome:
    """Run the objective and extract its value."""
    objective, parameters = study.objective, suggestion.parameters
    evidence = Evidence(
        who=objective.who,
        started=time.time(),
        folders=(own, folder.resolve()),
        metric_file=own / METRIC_FILE,
        mask=masked.mask,
    )
    call = call_of(objective, parameters, own)
    for path, content in call.files.items():
        path.touch(mode=0o600)
        path.write_bytes(content)
    request: dict[str, Any] = {"folder": str(folder)}

    # Names in the study file are not secret; other metrics are kept only if they reveal no secret.
    asked = {*study.goals, *study.limits, VALUE, getattr(study.source, "name", None)}
    look = _follow(study, evidence, output, watch, lambda name, each: name in asked or not masked.hides(name, each))

    # The last lines are complete before they are searched for the last time.
    with watch.watching() if watch else contextlib.nullcontext(), output.capture(look, masked) as printed:
        if objective.python is None:
            environment |= call.variables
            request |= {"command": call.command, "environment": environment}
            program = [sys.executable, "-I", "-S", "-u", str(LAUNCHER)]
            outcome = _call(program, request, study, sessions, printed, os.environ, watch)
        elif (python := python_of(environment)) is None:
            why = (
                "objective.python: there is no python in the image, neither `python` nor `python3` on its PATH; "
                "install one, or give a command"
            )
            return _Outcome(time.monotonic(), reason=Reason(kind="mistake", message=why))
        else:
            request |= {
                "python": objective.python,
                "examples": str(EXAMPLES),
                "args": [parameters] if objective.how == "dict" else [],
                "keywords": parameters if objective.how == "keywords" else {},
                "wants_value": isinstance(study.source, Returned),
            }
            # Unbuffered, so that its output is in the log if it is killed.
            outcome = _call([python, "-u", str(CALLER)], request, study, sessions, printed, environment, watch)
            if outcome.reason is not None and outcome.reason.kind == "exit" and is_too_old(python):
                why = f"objective.python: {python} is older than 3.8; give a newer one, or a command"
                outcome.reason = Reason(kind="mistake", message=why)
    if watch is not None:
        outcome.steps, evidence.reached = watch.curve.summary, watch.curve.reached
        evidence.unread = watch.unread
    _find_values(study, parameters, evidence, outcome, output)
    outcome.values = {
        name: each for name, each in outcome.values.items() if name in asked or not masked.hides(name, each)
    }
    if outcome.reason is not None:
        message = readable(masked.mask(outcome.reason.message), LONGEST_ERROR)
        outcome.reason = outcome.reason.model_copy(update={"message": message})
    return outcome


def _follow(
    study: Study, evidence: Evidence, output: Output, watch: Watch | None, shows: Callable[[str, float], bool]
) -> Callable[[str], None]:
    """Return the function that examines each line of an objective, whose traces are kept if it is watched."""
    if watch is None:
        return lambda line: study.source.look(line, evidence.metrics)

    def find() -> Metrics:
        evidence.printed = output.printed()
        return study.source.find(evidence)

    evidence.metrics = watch.so_far.metrics
    watch.so_far.find, watch.so_far.printed, watch.so_far.shows = find, output.content, shows
    watch.so_far.mask = evidence.mask
    return watch.look


def _find_values(study: Study, parameters: Parameters, evidence: Evidence, outcome: _Outcome, output: Output) -> None:
    """Find the values of an ended objective, or the reason there are none."""
    if outcome.is_stopped:
        assert evidence.reached is not None
        metrics = {name: each.last for name, each in evidence.metrics.items() if math.isfinite(each.last)}
        outcome.values = {**metrics, VALUE: value_so_far(study.source, evidence.reached, study.direction)}
        return
    if outcome.reason is None and outcome.exit:
        lines = output.last_lines()
        # The very last line mostly gives the reason.
        why = f": {lines[-1]}" if lines else "; it printed nothing"
        why += _taken_for_an_option(study.objective, parameters, outcome.exit)
        why = f"{evidence.who} {describe_end(outcome.exit)}{why}"
        outcome.reason = Reason(kind="exit", exit=outcome.exit, message=why)
    if outcome.reason is not None:
        return
    evidence.returned, evidence.last_line = outcome.returned, outcome.last_line
    evidence.printed = output.printed()
    try:
        outcome.values = values_of(study, evidence)
    except UnreadError as error:
        why = f"{error}; the same command reads it again from its log, without evaluating it"
        outcome.reason = Reason(kind="value", message=why, unread=True)
    except NoValueError as error:
        outcome.reason = Reason(kind="value", message=str(error))


def values_of(study: Study, evidence: Evidence) -> dict[str, float]:
    """Return the values from the traces of an objective: the optimised ones, and its metrics.

    Raises:
        NoValueError: A value is missing.
    """
    found = study.source.read(evidence, study.goals)
    values = {name: each for name, each in found.items() if name != VALUE or name in study.goals}
    _check_limits(study, values, evidence.who)
    return values


def _check_limits(study: Study, values: Mapping[str, float], who: str) -> None:
    """Check that the metrics with limits are there.

    Raises:
        NoValueError: One is missing, or is not a finite number.
    """
    for name in study.limits:
        if name not in values:
            others = [other for other in values if other != VALUE]
            what = ", ".join(f"{shown_name(goal)} was {values[goal]!r}" for goal in study.goals)
            raise NoValueError(
                f"{who} gave no finite metric {shown_name(name)}, which has a limit (limits); {seen(name, others)}; "
                f"its {what}"
            )


def _taken_for_an_option(objective: Objective, parameters: Parameters, status: int) -> str:
    """Return the way out if a program took a negative number for an option; programs exit 2 then."""
    words = {f"{{{name}}}": name for name, value in parameters.items() if text_of(value).startswith("-")}
    names = [words[word] for word in objective.command or [] if word in words]
    if status != 2 or not names:
        return ""
    return f"; {names[0]} begins with a -: write --{names[0]}={{{names[0]}}} in one word, or use args: flags"


@dataclass
class _Outcome:
    """The outcome of an objective: its value, or the reason there is none.

    Attributes:
        ended: The time of the outcome, by time.monotonic.
        exited: Whether the process then exited by itself, and was not stopped because it took too long.
        is_stopped: Whether it was stopped because other trials are better.
        steps: A summary of its intermediate values.
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

    @classmethod
    def of(cls, said: dict[str, Any]) -> Self:
        """Read the outcome written by caller.py or launcher.py."""
        reason = said.pop("reason", None)
        if mistake := said.pop("mistake", None):
            reason = {"kind": "raised" if said.pop("is_long") else "mistake", "message": mistake}
        return cls(ended=time.monotonic(), reason=reason and Reason(**reason), **said)


def _call(
    program: Sequence[str],
    request: dict[str, Any],
    study: Study,
    sessions: Sessions,
    printed: int,
    environment: Mapping[str, str],
    watch: Watch | None,
) -> _Outcome:
    """Run caller.py or launcher.py with a request and return the outcome."""
    token = os.urandom(8).hex()
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        try:
            process = sessions.start([*program, str(writer)], [writer], printed, environment)
        except OSError as error:
            why = f"objective.python: cannot run {program[0]}: {error.strerror}"
            return _Outcome(time.monotonic(), reason=Reason(kind="mistake", message=why))
        finally:
            os.close(writer)
        grace = STOP_SECONDS
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(json.dumps({**request, "token": token}).encode() + b"\n")
            outcome = _wait(pipe, process, token, study.max_trial_seconds, study.finish_seconds, watch)
            if process.poll() is not None:
                grace = 0.0  # what it left behind has had its time
        finally:
            sessions.end(process, grace)
    if outcome.ended >= sessions.stopped_at:
        raise StoppedError
    return outcome


def _wait(
    pipe: IO[bytes],
    process: subprocess.Popen[bytes],
    token: str,
    limit: float | None,
    finish: float,
    watch: Watch | None = None,
) -> _Outcome:
    """Wait for the outcome, and then for the process to exit.

    The end of the pipe alone is not enough: processes that the objective forked hold it open too.

    Args:
        pipe: The pipe for the outcome.
        process: The process of the objective.
        token: The mark of the outcome; anything else written there is not ours.
        limit: The seconds that the outcome may take.
        finish: The seconds that the process may then take to exit: exit handlers, files, threads that save something.
        watch: Tells when the trial is stopped early.
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
                    deadline = time.monotonic() + finish
        if has_ended:
            break
        if outcome is None and watch is not None and watch.stopped is not None:
            return _Outcome(ended=time.monotonic(), is_stopped=True)
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
