"""Suggestions, records, the ledger and the best trial: the JSON that passes between the steps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import takewhile
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import from_json

from bayesopt import storage
from bayesopt.errors import TooLargeError, UserError, shortened, shown, shown_name
from bayesopt.space import Parameters, difference_of
from bayesopt.strict import StrictModel
from bayesopt.study import Study

_REMAKE_LEDGER = (
    "delete the ledger and the suggestions.json beside it, and run the study again, "
    "so that both are made from the records"
)
_WORDS = {
    "missing": "required key is missing",
    "extra_forbidden": "unknown key",
    "model_type": "must be a mapping of keys to values",
}

# Far more than any study has, and little enough to name files and to count from.
Number = Annotated[int, Field(ge=1, le=10**9)]


def _check_time(text: str) -> str:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None or not 1970 <= time.year <= 9000:
        raise ValueError("must be a time with its zone, such as 2026-01-01T12:00:00+00:00")
    return text


class Document(StrictModel):
    """What a file of a study holds, as JSON.

    Attributes:
        what: What a message calls it.
        way_out: What a person can do about a damaged one.
        max_bytes: How large it may be; the largest that a study gives is far smaller.
    """

    what: ClassVar[str]
    way_out: ClassVar[str]
    max_bytes: ClassVar[int] = 1_000_000

    format: Literal[1] = 1
    study: str
    fingerprint: str


D = TypeVar("D", bound=Document)


class Suggestion(StrictModel):
    """A trial that the optimiser proposes and nobody has evaluated yet."""

    trial: Number = Field(description="Number of the trial in its study, from 1.")
    parameters: Parameters


class Batch(Document):
    """The suggestions of one iteration; empty when the study has ended."""

    what = "batch of suggestions"
    way_out = "delete the file and run the study again, so that the batch is proposed again"
    max_bytes = 32_000_000

    iteration: Number = Field(description="Number of the iteration, from 1.")
    suggestions: list[Suggestion]
    ended: str | None = Field(None, description="Why the study ends before its budget is spent.")
    ledger: str | None = Field(
        None, description="Digest of the ledger that it was proposed from, to detect an edited one."
    )

    def after(self, ledger: Sequence[Record]) -> Self:
        """Return the batch with the digest of the ledger that it was proposed from."""
        return self.model_copy(update={"ledger": digest_of(ledger)})


class Record(Document):
    """A trial as JSON.

    A completed trial has a value, a failed one an error. A skipped one stands for an index that
    the batch does not have: it is no trial, and the ledger does not keep it.
    """

    what = "record"
    way_out = "delete the file and run the study again, so that the trial is evaluated again"

    iteration: Number
    trial: Number | None
    parameters: Parameters | None
    state: Literal["completed", "failed", "skipped"]
    value: float | None = None
    error: str | None = None
    started: Annotated[str, AfterValidator(_check_time)] = Field(
        description="When the evaluation began: ISO 8601, UTC."
    )
    seconds: float = Field(ge=0, le=1e9, description="How long it took.")
    host: str = Field(description="Name of the machine or container.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.trial is None or self.parameters is None) != (self.state == "skipped"):
            raise ValueError("trial and parameters are required, but not of a skipped trial")
        if (self.value is None) == (self.state == "completed") or (self.error is None) == (self.state == "failed"):
            raise ValueError("value is required of a completed trial alone, and error of a failed one alone")
        return self

    def to_line(self) -> str:
        """Return the record as one line of JSON, without the line's end."""
        return self.model_dump_json()


class Recommendation(StrictModel):
    """The trial that a noisy study recommends: where the model's mean, and not a lucky value, is best."""

    trial: Number
    iteration: Number
    parameters: Parameters
    value: float = Field(description="What the trial returned.")
    mean: float = Field(description="What the model expects of its parameters.")


