"""Evaluates one trial: any outcome of the objective, including a crash or a hang, ends in a record."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kfp_bayesopt.errors import UnavailableError, UserError, shown_name
from kfp_bayesopt.folder.data import Data, check_data
from kfp_bayesopt.folder.trials import Reason, Record, Suggestion
from kfp_bayesopt.function.file import FunctionFile
from kfp_bayesopt.private import without_private
from kfp_bayesopt.store.local import share_below
from kfp_bayesopt.study.arguments import call_of, text_of
from kfp_bayesopt.study.environment import Masked
from kfp_bayesopt.study.sources import Returned
from kfp_bayesopt.study.sources.base import VALUE, Evidence, Metrics, NoValueError, UnreadError, seen
from kfp_bayesopt.study.sources.intermediate import value_so_far
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.observer import Observer
from kfp_bayesopt.trial.packages import FUNCTION_FILE, brought_along
from kfp_bayesopt.trial.process.call import CALLER, EXAMPLES, LAUNCHER, Outcome, call, describe_end
from kfp_bayesopt.trial.process.interpreters import environment_of, is_too_old, python_of
from kfp_bayesopt.trial.process.output import Output, readable
from kfp_bayesopt.trial.process.sessions import Sessions, temporary_folder
from kfp_bayesopt.trial.process.variables import resolve
from kfp_bayesopt.trial.process.working_folder import folders_of

METRIC_FILE = "hypertune/output.metrics"
INTERMEDIATE_FILE = "intermediate.jsonl"
OF_DATA = ("BAYESOPT_DATA", "BAYESOPT_DATA_URI")
"""What a trial finds its data in, and where an artifact lies."""
# The whole message is in the log; a ledger is read again and again.
LONGEST_ERROR = 4000

logger = logging.getLogger(__name__)


def this_worker() -> str:
    """Return the name of this process in claims and records."""
    return f"{socket.gethostname()}:{os.getpid()}"


def run_objective(
    study: Study,
    suggestion: Suggestion,
    attempt: int,
    folder: Path,
    sessions: Sessions,
    output: Output,
    environment: Mapping[str, str] | None = None,
    kept: Path | None = None,
    observe: Callable[[Path, Path], Observer] | None = None,
    more: Mapping[str, str] | None = None,
    data: Data | None = None,
    function: FunctionFile | None = None,
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
        observe: What observes the intermediate values, given the file that the objective may write them to and
            that of hypertune. By default nothing does.
        more: Variables of its environment besides.
        data: What it is given.
        function: The file of a function that travels; in an image its packages are installed too.

    Raises:
        StoppedError: The sessions were stopped before there was an outcome; what the objective did then says nothing
            about the trial.
        UnavailableError: The temporary folder of this machine cannot be written, or is full; the cache of the
            packages does not answer.
    """
    started = datetime.now(UTC)
    clock = time.monotonic()
    with temporary_folder(sessions) as own, contextlib.ExitStack() as packages:
        try:
            check_data(study, data)
            variables = resolve(study.objective.env)
            given = environment_of(os.environ if environment is None else environment)
            given = {name: value for name, value in given.items() if name not in OF_DATA}  # those of an outer study
            given |= _variables(study, suggestion, own, kept or own / "output", data) | dict(more or {})
            given |= variables.values
            given |= packages.enter_context(brought_along(study.objective.function, function, own, given, sessions))
        except UnavailableError:
            raise
        except UserError as error:
            outcome = Outcome(time.monotonic(), reason=Reason(kind="mistake", message=error.message))
        else:
            observer = observe(own / INTERMEDIATE_FILE, own / METRIC_FILE) if observe else None
            masked = Masked(variables.secrets)
            try:
                outcome = _evaluate(study, suggestion, folder, own, sessions, output, given, masked, observer, data)
            finally:
                if kept is not None:
                    share_below(kept)
            is_unread = outcome.reason is not None and outcome.reason.unread
            if observer is not None and not (is_unread and observer.unread):  # it is read again, and kept whole then
                observer.keep()
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
        worker=this_worker(),
        started=started.isoformat(timespec="milliseconds"),
        seconds=round(outcome.ended - clock, 3),
        machine=socket.gethostname(),
        processor_seconds=outcome.processor_seconds,
        memory_bytes=outcome.memory_bytes,
        steps=outcome.steps,
        warnings=outcome.warnings or None,
    )


