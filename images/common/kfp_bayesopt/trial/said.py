"""The metrics so far of a running trial, in the study folder: its next attempt continues from there."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from kfp_bayesopt.errors import NotFoundError, UnavailableError, UserError
from kfp_bayesopt.folder.documents import read_document
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Curve as CurveFile
from kfp_bayesopt.folder.trials import Said
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.environment import MASK
from kfp_bayesopt.study.sources.base import Evidence, Metrics, NoValueError
from kfp_bayesopt.study.sources.intermediate import OfCurve
from kfp_bayesopt.trial.curve import Curve, four_of, numbers_of
from kfp_bayesopt.trial.process.output import KEPT_FIRST, KEPT_LAST
from kfp_bayesopt.trial.process.threads import for_at_most

SECONDS_IN_A_BUCKET = 15.0
SHARE = 20
"""At most one part in this many of the time is spent on it."""
CLOSE_SECONDS = 5.0
NO_FILE = Path("/nonexistent/metrics")
GROWTH = 1.1
"""The growth of the output after which it is sent again."""

logger = logging.getLogger(__name__)


class SoFar:
    """The metrics so far of a trial: of an attempt, and of earlier ones if it continues from their checkpoint.

    Attributes:
        curve: The intermediate values.
        metrics: The metrics that the source of the value has found in lines.
        lock: Held to read or change either.
        find: Returns the metrics that the source finds elsewhere.
        printed: Returns the masked output of this attempt.
        shows: Tells whether a metric may be kept.
        mask: Removes secrets from a text.
    """

    def __init__(self, folder: StudyFolder, trial: int, attempt: int, goes_on: bool) -> None:
        """Begin with the metrics of the attempt before, if this one continues from there.

        Raises:
            UnavailableError: Cloud Storage does not answer.
        """
        self.lock = threading.Lock()
        self.find: Callable[[], Metrics] = Metrics
        self.printed: Callable[[], bytes] = bytes
        self.shows: Callable[[str, float], bool] = lambda _, __: True
        self.mask: Callable[[str], str] = str
        self._folder, self._trial, self._attempt = folder, trial, attempt
        self._found = Metrics()
        self._saving = threading.Lock()
        # An attempt that started from the beginning records that, even if it reports nothing more.
        self._goes_on_from: int | None = None
        self._saved = b"" if attempt > 1 else self._document(*begun(folder))
        self._sent = 0
        self._next = 0.0
        said = _before(folder, trial, attempt) if goes_on else None
        self._goes_on_from = said.attempt if said is not None else None
        self.curve, self.metrics = begun(folder, said)

    def save_now_and_then(self) -> None:
        """Save them, only as often as that takes little time, and costs little in a bucket."""
        if time.monotonic() < self._next:
            return
        began = time.monotonic()
        self.save()
        least = 0.0 if storage.is_local(self._folder.root) else SECONDS_IN_A_BUCKET
        self._next = time.monotonic() + max(least, SHARE * (time.monotonic() - began))

    def save(self) -> None:
        """Save them, if they are new; no failure harms the trial."""
        if not self._folder.study.checkpoint:
            return
        with self._saving:
            try:
                self._save()
            except Exception as error:
                logger.warning("trial %d: what it has said cannot be kept: %s", self._trial, error)

    def save_at_the_end(self) -> None:
        """Save them while a machine that is taken away has time for that."""
        for_at_most(CLOSE_SECONDS, self.save)

    def _save(self) -> None:
        with contextlib.suppress(NoValueError):  # not yet, or half written: what was found before counts
            self._found = self.find()
        with self.lock:
            content = self._document(self.curve, self.metrics.followed_by(self._found))
        if content != self._saved:
            storage.replace(self._folder.said_uri(self._trial, self._attempt), content, lasting=False)
            self._saved = content
        # If the study folder is on this machine, it mostly has a copy of the output already.
        printed = b"" if copy_of_log(self._folder, self._trial, self._attempt).exists() else self.printed()
        if len(printed) > self._sent * GROWTH:
            storage.replace(self._folder.said_log_uri(self._trial, self._attempt), printed, lasting=False)
            self._sent = len(printed)

    def _document(self, curve: Curve, metrics: Metrics) -> bytes:
        study = self._folder.study
        fours = {name: four_of(numbers, self.mask) for name, numbers in metrics.items()}
        said = Said(
            study=study.name, fingerprint=study.fingerprint, trial=self._trial, attempt=self._attempt,
            goes_on_from=self._goes_on_from,
            metrics={
                name: four for name, four in fours.items()
                if all(not isinstance(each, float) or self.shows(name, each) for each in four)
            },
            **curve.said(self.mask),
        )  # fmt: skip
        return said.to_bytes()


def begun(folder: StudyFolder, said: Said | None = None) -> tuple[Curve, Metrics]:
    """Return the intermediate values and the metrics of an attempt that begins with earlier ones."""
    source = folder.study.source
    wanted = source.step if isinstance(source, OfCurve) else None
    if said is None:
        return Curve(wanted), Metrics()
    return Curve.of(said, wanted), Metrics({name: numbers_of(each) for name, each in said.metrics.items()})


def gone_on_from(folder: StudyFolder, trial: int, attempt: int) -> Said | None:
    """Return the metrics that an ended attempt continued from; None if it started from the beginning.

    Raises:
        NoValueError: They no longer exist.
        UnavailableError: Cloud Storage does not answer.
    """
    if attempt == 1 or not folder.study.checkpoint:
        return None
    own = _read(folder, trial, attempt)
    if own is not None and own.goes_on_from is None:
        return None
    said = _read(folder, trial, own.goes_on_from) if own is not None and own.goes_on_from is not None else None
    if said is None:
        raise NoValueError("it had gone on from a checkpoint, and what it had said before is not there any more")
    return said


def _before(folder: StudyFolder, trial: int, attempt: int) -> Said | None:
    """Return the metrics of the last attempt before this one that has any."""
    return next(filter(None, (_read(folder, trial, each) for each in range(attempt - 1, 0, -1))), None)


def _read(folder: StudyFolder, trial: int, attempt: int) -> Said | None:
    """Return the metrics up to an attempt; None if missing, or unusable, which is logged."""
    uri = folder.said_uri(trial, attempt)
    try:
        said = read_document(Said, uri, folder.study)
    except NotFoundError:
        return None
    except UnavailableError:
        raise
    except UserError as error:
        logger.warning("left out: %s", error.message)
        return None
    if (said.trial, said.attempt) == (trial, attempt):
        return said
    logger.warning("left out: %s: it is of trial %d, attempt %d", uri, said.trial, said.attempt)
    return None


def complete(folder: StudyFolder, trial: int, attempt: int) -> None:
    """Add the output after the last save to the metrics of an attempt, if its log is on this machine.

    Reading saved values again does not change them. A log that hides a secret is left alone: its numbers may differ
    from the printed ones.
    """
    if attempt == 0 or not folder.study.checkpoint or not storage.is_local(folder.root):
        return
    said = _read(folder, trial, attempt)
    try:
        content = storage.read(folder.log_uri(trial, attempt), limit=2 * (KEPT_FIRST + KEPT_LAST))
    except UserError:
        return
    if said is None or MASK in content:
        return
    study, asked = folder.study, folder.study.objective.intermediate
    curve, metrics = begun(folder, said)
    printed, found = begun(folder)
    evidence = Evidence(who=study.objective.who, started=0.0, folders=(), metric_file=NO_FILE, printed=content)
    for line in content.decode(errors="replace").splitlines():
        study.source.look(line, found)
        if asked is not None and asked.step is not None:
            printed.look(line, asked)
    with contextlib.suppress(NoValueError):
        found = found.followed_by(study.source.find(evidence))
    last = said.last if said.last is not None else -1
    for step, value in zip(printed.steps, printed.values, strict=True):
        if step > last:
            curve.add(step, value)
    fours = {name: four_of(numbers, str) for name, numbers in metrics.followed_by(found).items()}
    completed = said.model_copy(update={"metrics": fours, **curve.said(str)})
    if completed == said:
        return
    try:
        storage.replace(folder.said_uri(trial, attempt), completed.to_bytes(), lasting=False)
    except UserError as error:
        logger.warning("trial %d: what it printed last cannot be added: %s", trial, error.message)


def keep_curve(folder: StudyFolder, trial: int, attempt: int, steps: list[int], values: list[float]) -> None:
    """Write the intermediate values of an attempt; a failure does not affect its record."""
    if not steps:
        return
    study = folder.study
    curve = CurveFile(
        study=study.name, fingerprint=study.fingerprint, trial=trial, attempt=attempt, steps=steps, values=values
    )  # fmt: skip
    try:
        storage.create(folder.curve_uri(trial, attempt), curve.to_bytes())
    except Exception as error:
        logger.warning("trial %d: its intermediate values cannot be kept: %s", trial, error)


def forget_said(folder: StudyFolder, trial: int, attempts: int) -> None:
    """Delete the interim metrics of a trial that has its record; its curve and its logs stay."""
    for attempt in range(1, attempts + 1):
        storage.delete(folder.said_uri(trial, attempt))
        storage.delete(folder.said_log_uri(trial, attempt))


def copy_of_log(folder: StudyFolder, trial: int, attempt: int) -> Path:
    """Return the path of the live log of an attempt, if the study folder is on this machine."""
    return Path(folder.log_uri(trial, attempt)).with_name(f".log-{attempt}.txt")
