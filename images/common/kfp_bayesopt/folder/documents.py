"""The base of the JSON files of a study: read whole, checked, and refused by name with the way out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import from_json

from kfp_bayesopt.errors import DamagedError, TooLargeError, UserError, shortened, shown, shown_name
from kfp_bayesopt.hints import Hint
from kfp_bayesopt.space.decimals import difference
from kfp_bayesopt.store import storage
from kfp_bayesopt.strict import StrictModel
from kfp_bayesopt.study.study import Study

FORMAT: Literal[2] = 2
_WORDS = {
    "missing": "required key is missing",
    "extra_forbidden": "unknown key",
    "model_type": "must be a mapping of keys to values",
}

# Far more than any study has, and small enough for names of files and for counting.
MOST_NUMBER = 10**9
Number = Annotated[int, Field(ge=1, le=MOST_NUMBER)]
Count = Annotated[int, Field(ge=0, le=MOST_NUMBER)]


def number_in(name: str, digits: int = 1, least: int = 1) -> int | None:
    """Return the number that a part of a file's name is; None if it is not in our form.

    Args:
        name: The part; Python also takes `²` and `٣` for digits, which no file name of ours has.
        digits: The fewest digits.
        least: The smallest number.
    """
    if not (name.isascii() and name.isdigit() and len(name) <= len(str(MOST_NUMBER))):
        return None
    number = int(name)
    return number if f"{number:0{digits}d}" == name and least <= number <= MOST_NUMBER else None


def _check_time(text: str) -> str:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None or not 1970 <= time.year <= 9000:
        raise ValueError("must be a time with its zone, such as 2026-01-01T12:00:00+00:00")
    return text


Time = Annotated[str, AfterValidator(_check_time)]


class Document(StrictModel):
    """The content of a file of a study, as JSON.

    Attributes:
        what: Its name in messages.
        way_out: The remedy for a damaged one.
        max_bytes: Its size limit, far above the largest real one.
    """

    what: ClassVar[str]
    way_out: ClassVar[str | Hint]
    max_bytes: ClassVar[int] = 1_000_000

    format: Literal[2] = FORMAT

    def mismatches(self, study: Study) -> Iterator[str]:
        """Yield the mismatches between the document and its study."""
        yield from ()

    def to_line(self) -> str:
        """Return the document as one line of JSON, without the line's end."""
        return self.model_dump_json(exclude_none=True)

    def to_bytes(self) -> bytes:
        """Return the content of its file: one line of JSON."""
        return self.to_line().encode() + b"\n"


class OfStudy(Document):
    """A document that belongs to one study."""

    study: str
    fingerprint: str


D = TypeVar("D", bound=Document)


def data_of(document: Document) -> dict[str, Any]:
    """Return a document as data for JSON, with all of its keys: None where one has no value."""
    return document.model_dump(mode="json")


def read_document(document: type[D], uri: str, study: Study | None = None) -> D:
    """Read a document of a study.

    Args:
        document: Its kind.
        uri: Its URI.
        study: The study that it must belong to.

    Raises:
        NotFoundError: It is missing.
        DamagedError: It is damaged, or of another study.
        UserError: It is of a newer format, or storage refuses to read it.
    """
    try:
        content = storage.read(uri, limit=document.max_bytes)
    except TooLargeError as error:
        raise DamagedError(f"{error.message}; {document.way_out}") from None
    return parse_document(document, content, uri, study)


def parse_document(
    document: type[D], content: bytes, source: str, study: Study | None = None, way_out: str | Hint | None = None
) -> D:
    """Check the content of a document; `source` names it in messages.

    Raises:
        DamagedError: It is damaged, or of another study.
        UserError: It is of a newer format.
    """
    try:
        data = parse_json(content)
    except ValueError as error:
        raise damaged(document, source, str(error), way_out) from None
    if isinstance(data, dict):
        _check_format(source, data)
        if study is not None:
            check_study(document.what, source, data, study)
    try:
        found = document.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) if isinstance(part, int) else shown_name(part) for part in first["loc"])
        problem = _WORDS.get(first["type"]) or str(first.get("ctx", {}).get("error") or first["msg"])
        got = (
            f", but got {shown(first['input'])}" if first["type"] not in {"missing", "extra_forbidden"} and path else ""
        )
        where = f"{path}: " if path else ""
        raise damaged(document, source, f"{where}{problem.replace('Input should', 'must')}{got}", way_out) from None
    for problem in found.mismatches(study) if study is not None else ():
        raise damaged(document, source, problem, way_out)
    return found


def _check_format(source: str, data: dict[str, Any]) -> None:
    found = data.get("format", FORMAT)
    if type(found) is int and found > FORMAT:
        raise UserError(
            f"{source}: has format {found}, but this version reads formats up to {FORMAT}; use a newer version of "
            "kfp-bayesopt, at least the one that wrote it"
        )


def check_study(what: str, source: str, data: dict[str, Any], study: Study) -> None:
    """Refuse the data of another study.

    Raises:
        DamagedError: It is of another study; the message names the difference.
    """
    if data.get("fingerprint", study.fingerprint) != study.fingerprint:
        raise DamagedError(
            f"{source}: the {what} is of another study, {shown(data.get('study'))} "
            f"({shown(data['fingerprint'])}), and not of {study.name!r} ({study.fingerprint}): "
            f"{shortened(_difference(study, data))}; use the study file that it was made with, or another folder"
        )


def parse_json(content: bytes | str) -> Any:
    """Return the data of a JSON document.

    Raises:
        ValueError: It is not JSON, has a duplicate key, is nested too deeply, or holds invalid Unicode or a number that
            is not finite.
    """
    # It has limits that Python's own parser lacks, of nesting, digits and surrogates, but does not find duplicate keys.
    from_json(content, allow_inf_nan=False)
    return json.loads(content, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"duplicate key {shown(key)}")
        found[key] = value
    return found


def damaged(document: type[Document], source: str, problem: str, way_out: str | Hint | None = None) -> DamagedError:
    """Return the error for a document that cannot be used."""
    return DamagedError(f"{source}: damaged {document.what}: {shortened(problem)}; {way_out or document.way_out}")


def _difference(study: Study, data: dict[str, Any]) -> str:
    """Return the difference between a study and the one that a document is of, as far as the document tells."""
    if data.get("study") != study.name:
        return "it has another name"
    suggestions = data.get("suggestions")  # of version 0.1.0
    for point in [data, *(suggestions if isinstance(suggestions, list) else [])]:
        parameters = point.get("parameters") if isinstance(point, dict) else None
        if not isinstance(parameters, dict) or any(isinstance(each, list | dict) for each in parameters.values()):
            continue
        if found := difference(study.space, parameters):
            return f"it has another space: {found}"
    return "it has another objective, direction or space"
