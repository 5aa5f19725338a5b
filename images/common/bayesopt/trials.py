"""Suggestions, records, the ledger and the best trial: the JSON that passes between the steps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from bayesopt import storage
from bayesopt.errors import UserError
from bayesopt.space import Parameters, difference_of
from bayesopt.strict import StrictModel
from bayesopt.study import Study

D = TypeVar("D", bound=StrictModel)


class Suggestion(StrictModel):
    """A trial that the optimiser proposes and nobody has evaluated yet."""

    trial: int = Field(ge=1, description="Number of the trial in its study, from 1.")
    parameters: Parameters


class Batch(StrictModel):
    """The suggestions of one iteration; empty when the study has ended."""

    format: Literal[1] = 1
    study: str
    fingerprint: str
    iteration: int = Field(ge=1, description="Number of the iteration, from 1.")
    suggestions: list[Suggestion]
    ended: str | None = Field(None, description="Why the study ends before its budget is spent.")


class Record(StrictModel):
    """A trial as JSON.

    A completed trial has a value, a failed one an error. A skipped one stands for an index that
    the batch does not have: it is no trial, and the ledger does not keep it.
    """

    format: Literal[1] = 1
    study: str
    fingerprint: str
    iteration: int = Field(ge=1)
    trial: int | None = Field(ge=1)
    parameters: Parameters | None
    state: Literal["completed", "failed", "skipped"]
    value: float | None = None
    error: str | None = None
    started: str = Field(description="When the evaluation began: ISO 8601, UTC.")
    seconds: float = Field(ge=0, description="How long it took.")
    host: str = Field(description="Name of the machine or container.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.trial is None or self.parameters is None) != (self.state == "skipped"):
            raise ValueError("a trial and its parameters must be there, unless it is skipped")
        if (self.value is None) == (self.state == "completed") or (self.error is None) == (self.state == "failed"):
            raise ValueError("a completed trial must have a value and a failed one an error, and no other has")
        return self

    def to_line(self) -> str:
        """Return the record as one line of JSON, without the line's end."""
        return self.model_dump_json()


class Recommendation(StrictModel):
    """The trial that a noisy study recommends: where the model's mean, and not a lucky value, is best."""

    trial: int
    iteration: int
    parameters: Parameters
    value: float = Field(description="What the trial returned.")
    mean: float = Field(description="What the model expects of its parameters.")


class Best(StrictModel):
    """The best trial so far, and how many trials there are."""

    format: Literal[1] = 1
    study: str
    fingerprint: str
    direction: Literal["minimize", "maximize"]
    value: float | None = Field(description="None while no trial has completed.")
    parameters: Parameters | None
    trial: int | None
    iteration: int | None
    completed: int
    failed: int
    recommended: Recommendation | None = Field(None, description="Of a noisy study, by the model of its values.")
    ended: str | None = Field(None, description="Why the study has ended before its budget was spent.")

    @classmethod
    def of(cls, study: Study, ledger: Iterable[Record]) -> Self:
        """Find the best trial of a ledger; of equal ones the first."""
        best: Record | None = None
        counts = {"completed": 0, "failed": 0}
        for record in ledger:
            if record.state == "skipped":
                continue
            counts[record.state] += 1
            if record.value is not None and (
                best is None or best.value is None or study.is_better(record.value, best.value)
            ):
                best = record
        return cls(
            study=study.name,
            fingerprint=study.fingerprint,
            direction=study.direction,
            value=best.value if best else None,
            parameters=best.parameters if best else None,
            trial=best.trial if best else None,
            iteration=best.iteration if best else None,
            completed=counts["completed"],
            failed=counts["failed"],
        )


def read_best(uri: str, study: Study) -> Best:
    """Read the best trial of this study.

    Raises:
        UserError: It is not there, not whole, or of another study.
    """
    return _parse(Best, storage.read(uri), uri, study)


def read_batch(uri: str, study: Study) -> Batch:
    """Read the suggestions of an iteration of this study.

    Raises:
        UserError: They are not there, not whole, or of another study.
    """
    return _parse(Batch, storage.read(uri), uri, study)


def write_batch(uri: str, batch: Batch) -> None:
    """Write the suggestions of an iteration."""
    storage.write(uri, batch.model_dump_json(indent=1).encode() + b"\n")


def read_record(uri: str, study: Study) -> Record:
    """Read the record of a trial of this study.

    Raises:
        UserError: It is not there, not whole, or of another study.
    """
    return _parse(Record, storage.read(uri), uri, study)


def write_record(uri: str, record: Record) -> None:
    """Write the record of a trial."""
    storage.write(uri, record.to_line().encode() + b"\n")