def seed_of(study: Study, trial: int) -> int:
    """Return the seed of a trial, from 0 to 2^31 - 1: the same in every place and attempt."""
    digest = hashlib.sha256(f"{study.fingerprint}/{trial}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _variables(study: Study, suggestion: Suggestion, own: Path, kept: Path, data: Data | None) -> dict[str, str]:
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
    if data is not None:
        both = zip(OF_DATA, (data.given, data.uri), strict=True)
        found |= {name: value for name, value in both if value is not None}
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
    observer: Observer | None,
    data: Data | None,
) -> Outcome:
    """Run the objective and extract its value."""
    objective, parameters = study.objective, suggestion.parameters
    folders = folders_of(objective.folder, folder, own)
    evidence = Evidence(
        who=objective.who,
        started=time.time(),
        folders=(own, *(each.resolve() for each in folders)),
        metric_file=own / METRIC_FILE,
        mask=masked.mask,
    )
    asked_for = call_of(objective, parameters, own, None if data is None else data.given)
    for path, content in asked_for.files.items():
        path.touch(mode=0o600)
        path.write_bytes(content)
    request: dict[str, Any] = {"folder": str(folders[0])}

    # Names in the study file are not secret; other metrics are kept only if they reveal no secret.
    asked = {*study.goals, *study.limits, VALUE, getattr(study.source, "name", None)}
    look = _follow(study, evidence, output, observer, lambda name, each: name in asked or not masked.hides(name, each))

    def is_over() -> bool:
        return observer is not None and observer.stopped is not None

    # The last lines are complete before they are searched for the last time.
    with observer.observing() if observer else contextlib.nullcontext(), output.capture(look, masked) as printed:
        if objective.command is not None:
            environment |= asked_for.variables
            request |= {"command": asked_for.command, "environment": environment}
            program = [sys.executable, "-I", "-S", "-u", str(LAUNCHER)]
            outcome = call(program, request, study, sessions, printed, without_private(os.environ), is_over)
        elif (python := python_of(environment)) is None:
            why = (
                "objective.python: there is no python in the image, neither `python` nor `python3` on its PATH; "
                "install one, or give a command"
            )
            return Outcome(time.monotonic(), reason=Reason(kind="mistake", message=why))
        else:
            request |= {
                "python": objective.who,
                "examples": str(EXAMPLES),
                "args": [parameters] if objective.how == "dict" else [],
                "keywords": parameters if objective.how == "keywords" else {},
                "wants_value": isinstance(study.source, Returned),
            }
            if objective.function is not None:
                request |= {"file": str(own / FUNCTION_FILE), "sha256": objective.function.file}
            # Unbuffered, so that its output is in the log if it is killed.
            outcome = call([python, "-u", str(CALLER)], request, study, sessions, printed, environment, is_over)
            if outcome.reason is not None and outcome.reason.kind == "exit" and is_too_old(python):
                why = f"objective.python: {python} is older than 3.8; give a newer one, or a command"
                outcome.reason = Reason(kind="mistake", message=why)
    if observer is not None:
        outcome.steps, evidence.reached = observer.curve.summary, observer.curve.reached
        evidence.unread, evidence.nans = observer.unread, observer.curve.nans
    _find_values(study, suggestion, evidence, outcome, output)
    warnings = evidence.metrics.memory.warnings + (observer.curve.warnings if observer is not None else [])
    outcome.warnings = list(dict.fromkeys(warnings))
    for warning in outcome.warnings:
        logger.warning("trial %d: %s", suggestion.trial, warning)
    outcome.values = {
        name: each for name, each in outcome.values.items() if name in asked or not masked.hides(name, each)
    }
    if outcome.reason is not None:
        message = readable(masked.mask(outcome.reason.message), LONGEST_ERROR)
        outcome.reason = outcome.reason.model_copy(update={"message": message})
    return outcome


def _follow(
    study: Study, evidence: Evidence, output: Output, observer: Observer | None, shows: Callable[[str, float], bool]
) -> Callable[[str], None]:
    """Return the function that examines each line of an objective, whose traces are kept if it is observed."""
    if observer is None:
        return lambda line: study.source.look(line, evidence.metrics)

    def find() -> Metrics:
        evidence.printed = output.printed()
        return study.source.find(evidence)

    evidence.metrics = observer.so_far.metrics
    observer.so_far.find, observer.so_far.printed, observer.so_far.shows = find, output.content, shows
    observer.so_far.mask = evidence.mask
    return observer.look


def _find_values(study: Study, suggestion: Suggestion, evidence: Evidence, outcome: Outcome, output: Output) -> None:
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
        why += _taken_for_an_option(study, suggestion, outcome.exit)
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


def _taken_for_an_option(study: Study, suggestion: Suggestion, status: int) -> str:
    """Return the way out if a program took a negative number for an option; programs exit 2 then."""
    words = {f"{{{name}}}": name for name, value in suggestion.parameters.items() if text_of(value).startswith("-")}
    names = [words[word] for word in study.objective.command or [] if word in words]
    if status != 2 or not names:
        return ""
    return f"; {names[0]} begins with a -: write --{names[0]}={{{names[0]}}} in one word, or use args: flags"
