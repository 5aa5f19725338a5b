"""The optimizer state, which saves an engine from learning the whole ledger again at each step.

The file is one line of JSON, the header, and then the engine's state, as data: nothing in it is run. It is a cache.
Points and values come from the ledger alone, and a refused state costs the time of a rebuild. The header has no secret:
it reveals damage and mix-ups, not forgery.

Its name has the number of trials after which it was saved, and a digest of everything that it must match: the ledger,
the settings and the versions. An engine that is rebuilt in no time (`keeps_state` is false) saves none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import reprlib
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Protocol, runtime_checkable

from pydantic_core import from_json

from kfp_bayesopt.errors import ExistsError, NotFoundError, UserError
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Record, digest_of
from kfp_bayesopt.search.engine import Engine, batches, new_engine, replay
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.version import __version__

STATE_FORMAT = "bayesopt-optimizer-state/3"
PACKAGES = ("numpy", "scikit-learn", "scikit-optimize", "scipy")  # other versions may suggest other points
MAX_BYTES = 2**20  # some 8 kB, and more for each column: skopt itself draws 10,000 points of as many columns
MAX_HEADER_BYTES = 2**14

logger = logging.getLogger(__name__)


@runtime_checkable
class SavedEngine(Engine, Protocol):
    """An engine that takes long to rebuild, and is therefore saved between steps."""

    def state(self) -> bytes:
        """Return the state that `restore` needs beside the ledger."""

    def restore(self, state: bytes, batches: Iterable[Sequence[Record]]) -> None:
        """Restore the state after some batches in a new engine.

        Raises:
            ValueError: It is not a valid state. The engine must not be used then.
        """


class _RefusedError(Exception):
    """The state is damaged, or was written by other versions, for another study or another ledger."""


def write_state(folder: StudyFolder, engine: Engine, ledger: Sequence[Record]) -> None:
    """Write the state of an engine that has learnt a whole ledger, if it keeps one and has learnt anything."""
    if not ledger or not isinstance(engine, SavedEngine):
        return
    payload = engine.state()
    content = json.dumps(_header(folder.study, ledger) | _described(payload)).encode() + b"\n" + payload
    with contextlib.suppress(ExistsError):  # it is a cache: what is there does as well
        storage.create(state_uri(folder, ledger), content)


def load_engine(folder: StudyFolder, ledger: Sequence[Record]) -> Engine:
    """Return the engine that has learnt a ledger.

    It comes from the state after the ledger or before its last batch, else from the ledger alone.
    """
    study = folder.study
    if study.optimizer.keeps_state:
        learnt = batches(ledger)
        before = [record for batch in learnt[:-1] for record in batch]
        for known, rest in ((ledger, []), (before, learnt[-1:])):
            if known and (engine := _restored(folder, known)):
                for batch in rest:
                    engine.learn(batch)
                return engine
    return replay(folder.searched, ledger)


def _restored(folder: StudyFolder, ledger: Sequence[Record]) -> Engine | None:
    uri = state_uri(folder, ledger)
    try:
        return _restore(uri, folder.study, ledger)
    except NotFoundError:
        return None
    except UserError as error:
        reason = error.message.removeprefix(f"{uri}: ")
    except _RefusedError as error:
        reason = str(error)
    logger.warning("%s: optimizer state not used: %s; rebuilding it from %d trials", uri, reason, len(ledger))
    return None


def state_uri(folder: StudyFolder, ledger: Sequence[Record]) -> str:
    """Return the URI of the state of an engine that has learnt a ledger."""
    fits = json.dumps(_header(folder.study, ledger), sort_keys=True).encode()
    return f"{folder.root}/state/{len(ledger):06d}-{hashlib.sha256(fits).hexdigest()[:16]}.state"


def _restore(uri: str, study: Study, ledger: Sequence[Record]) -> Engine:
    line, newline, payload = storage.read(uri, limit=MAX_BYTES).partition(b"\n")
    if not newline or len(line) > MAX_HEADER_BYTES:
        raise _RefusedError("it has no header")
    try:
        header = from_json(line)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise _RefusedError("its header is not a JSON object")
    for key, value in (_header(study, ledger) | _described(payload)).items():
        if header.get(key) != value:
            raise _RefusedError(f"{key}: expected {value!r}, but got {reprlib.repr(header.get(key))}")
    engine = new_engine(study)
    assert isinstance(engine, SavedEngine)  # its settings say so
    try:
        engine.restore(payload, batches(ledger))
    except ValueError:  # without its message, which may quote a megabyte
        raise _RefusedError(f"what follows its header is not a state of {study.optimizer.engine}") from None
    return engine


def _header(study: Study, ledger: Sequence[Record]) -> dict[str, object]:
    return {
        "format": STATE_FORMAT,
        "bayesopt": __version__,
        **{package: version(package) for package in PACKAGES},
        "study": study.name,
        "fingerprint": study.fingerprint,
        "optimizer": study.optimizer.model_dump(mode="json"),
        "trials": len(ledger),
        "ledger": digest_of(ledger),
    }


def _described(payload: bytes) -> dict[str, object]:
    return {"bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
