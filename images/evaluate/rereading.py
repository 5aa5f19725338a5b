"""Reads the value of an attempt again from its log, where a limit of ours kept it from being read: without training."""

from __future__ import annotations

import re

from bayesopt import storage
from bayesopt.environment import MASK, FromEnvironment, Secret
from bayesopt.errors import NotFoundError, TooLargeError
from bayesopt.folder import StudyFolder
from bayesopt.sources.base import Evidence, NoValueError, Reached, UnreadError
from bayesopt.sources.intermediate import OfCurve
from bayesopt.sources.pattern import PATIENT_SECONDS, matches
from bayesopt.study import Study
from bayesopt.trials import Reason, Record

from .curve import Curve
from .evaluation import NO_FILE, values_of
from .output import KEPT_FIRST, KEPT_LAST

_IN_A_NUMBER = re.compile(rb"[0-9.,]" + re.escape(MASK) + rb"|" + re.escape(MASK) + rb"[0-9.,]")


def read_again(study_folder: StudyFolder, record: Record, attempt: int) -> Record:
    """Return the record of an attempt that evaluates nothing: it reads what the one before it has printed.

    Args:
        study_folder: Where the log is.
        record: Of the attempt whose value could not be read.
        attempt: The attempt that reads it.

    Raises:
        UserError: Storage refuses to read.
    """
    values: dict[str, float] = {}
    reason = None
    try:
        values = _read(study_folder, record)
    except UnreadError as error:
        reason = Reason(kind="value", message=str(error), unread=True)
    except NoValueError as error:
        reason = Reason(kind="value", message=str(error))
    if reason is not None and record.reason is not None:
        reason = reason.model_copy(update={"last_lines": record.reason.last_lines})
    return record.model_copy(
        update={
            "attempt": attempt,
            "state": "completed" if reason is None else "failed",
            "values": values,
            "reason": reason,
            "read_from": record.evaluated,
        }
    )


def _read(study_folder: StudyFolder, record: Record) -> dict[str, float]:
    study = study_folder.study
    uri = study_folder.log_uri(record.trial, record.evaluated)
    try:
        content = storage.read(uri, limit=2 * (KEPT_FIRST + KEPT_LAST))
    except (NotFoundError, TooLargeError) as error:
        raise NoValueError(f"the log cannot be read again: {error.message}") from None
    # It holds no secret, and so not each number as it was printed.
    if _has_secrets(study) and _IN_A_NUMBER.search(content):
        raise NoValueError(f"{uri}: the log cannot be read again: a secret was hidden in a number of it")
    evidence = Evidence(
        who=study.objective.who, started=0.0, folders=(), metric_file=NO_FILE, printed=content, is_read_again=True
    )
    for line in content.decode(errors="replace").splitlines():
        study.source.look(line, evidence.metrics)
    evidence.reached = _reached(study, content)
    return values_of(study, evidence)


def _reached(study: Study, content: bytes) -> Reached | None:
    asked, source = study.objective.intermediate, study.source
    if not isinstance(source, OfCurve) or asked is None or asked.pattern is None:
        return None
    curve = Curve(source.step)
    for groups in matches(asked.pattern, content, PATIENT_SECONDS):
        curve.match(groups)
    return curve.reached


def _has_secrets(study: Study) -> bool:
    variables = study.objective.env.values()
    return any(isinstance(each, Secret) or (isinstance(each, FromEnvironment) and each.secret) for each in variables)
