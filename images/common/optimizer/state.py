"""The optimizer state: a dilled engine behind a header that is read before anything is unpickled.

The file is one line of JSON, the header, and then the payload. The state is a cache of what the
ledger says: what does not fit is not used, and the engine is made anew from the ledger.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from collections.abc import Sequence
from importlib.metadata import version

import dill

from bayesopt import __version__, storage
from bayesopt.errors import NotFoundError
from bayesopt.study import Study
from bayesopt.trials import Record
from optimizer.engine import Engine, replay

FORMAT = "bayesopt-optimizer-state/1"
PACKAGES = ("dill", "numpy", "scikit-learn", "scikit-optimize", "scipy")

logger = logging.getLogger(__name__)


class UnusableStateError(Exception):
    """The state is damaged, or was made by other versions, for another study or another ledger."""


def write_state(uri: str, engine: Engine, study: Study, ledger: Sequence[Record]) -> None:
    """Write an engine that has learnt a whole ledger."""
    payload = dill.dumps(engine)
    header = {**_expected(study, ledger), "bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
    storage.write(uri, json.dumps(header).encode() + b"\n" + payload)


def load_engine(uri: str, study: Study, ledger: Sequence[Record], pending: int) -> Engine:
    """Return the engine that has learnt a ledger and then proposed `pending` trials.

    It comes from the state where that fits, and from the ledger where not; a warning says so.
    """
    try:
        return _unpack(storage.read(uri), study, ledger)
    except NotFoundError:
        reason = "it is not there"
    except UnusableStateError as error:
        reason = str(error)
    logger.warning("%s: optimizer state not used: %s; rebuilding it from %d trials", uri, reason, len(ledger))
    engine = replay(study, ledger)
    engine.skip(pending)
    return engine


def _unpack(content: bytes, study: Study, ledger: Sequence[Record]) -> Engine:
    line, separator, payload = content.partition(b"\n")
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not separator or not isinstance(header, dict):
        raise UnusableStateError("it has no header")
    for key, value in _expected(study, ledger).items():
        if header.get(key) != value:
            raise UnusableStateError(f"{key} must be {value!r}, but got {header.get(key)!r}")
    if header.get("bytes") != len(payload) or header.get("sha256") != hashlib.sha256(payload).hexdigest():
        raise UnusableStateError("it is damaged: its payload is not the one that was written")
    try:
        engine: Engine = dill.loads(payload)  # noqa: S301 - whoever can write the state can write the study
    except Exception as error:  # our own code has changed since
        raise UnusableStateError(f"it cannot be unpickled: {type(error).__name__}: {error}") from error
    return engine


def _expected(study: Study, ledger: Sequence[Record]) -> dict[str, object]:
    told = "".join(record.to_line() for record in ledger)
    return {
        "format": FORMAT,
        "bayesopt": __version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
        **{package: version(package) for package in PACKAGES},
        "study": study.name,
        "fingerprint": study.fingerprint,
        "optimizer": study.optimizer.model_dump(mode="json"),
        "trials": len(ledger),
        "ledger": hashlib.sha256(told.encode()).hexdigest(),
    }
