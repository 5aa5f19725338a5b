"""Reads the value of an attempt again from its log, if a limit of ours kept it from being read: without training."""

from __future__ import annotations

from kfp_bayesopt.errors import NotFoundError, TooLargeError
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Reason, Record
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.environment import MASK, FromEnvironment, Secret
from kfp_bayesopt.study.sources.base import Evidence, NoValueError, UnreadError
from kfp_bayesopt.study.sources.intermediate import OfCurve
from kfp_bayesopt.study.sources.pattern import PATIENT_SECONDS, Pattern, matches
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.curve import Curve
from kfp_bayesopt.trial.evaluation import values_of
from kfp_bayesopt.trial.process.output import KEPT_FIRST, KEPT_LAST
from kfp_bayesopt.trial.said import NO_FILE, begun, gone_on_from, keep_curve


def read_again(study_folder: StudyFolder, record: Record, attempt: int) -> Record:
    """Return the record of an attempt that reads the output of the one before instead of evaluating the trial.

    Args:
        study_folder: The study folder, with the log.
        record: The record of the attempt without a readable value.
        attempt: The attempt that reads it.

    Raises:
        UserError: Storage refuses to read.
    """
    values: dict[str, float] = {}
    steps, reason = record.steps, None
    try:
        evidence, curve = _evidence(study_folder, record)
        if curve is not None:
            keep_curve(study_folder, record.trial, record.evaluated, curve.steps, curve.values)
            steps = curve.summary
        values = values_of(study_folder.study, evidence)
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
            "steps": steps,
            "read_from": record.evaluated,
        }
    )


def _evidence(study_folder: StudyFolder, record: Record) -> tuple[Evidence, Curve | None]:
    """Return the traces of an attempt, and its intermediate values, if a pattern finds these in its output.

    Raises:
        NoValueError: It cannot be read.
    """
    study = study_folder.study
    uri = study_folder.log_uri(record.trial, record.evaluated)
    try:
        content = storage.read(uri, limit=2 * (KEPT_FIRST + KEPT_LAST))
    except (NotFoundError, TooLargeError) as error:
        raise NoValueError(f"the log cannot be read again: {error.message}") from None
    asked = study.objective.intermediate
    of_curve = asked.pattern if isinstance(study.source, OfCurve) and asked is not None else None
    pattern = study.source.pattern if isinstance(study.source, Pattern) else of_curve
    if pattern is not None and _has_secrets(study) and _hides_a_number(pattern, content):
        raise NoValueError(f"{uri}: the log cannot be read again: a secret was hidden in a number of it")
    curve, metrics = begun(study_folder, gone_on_from(study_folder, record.trial, record.evaluated))
    evidence = Evidence(
        who=study.objective.who, started=0.0, folders=(), metric_file=NO_FILE, printed=content, metrics=metrics,
        is_read_again=True,
    )  # fmt: skip
    for line in content.decode(errors="replace").splitlines():
        study.source.look(line, metrics)
    if of_curve is None:
        return evidence, None
    for groups in matches(of_curve, content, PATIENT_SECONDS):
        curve.match(groups)
    evidence.reached = curve.reached
    return evidence, curve


def _hides_a_number(pattern: str, content: bytes) -> bool:
    """Tell whether a pattern might have matched differently before a secret was hidden.

    A log holds no secrets, and so not every number as it was printed: 0.2*** may have been 0.22026.
    """
    lines = b"\n".join(line for line in content.splitlines() if MASK in line)
    if not lines:
        return False
    found = matches(pattern, lines, PATIENT_SECONDS)
    return any(matches(pattern, lines.replace(MASK, digit), PATIENT_SECONDS) != found for digit in (b"0", b"1"))


def _has_secrets(study: Study) -> bool:
    variables = study.objective.env.values()
    return any(isinstance(each, Secret) or (isinstance(each, FromEnvironment) and each.secret) for each in variables)