class Best(Document):
    """The best trial so far, and how many trials there are."""

    what = "best trial"
    way_out = "delete the file and run the study again, so that it is computed from the ledger"

    direction: Literal["minimize", "maximize"]
    value: float | None = Field(description="None while no trial has completed.")
    parameters: Parameters | None
    trial: Number | None
    iteration: Number | None
    completed: int = Field(ge=0, le=10**9)
    failed: int = Field(ge=0, le=10**9)
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
        UserError: It is missing, damaged, or of another study.
    """
    return _read(Best, uri, study)


def read_batch(uri: str, study: Study) -> Batch:
    """Read the suggestions of an iteration of this study.

    Raises:
        UserError: They are missing, damaged, or of another study.
    """
    batch = _read(Batch, uri, study)
    for before, suggestion in zip([None, *batch.suggestions], batch.suggestions, strict=False):
        if before is not None and suggestion.trial != before.trial + 1:
            raise _damaged(Batch, uri, f"trial {before.trial + 1} must come next, but got trial {suggestion.trial}")
        if difference := difference_of(study.space, suggestion.parameters):
            raise _damaged(Batch, uri, f"trial {suggestion.trial} is not in the space of the study: {difference}")
    return batch


def write_batch(uri: str, batch: Batch) -> None:
    """Write the suggestions of an iteration."""
    storage.write(uri, batch.model_dump_json(indent=1).encode() + b"\n")


def read_record(uri: str, study: Study) -> Record:
    """Read the record of a trial of this study.

    Raises:
        UserError: It is missing, damaged, or of another study.
    """
    return _read(Record, uri, study)


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
        UserError: One is missing, damaged, there twice, or of another study or iteration.
    """
    # As many as the client of Cloud Storage keeps connections; one more and it warns.
    with ThreadPoolExecutor(max_workers=10) as pool:
        read = list(pool.map(lambda uri: read_record(uri, study), uris))
    suggested = {suggestion.trial: suggestion for suggestion in batch.suggestions}
    found: dict[int, tuple[str, Record]] = {}
    for uri, record in zip(uris, read, strict=True):
        if record.iteration != batch.iteration:
            raise UserError(f"{uri}: the record is of iteration {record.iteration}, but the batch of {batch.iteration}")
        if record.trial is None:
            continue
        if record.trial in found:
            raise UserError(f"{uri}: duplicate record of trial {record.trial}; {found[record.trial][0]} has it too")
        suggestion = suggested.get(record.trial)
        # By JSON, because Python takes 1, 1.0 and True for equal.
        if suggestion is None or json.dumps(record.parameters) != json.dumps(suggestion.parameters):
            problem = (
                f"trial {record.trial} of the batch has other parameters"
                if suggestion
                else (f"the batch has no trial {record.trial}")
            )
            raise UserError(f"{uri}: {problem}; {Record.way_out}")
        found[record.trial] = (uri, record)
    numbers = sorted(suggested)
    if missing := [trial for trial in numbers[:due] if trial not in found]:
        named = ", ".join(map(str, missing[:10])) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
        plural = "records of trials" if len(missing) > 1 else "record of trial"
        verb, what = ("are", "them") if len(missing) > 1 else ("is", "it")
        raise UserError(
            f"iteration {batch.iteration}: the {plural} {named} {verb} missing; run `evaluate` for {what} again"
        )
    return [found[trial][1] for trial in takewhile(found.__contains__, numbers)]


def read_ledger(uri: str, study: Study) -> list[Record]:
    """Read the records of all trials that this study has done, in the order of their numbers.

    Raises:
        UserError: The ledger is missing, damaged, edited, or of another study.
    """
    content = storage.read(uri)
    if content and not content.endswith(b"\n"):
        raise UserError(f"{uri}: the last line is cut off; {_REMAKE_LEDGER}")
    ledger: list[Record] = []
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        source = f"{uri}, line {number}"
        record = _parse(Record, line, source, study, _REMAKE_LEDGER)
        iteration = ledger[-1].iteration if ledger else 0
        if record.trial != number:
            came = "a skipped one" if record.trial is None else f"trial {record.trial}"
            raise UserError(f"{source}: must be trial {number}, but got {came}; {_REMAKE_LEDGER}")
        if record.iteration not in {iteration or 1, iteration + 1}:
            raise UserError(
                f"{source}: iteration {record.iteration} does not follow iteration {iteration}; {_REMAKE_LEDGER}"
            )
        if difference := difference_of(study.space, record.parameters or {}):
            raise UserError(
                shortened(f"{source}: trial {number} is not in the space of the study: {difference}; {_REMAKE_LEDGER}")
            )
        ledger.append(record)
    return ledger


