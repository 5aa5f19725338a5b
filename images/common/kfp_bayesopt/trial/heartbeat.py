"""Writes signs of life of a worker on its trial, so that no other worker takes it."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from kfp_bayesopt.errors import UnavailableError, UserError
from kfp_bayesopt.folder.jobs import now
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Heartbeat
from kfp_bayesopt.store import storage
from kfp_bayesopt.trial.evaluation import this_worker

BEATS_A_LEASE = 6

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def heartbeat(folder: StudyFolder, trial: int, attempt: int) -> Iterator[None]:
    """Write a sign of life of an attempt from time to time while the block runs; a short trial needs none.

    A failure to write one ends nothing: the claim's age counts too.
    """
    is_done = threading.Event()
    seconds = folder.study.lease_minutes * 60 / BEATS_A_LEASE

    def beat() -> None:
        while not is_done.wait(seconds):
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
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_done.set()
