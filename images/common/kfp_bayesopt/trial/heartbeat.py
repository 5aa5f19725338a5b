"""Writes signs of life of a worker on its trial, so that no other worker takes it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from kfp_bayesopt.errors import UnavailableError, UserError
from kfp_bayesopt.folder.jobs import now
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Heartbeat
from kfp_bayesopt.store import storage
from kfp_bayesopt.trial.evaluation import this_worker
from kfp_bayesopt.trial.process.threads import repeating

BEATS_A_LEASE = 6

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def heartbeat(folder: StudyFolder, trial: int, attempt: int) -> Iterator[None]:
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
                folder.study.lease_minutes,
                error.message,
            )
            return True
        return False

    with repeating(beat, folder.study.lease_minutes * 60 / BEATS_A_LEASE, patience=0.0):
        yield