def digest_of(ledger: Sequence[Record]) -> str:
    """Return the SHA-256 of what engines learn from a ledger; times and hosts differ from place to place."""
    learnt = [
        record.model_dump_json(include={"iteration", "trial", "parameters", "state", "value"}) for record in ledger
    ]
    return hashlib.sha256("\n".join(learnt).encode()).hexdigest()


def extend_ledger(ledger: Sequence[Record], batch: Batch, records: Sequence[Record]) -> list[Record]:
    """Return the ledger with the records of the batch that was proposed after it.

    Raises:
        UserError: The batch does not follow the ledger, or the ledger was edited since.
    """
    if batch.suggestions and batch.suggestions[0].trial != len(ledger) + 1:
        raise UserError(
            f"iteration {batch.iteration}: the batch begins with trial {batch.suggestions[0].trial}, "
            f"but the ledger has {len(ledger)} trials; give the ledger of the iterations before"
        )
    if batch.ledger is not None and batch.ledger != digest_of(ledger):
        raise UserError(
            f"iteration {batch.iteration}: the ledger is not the one that the batch was proposed from: one of them was "
            f"edited; {_REMAKE_LEDGER}"
        )
    return [*ledger, *records]


def write_ledger(uri: str, ledger: Sequence[Record]) -> None:
    """Write the ledger: JSON lines, one record each."""
    storage.write(uri, "".join(record.to_line() + "\n" for record in ledger).encode())


def write_best(uri: str, best: Best) -> None:
    """Write the best trial."""
    storage.write(uri, best.model_dump_json(indent=1).encode() + b"\n")


def _read(document: type[D], uri: str, study: Study) -> D:
    try:
        content = storage.read(uri, limit=document.max_bytes)
    except TooLargeError as error:
        raise TooLargeError(f"{error.message}; {document.way_out}") from None
    return _parse(document, content, uri, study, document.way_out)


def _parse(document: type[D], content: bytes, source: str, study: Study, way_out: str) -> D:
    try:
        data = _from_json(content)
    except ValueError as error:
        raise _damaged(document, source, str(error), way_out) from None
    if isinstance(data, dict) and data.get("fingerprint", study.fingerprint) != study.fingerprint:
        raise UserError(
            f"{source}: the {document.what} is of another study, {shown(data.get('study'))} "
            f"({shown(data['fingerprint'])}), and not of {study.name!r} ({study.fingerprint}): "
            f"{shortened(_difference(study, data))}; use the study file that it was made with, or another folder"
        )
    try:
        return document.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) if isinstance(part, int) else shown_name(part) for part in first["loc"])
        problem = _WORDS.get(first["type"]) or str(first.get("ctx", {}).get("error") or first["msg"])
        got = (
            f", but got {shown(first['input'])}" if first["type"] not in {"missing", "extra_forbidden"} and path else ""
        )
        where = f"{path}: " if path else ""
        raise _damaged(document, source, f"{where}{problem.replace('Input should', 'must')}{got}", way_out) from None


def _from_json(content: bytes) -> Any:
    """Return the data of a JSON document.

    Raises:
        ValueError: It is no JSON, has a key twice, is nested deeply, or holds what is no Unicode or no finite number.
    """
    # It knows limits that Python's own parser does not: of nesting, digits and surrogates; but not of duplicate keys.
    from_json(content, allow_inf_nan=False)
    return json.loads(content, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"duplicate key {shown(key)}")
        found[key] = value
    return found


def _damaged(document: type[Document], source: str, problem: str, way_out: str | None = None) -> UserError:
    return UserError(f"{source}: damaged {document.what}: {shortened(problem)}; {way_out or document.way_out}")


def _difference(study: Study, data: dict[str, Any]) -> str:
    """Return what is different in a study that another document is of, as far as the document tells."""
    if data.get("study") != study.name:
        return "it has another name"
    suggestions = data.get("suggestions")
    for point in [data, *(suggestions if isinstance(suggestions, list) else [])]:
        parameters = point.get("parameters") if isinstance(point, dict) else None
        if not isinstance(parameters, dict) or any(isinstance(value, list | dict) for value in parameters.values()):
            continue
        if difference := difference_of(study.space, parameters):
            return f"it has another space: {difference}"
    return "it has another objective, direction or space"
