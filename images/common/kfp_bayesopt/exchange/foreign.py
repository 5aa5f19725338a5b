"""The boundary around files of somebody else: what is in one becomes a checked value, or one message.

Files that are YAML or JSON are read within limits and then checked by a model, whose mistakes are named by the path of
the key. What a library reads is read in `of_a_library`. Nothing of ours runs there: a mistake of ours keeps its
traceback.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError
from pydantic.alias_generators import to_camel

from kfp_bayesopt.errors import UserError, listed, shown
from kfp_bayesopt.folder.documents import parse_json
from kfp_bayesopt.space.numerals import NOT_FINITE, NUMBER
from kfp_bayesopt.store import storage
from kfp_bayesopt.study.study_file import mistakes_of
from kfp_bayesopt.study.yaml_reader import MAX_BYTES, UNREADABLE, UnreadableError, read_yaml

MOST_DIGITS = 250


class ForeignModel(BaseModel):
    """A mapping of another service: in camel case or snake case, with more keys than we have a use for."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        alias_generator=to_camel,
        populate_by_name=True,
        defer_build=True,
    )


M = TypeVar("M", bound=BaseModel)


def checked(model: type[M], data: object, source: str) -> M:
    """Return data of somebody else as a model.

    Raises:
        UserError: It is something else; the message names all mistakes by the paths of their keys.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise UserError(listed(source, mistakes_of(error, model))) from None


def read_foreign_yaml(path: str, limit: int = MAX_BYTES) -> Any:
    """Return what a YAML file holds; JSON is YAML too.

    Raises:
        UserError: It cannot be read, or is no YAML.
    """
    try:
        data, problems = read_yaml(storage.read(path, limit=limit))
    except UnreadableError as error:
        raise UserError(listed(path, [str(error)])) from None
    if problems:
        raise UserError(listed(path, problems))
    return data


def read_foreign_json(path: str, limit: int, way_out: str) -> dict[str, Any]:
    """Return what a JSON file holds, which is an object.

    Raises:
        UserError: It cannot be read, or is none; the message ends with the way out.
    """
    content = storage.read(path, limit=limit)
    try:
        data = parse_json(content.decode("utf-8-sig").encode())
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    except ValueError as error:
        raise UserError(listed(path, [f"not valid JSON: {error}; {way_out}"])) from None
    if not isinstance(data, dict):
        raise UserError(listed(path, [f"must be an object, but got {shown(data)}; {way_out}"]))
    return data


@contextmanager
def of_a_library(source: str, what: str) -> Iterator[None]:
    """Turn whatever a library raises over a file into one message.

    A damaged file ends in any exception of a library and of those below it. So no more than its calls may stand in
    here: a mistake of ours keeps its traceback.

    Args:
        source: Names the file.
        what: What it must be, such as "Parquet file".

    Raises:
        UserError: The library has raised something.
    """
    try:
        yield
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(listed(source, [f"is no {what} that can be read: {reason}"])) from None


def number_of(given: Any) -> int | float:
    """Return the number that a value is or that a text holds: an integer where it is written so.

    Raises:
        ValueError: It is none, is not finite, or has very many digits.
    """
    if isinstance(given, str) and len(given) <= MOST_DIGITS:
        text = given.strip()
        found: int | float | None = int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else decimal_of(text)
    else:
        found = given if isinstance(given, int | float) and not isinstance(given, bool) else None
    # Longer integers are beyond the largest float, and Python refuses to write out those of thousands of digits.
    if found is None or (isinstance(found, int) and found.bit_length() > 1000) or not math.isfinite(found):
        raise ValueError(f"must be a finite number, but got {shown(given)}")
    return found


def decimal_of(text: str) -> float | None:
    """Return the number that a text is and nothing else, NaN and infinity among them, or None."""
    return float(text) if re.fullmatch(f"{NUMBER}|{NOT_FINITE}", text) else None


def _whole(given: Any) -> int:
    found = number_of(given)
    if found != int(found):
        raise ValueError(f"must be a whole number, but got {shown(given)}")
    return int(found)


def _scalar(given: Any) -> bool | int | float | str:
    if isinstance(given, bool | str):
        return given
    if given is UNREADABLE or not isinstance(given, int | float):
        raise ValueError(f"must be text, a number or a boolean, but got {shown(given)}")
    return number_of(given)


Number = Annotated[int | float, PlainValidator(number_of)]
"""A number, or a text that holds one."""

Whole = Annotated[int, PlainValidator(_whole)]
"""A whole number, or a text that holds one."""

Count = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=10**9)]
"""How many of something there are."""

Plain = Annotated[bool | int | float | str, PlainValidator(_scalar)]
"""A value that is no list, no mapping and not null."""

Name = Annotated[str, Field(min_length=1, max_length=1000)]


def by_number(*names: str) -> BeforeValidator:
    """Take the number of a value of a protocol buffer's enum for its name; they count from 0."""

    def read(given: Any) -> Any:
        is_number = isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(names)
        return names[given] if is_number else given

    return BeforeValidator(read)