def read_records(uris: Sequence[str], study: Study, batch: Batch, due: int | None = None) -> list[Record]:
    """Read the records of a batch, many at a time, and put them into the order of their trials.

    Args:
        uris: Where they are.
        study: The study.
        batch: The suggestions that were evaluated.
        due: How many trials of the batch, from the first, must have a record; by default all. Of the others those
            that have one are taken, up to the first that has none.

    Raises:
        UserError: One is not there, not whole, of another study or iteration, there twice or missing.
    """
    # As many as the client of Cloud Storage keeps connections; one more and it warns.
    with ThreadPoolExecutor(max_workers=10) as pool:
        read = list(pool.map(lambda uri: read_record(uri, study), uris))
    suggested = {suggestion.trial: suggestion for suggestion in batch.suggestions}
    found: dict[int, tuple[str, Record]] = {}
    for uri, record in zip(uris, read, strict=True):
        if record.iteration != batch.iteration:
            raise UserError(f"{uri}: a record of iteration {batch.iteration} must be there, but got {record.iteration}")
        if record.trial is None:
            continue
        if record.trial in found:
            raise UserError(f"{uri}: trial {record.trial} must be given once, but {found[record.trial][0]} has it too")
        if record.trial not in suggested or record.parameters != suggested[record.trial].parameters:
            raise UserError(
                f"{uri}: a trial of this batch must be there, but trial {record.trial} was not suggested so"
            )
        found[record.trial] = (uri, record)
    numbers = sorted(suggested)
    if missing := [trial for trial in numbers[:due] if trial not in found]:
        raise UserError(
            f"iteration {batch.iteration}: a record of each of its {len(suggested)} trials must be given, "
            f"but there is none of trial {', '.join(map(str, missing))}; run `evaluate` for it again"
        )
    return [found[trial][1] for trial in takewhile(found.__contains__, numbers)]


def read_ledger(uri: str, study: Study) -> list[Record]:
    """Read the records of all trials that this study has done, in the order of their numbers.

    Raises:
        UserError: The ledger is not there, not whole, or of another study.
    """
    content = storage.read(uri)
    if content and not content.endswith(b"\n"):
        raise UserError(f"{uri}: every line must be whole, but the last one is cut off")
    ledger = [
        _parse(Record, line, f"{uri}, line {number}", study) for number, line in enumerate(content.splitlines(), 1)
    ]
    for number, record in enumerate(ledger, 1):
        if record.trial != number:
            raise UserError(f"{uri}, line {number}: trial {number} must be there, but got {record.trial}")
        if difference := difference_of(study.space, record.parameters or {}):
            raise UserError(f"{uri}, line {number}: a point of the space of the study must be there, but {difference}")
    return ledger


def extend_ledger(ledger: Sequence[Record], batch: Batch, records: Sequence[Record]) -> list[Record]:
    """Return the ledger with the records of the batch that was proposed after it.

    Raises:
        UserError: The batch does not follow the ledger.
    """
    if batch.suggestions and batch.suggestions[0].trial != len(ledger) + 1:
        raise UserError(
            f"iteration {batch.iteration}: its suggestions begin with trial {batch.suggestions[0].trial}, so that a "
            f"ledger of {batch.suggestions[0].trial - 1} trials must be given, but it has {len(ledger)}"
        )
    return [*ledger, *records]


def write_ledger(uri: str, ledger: Sequence[Record]) -> None:
    """Write the ledger: JSON lines, one record each."""
    storage.write(uri, "".join(record.to_line() + "\n" for record in ledger).encode())


def write_best(uri: str, best: Best) -> None:
    """Write the best trial."""
    storage.write(uri, best.model_dump_json(indent=1).encode() + b"\n")


def _parse(document: type[D], content: bytes, source: str, study: Study) -> D:
    name = document.__name__.lower()
    try:
        data = json.loads(content)
    except ValueError as error:
        raise UserError(f"{source}: a whole {name} in JSON must be there, but: {error}") from None
    if isinstance(data, dict) and data.get("fingerprint", study.fingerprint) != study.fingerprint:
        raise UserError(
            f"{source}: a {name} of the study {study.name!r} ({study.fingerprint}) must be there, but it is of "
            f"{data.get('study')!r} ({data['fingerprint']}): {_difference(study, data)}; "
            "give the study that it was made with, or start anew in another place"
        )
    try:
        return document.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{source}: not a {name}: {f'{path}: ' if path else ''}{first['msg']}, but got {first['input']!r:.200}"
        ) from None


def _difference(study: Study, data: dict[str, Any]) -> str:
    """Return what is different in a study that another document is of, as far as the document tells."""
    if data.get("study") != study.name:
        return "its name is another"
    suggestions = data.get("suggestions")
    for point in [data, *(suggestions if isinstance(suggestions, list) else [])]:
        parameters = point.get("parameters") if isinstance(point, dict) else None
        if isinstance(parameters, dict) and (difference := difference_of(study.space, parameters)):
            return f"its space is another, {difference}"
    return "its objective, direction or space is another"
