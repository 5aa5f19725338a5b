"""Signs of life: of a worker on its trial, so that no other takes it, and of the one that waits for the others."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from kfp_bayesopt.errors import ExistsError, UnavailableError, UserError
from kfp_bayesopt.folder.documents import number_in
from kfp_bayesopt.folder.jobs import Job, Waiting, now, waits_uri
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Heartbeat
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.trial.evaluation import this_worker
from kfp_bayesopt.trial.process.threads import repeating

BEATS_A_LEASE = 6
LOOKS_A_LEASE = 20
"""How often whoever waits for the others looks for them."""
MOST_SILENT_LOOKS = 12
"""The looks after which whoever waited before is taken for gone; it is seen at each of them but the first."""

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def heartbeat(folder: StudyFolder, trial: int, attempt: int, lease: timedelta) -> Iterator[None]:
    """Write a sign of life of an attempt from time to time while the block runs; a short trial needs none.

    A failure to write one ends nothing: the claim's age counts too.
    """

    def beat() -> bool:
        sign = Heartbeat(
            study=folder.study.name,
            fingerprint=folder.study.fingerprint,
            trial=trial,
            attempt=attempt,
            worker=this_worker(),
            at=now(),
        )
        try:
            storage.replace(folder.heartbeat_uri(trial, attempt), sign.to_bytes())
        except UnavailableError as error:
            logger.warning("trial %d: no sign of life could be written: %s", trial, error.message)
        except UserError as error:
            logger.warning(
                "trial %d: no sign of life can be written, so that it is taken for lost after %g minutes "
                "(lease_minutes): %s",
                trial,
                lease.total_seconds() / 60,
                error.message,
            )
            return True
        return False

    with repeating(beat, lease.total_seconds() / BEATS_A_LEASE, patience=0.0):
        yield


def lease_of(study: Study, job: Job) -> timedelta:
    """Return how long a worker of a job may give no sign of life before another one takes its trial."""
    if job.lease_minutes is None or "lease_minutes" in study.model_fields_set:
        return timedelta(minutes=study.lease_minutes)
    return timedelta(minutes=job.lease_minutes)


class Turn:
    """The turn of one worker of a job to wait for the trials of the others, when nothing is left to claim.

    Whoever creates `waits-1.json` has it, and keeps it by creating the next file at each look. Any other worker leaves
    as soon as there is a newer file than the one that it found: then somebody who waits is alive. Where none comes it
    takes the turn, because its owner is gone, or evaluates a trial again. Two that wait at once do no harm, and the one
    with the lower number finds that out.

    Attributes:
        time: The time of the storage at the last look of its owner.
    """

    def __init__(self, root: str, job: Job) -> None:
        """Begin without it."""
        self._root, self._job = root, job.job
        self._prefix = waits_uri(root, job.job, 0).removesuffix("0.json")
        self._mine = self._seen = self._silent = 0
        self.time: datetime | None = None

    def is_left_to_others(self, there: Iterable[str]) -> bool:
        """Take the turn or keep it, and tell whether another worker has it and is alive.

        Args:
            there: The URIs of the files of the job.
        """
        names = [uri.removeprefix(self._prefix).removesuffix(".json") for uri in there if uri.startswith(self._prefix)]
        last = max((number for name in names if (number := number_in(name))), default=0)
        if last > self._mine:
            if self._seen and last > self._seen:
                return True
            self._seen, self._silent = last, self._silent + 1
            if self._silent <= MOST_SILENT_LOOKS:
                return False
        before, self._mine = self._mine, max(last, self._mine) + 1
        self._seen = self._silent = 0
        uri = waits_uri(self._root, self._job, self._mine)
        try:
            storage.create(uri, Waiting(worker=this_worker(), token=secrets.token_hex(16), at=now()).to_bytes())
        except ExistsError:  # somebody was faster, just now
            return True
        if before:
            with contextlib.suppress(UserError):  # a bucket that keeps everything
                storage.delete(waits_uri(self._root, self._job, before))
        self.time = storage.stat(uri).updated
        return False
