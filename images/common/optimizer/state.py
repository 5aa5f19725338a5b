"""The optimizer state: what saves an engine from learning the whole ledger again at each step.

The file is one line of JSON, the header, and then what the engine saved, as data: nothing in it is
run. It is a cache. Points and values come from the ledger alone, and a state that is refused costs
the time of a rebuild. The header has no secret: it tells damage and mix-ups, not forgery.

An engine that is rebuilt in no time (`keeps_state` is false) saves nothing behind the header, and
its state is never read; the file is there because Kubeflow fails a step whose input does not exist.
"""

from __future__ import annotations

import hashlib
import json
import logging
import reprlib
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Protocol, runtime_checkable

from pydantic_core import from_json

from bayesopt import __version__, storage
from bayesopt.errors import UserError
from bayesopt.study import Study
from bayesopt.trials import Record
from optimizer.engine import Engine, batches, new_engine, replay

FORMAT = "bayesopt-optimizer-state/2"
PACKAGES = ("numpy", "scikit-learn", "scikit-optimize", "scipy")  # other versions may suggest other points
MAX_BYTES = 2**20  # some 8 kB, and more for each column: skopt itself draws 10,000 points of as many columns
MAX_HEADER_BYTES = 2**14

logger = logging.getLogger(__name__)


@runtime_checkable
class SavedEngine(Engine, Protocol):
    """An engine that takes long to rebuild, and so is saved between steps."""

    def state(self) -> bytes:
        """Return what `restore` needs beside the ledger."""

    def restore(self, state: bytes, batches: Iterable[Sequence[Record]]) -> None:
        """Bring a new engine to where one was that had learnt these batches.

        Raises:
            ValueError: It is no such state. The engine must not be used then.
        """


class _RefusedError(Exception):
    """The state is damaged, or was written by other versions, for another study or another ledger."""


def write_state(uri: str, engine: Engine, study: Study, ledger: Sequence[Record]) -> None:
    """Write the state of an engine that has learnt a whole ledger."""
    payload = engine.state() if isinstance(engine, SavedEngine) else b""
    storage.write(uri, json.dumps(_header(study, ledger, payload)).encode() + b"\n" + payload)


def load_engine(uri: str, study: Study, ledger: Sequence[Record]) -> Engine:
    """Return the engine that has learnt a ledger.

    It comes from the state where that fits, and from the ledger where not; a warning says so.
    """
    if study.optimizer.keeps_state:
        try:
            return _restore(uri, study, ledger)
        except UserError as error:
            reason = error.message.removeprefix(f"{uri}: ")
        except _RefusedError as error:
            reason = str(error)
        logger.warning("%s: optimizer state not used: %s; rebuilding it from %d trials", uri, reason, len(ledger))
    return replay(study, ledger)


def _restore(uri: str, study: Study, ledger: Sequence[Record]) -> Engine:
    storage.check_size(uri, storage.size(uri), MAX_BYTES)  # before a byte of it is sent
    line, newline, payload = storage.read(uri, limit=MAX_BYTES).partition(b"\n")
    if not newline or len(line) > MAX_HEADER_BYTES:
        raise _RefusedError("it has no header")
    try:
        header = from_json(line)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise _RefusedError("its header is not a JSON object")
    for key, value in _header(study, ledger, payload).items():
        if header.get(key) != value:
            raise _RefusedError(f"{key}: expected {value!r}, but got {reprlib.repr(header.get(key))}")
    engine = new_engine(study)
    assert isinstance(engine, SavedEngine)  # its settings say so
    try:
        engine.restore(payload, batches(ledger))
    except ValueError:  # without its message, which may quote a megabyte
        raise _RefusedError(f"what follows its header is not a state of {study.optimizer.engine}") from None
    return engine


def _header(study: Study, ledger: Sequence[Record], payload: bytes) -> dict[str, object]:
    learnt = "".join(record.to_line() for record in ledger)
    return {
        "format": FORMAT,
        "bayesopt": __version__,
        **{package: version(package) for package in PACKAGES},
        "study": study.name,
        "fingerprint": study.fingerprint,
        "optimizer": study.optimizer.model_dump(mode="json"),
        "trials": len(ledger),
        "ledger": hashlib.sha256(learnt.encode()).hexdigest(),
        "bytes": len(payload),
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
