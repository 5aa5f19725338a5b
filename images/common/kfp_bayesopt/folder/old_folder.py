"""Reads a folder of version 0.1.0, which has a folder for each iteration; nothing in it is rewritten.

`init/suggestions.json` is the batch of iteration 1. `iteration-K/` holds the records of iteration K and, after these
were learnt, the next batch. The ledgers and optimizer states beside them follow from the records.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, Self

from pydantic import Field, model_validator

from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.folder.documents import Number, OfStudy, Time, damaged, read_document
from kfp_bayesopt.folder.trials import Reason, Record, Seen, Suggestion, Trials, digest_of
from kfp_bayesopt.space.decimals import difference
from kfp_bayesopt.space.parameters import Parameters
from kfp_bayesopt.store import storage
from kfp_bayesopt.strict import StrictModel
from kfp_bayesopt.study.sources.base import VALUE
from kfp_bayesopt.study.study import Study

THREADS = 10  # as many as the client of Cloud Storage keeps connections; one more and it warns

logger = logging.getLogger(__name__)

_RECORD = re.compile(r"record-[0-9]+\.json")


class OldSuggestion(StrictModel):
    """A trial proposed by the optimiser, in a batch of format 1."""

    trial: Number
    parameters: Parameters


class OldBatch(OfStudy):
    """The suggestions of one iteration, in format 1; empty if the study had ended."""

    what = "batch of suggestions"
    way_out = (
        "restore it from a copy or an earlier version of the object, or move it and the folders of later iterations "
        "aside, and the study goes on from the trials before"
    )
    max_bytes = 32_000_000

    format: Literal[1] = 1  # type: ignore[assignment]
    iteration: Number
    suggestions: list[OldSuggestion]
    ended: str | None = None
    ledger: str | None = Field(None, description="Digest of the records that it was proposed from.")


class OldRecord(OfStudy):
    """A trial in format 1. A skipped one stands for an index beyond the batch: it is no trial."""

    what = "record"
    way_out = Record.way_out

    format: Literal[1] = 1  # type: ignore[assignment]
    iteration: Number
    trial: Number | None
    parameters: Parameters | None
    state: Literal["completed", "failed", "skipped"]
    value: float | None = None
    error: str | None = None
    started: Time
    seconds: float = Field(ge=0, le=1e9)
    host: str

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.trial is None or self.parameters is None) != (self.state == "skipped"):
            raise ValueError("trial and parameters are required, but not of a skipped trial")
        if (self.value is None) == (self.state == "completed") or (self.error is None) == (self.state == "failed"):
            raise ValueError("value is required of a completed trial alone, and error of a failed one alone")
        return self

    def learnt(self) -> bytes:
        """Return the part that engines learn, as in the digests of batches."""
        return self.model_dump_json(include={"iteration", "trial", "parameters", "state", "value"}).encode()

    def converted(self) -> Record:
        """Return the record in the current format."""
        assert self.trial is not None
        assert self.parameters is not None
        assert self.state != "skipped"
        return Record(
            study=self.study,
            fingerprint=self.fingerprint,
            trial=self.trial,
            iteration=self.iteration,
            parameters=self.parameters,
            state=self.state,
            values={} if self.value is None else {VALUE: self.value},
            reason=None if self.error is None else Reason(kind="raised", message=self.error),
            started=self.started,
            seconds=self.seconds,
            machine=self.host,
        )


def read_old_folder(root: str, study: Study, warn: Callable[[str], None] = logger.warning) -> Trials:
    """Return the trials of a folder of version 0.1.0; no trials, after one request, if it is not one.

    Args:
        root: The study folder.
        study: The study.
        warn: Called with each problem that does not stop the study.

    Raises:
        UserError: A file is damaged, edited, missing, or of another study.
    """
    uri: str | None = f"{root}/init/suggestions.json"
    trials = Trials()
    learnt = hashlib.sha256()
    iteration = 0
    while uri is not None:
        iteration += 1
        known = len(trials.records) + len(trials.pending)
        try:
            batch = _read_batch(uri, study, iteration, known + 1)
        except NotFoundError:
            if iteration > 1:
                raise
            return trials
        # A trial without a record has lost it, and is evaluated again; the oldest folders have no digest.
        if not trials.pending and batch.ledger not in {None, learnt.hexdigest()}:
            warn(
                f"{root}: iteration {iteration} was proposed from other records than those that are here, as if one of "
                f"trials 1 to {known} was edited since; the study goes on with what is here; "
                f"{root}/iteration-{iteration - 1}/trials.jsonl has the records of then"
            )
        folder = f"{root}/iteration-{iteration}/"
        names = {entry.uri.removeprefix(folder) for entry in storage.entries(folder)}
        records = _read_records([folder + name for name in sorted(names) if _RECORD.fullmatch(name)], study, batch)
        trials.pending |= _without_record(batch, records, trials)
        for number in sorted(records):
            learnt.update((b"\n" if trials.records else b"") + records[number].learnt())
            trials.records[number] = records[number].converted()
        uri = f"{folder}suggestions.json" if "suggestions.json" in names else None
    following = f"{root}/iteration-{iteration + 1}/"
    if later := [entry.uri for entry in storage.entries(following) if _RECORD.fullmatch(entry.uri[len(following) :])]:
        raise UserError(
            f"{later[0]}: the record of a trial without a suggestion; restore {root}/iteration-{iteration}/"
            f"suggestions.json from a copy, or move iteration-{iteration + 1} and the folders of later iterations "
            "aside, and the study goes on from the trials before"
        )
    return trials


def _read_batch(uri: str, study: Study, iteration: int, first: int) -> OldBatch:
    """Read the suggestions of an iteration, given the number of the first one."""
    batch = read_document(OldBatch, uri, study)
    if batch.iteration != iteration:
        raise damaged(OldBatch, uri, f"iteration: must be {iteration}, but got {batch.iteration}")
    for number, suggestion in enumerate(batch.suggestions, first):
        if suggestion.trial != number:
            raise damaged(OldBatch, uri, f"trial {number} must come next, but got trial {suggestion.trial}")
        if found := difference(study.space, suggestion.parameters):
            raise damaged(OldBatch, uri, f"trial {number} is not in the space of the study: {found}")
    return batch


def _read_records(uris: Sequence[str], study: Study, batch: OldBatch) -> dict[int, OldRecord]:
    """Read the records of a batch, by the numbers of their trials."""
    with ThreadPoolExecutor(THREADS) as pool:
        read = list(pool.map(lambda uri: read_document(OldRecord, uri, study), uris))
    suggested = {suggestion.trial: suggestion for suggestion in batch.suggestions}
    found: dict[int, tuple[str, OldRecord]] = {}
    for uri, record in zip(uris, read, strict=True):
        if record.trial is None:
            continue
        if record.iteration != batch.iteration:
            raise UserError(
                f"{uri}: the record is of iteration {record.iteration}, but lies in the folder of iteration "
                f"{batch.iteration}; move it back"
            )
        if record.trial in found:
            raise UserError(
                f"{uri}: duplicate record of trial {record.trial}; {found[record.trial][0]} has it too; delete one"
            )
        suggestion = suggested.get(record.trial)
        if suggestion is None:
            raise UserError(f"{uri}: the batch has no trial {record.trial}; delete the file")
        # Compared as JSON, because 1, 1.0 and True are equal in Python.
        if json.dumps(record.parameters, sort_keys=True) != json.dumps(suggestion.parameters, sort_keys=True):
            raise UserError(f"{uri}: trial {record.trial} of the batch has other parameters; {OldRecord.way_out}")
        found[record.trial] = (uri, record)
    return {number: record for number, (_, record) in found.items()}


def _without_record(batch: OldBatch, records: dict[int, OldRecord], trials: Trials) -> dict[int, Suggestion]:
    """Return the suggestions of a batch without a record, as proposed from the trials before."""
    missing = [suggestion for suggestion in batch.suggestions if suggestion.trial not in records]
    if not missing:
        return {}
    first, pending, digest = batch.suggestions[0].trial, sorted(trials.pending), digest_of(trials.ledger)
    return {
        suggestion.trial: Suggestion(
            study=batch.study,
            fingerprint=batch.fingerprint,
            trial=suggestion.trial,
            iteration=batch.iteration,
            parameters=suggestion.parameters,
            seen=Seen(highest=first - 1, pending=pending, unknown=list(range(first, suggestion.trial)), ledger=digest),
            optimizer={},
            versions={},
        )
        for suggestion in missing
    }
