"""The boundary around other tools' files: a file becomes a checked value, or one message.

YAML and JSON files are read within limits and then checked by a model; mistakes are named by the path of the key. Calls
of a library that reads a file are made inside `of_a_library`. None of our code runs there: our own mistakes keep their
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
from kfp_bayesopt.study.yaml_reader import MAX_BYTES, UnreadableError, read_yaml
from kfp_bayesopt.wording import UNREADABLE, mistakes_of

MOST_DIGITS = 250


class ForeignModel(BaseModel):
    """A mapping from another service: in camel case or snake case, possibly with keys that are of no use here."""

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
    """Return another tool's data as a model.

    Raises:
        UserError: It does not fit; the message names all mistakes by the paths of their keys.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise UserError(listed(source, mistakes_of(error, model))) from None


def unknown_keys(model: BaseModel, data: Any) -> Iterator[str]:
    """Yield the paths of the keys of another tool's data that its model has no field for, at any depth."""
    names = {name: name for name in type(model).model_fields}
    names |= {field.alias: name for name, field in type(model).model_fields.items() if field.alias is not None}
    for key, given in data.items() if isinstance(data, dict) else ():
        if key not in names:
            yield str(key)
            continue
        read = getattr(model, names[key])
        if isinstance(read, BaseModel):
            yield from (f"{key}.{path}" for path in unknown_keys(read, given))
        elif isinstance(read, list) and isinstance(given, list):
            for number, (each, part) in enumerate(zip(read, given, strict=False)):
                if isinstance(each, BaseModel):
                    yield from (f"{key}[{number}].{path}" for path in unknown_keys(each, part))


def read_foreign_yaml(path: str, limit: int = MAX_BYTES) -> Any:
    """Return the content of a YAML file; JSON is YAML too.

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
    """Return the object in a JSON file.

    Raises:
        UserError: It cannot be read, or holds no object; the message ends with the way out.
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
    """Turn any exception of a library that reads a file into one message.

    A damaged file may cause any exception in a library or those that it uses. So only its calls belong in here: our own
    mistakes keep their traceback.

    Args:
        source: Names the file.
        what: The expected kind, such as "Parquet file".

    Raises:
        UserError: The library has raised something.
    """
    try:
        yield
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(listed(source, [f"is no {what} that can be read: {reason}"])) from None


def number_of(given: Any) -> int | float:
    """Return the number that a value is or a text holds: an integer if it is written as one.

    Raises:
        ValueError: It is no number, is not finite, or has very many digits.
    """
    if isinstance(given, str) and len(given) <= MOST_DIGITS:
        text = given.strip()
        found: int | float | None = int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else decimal_of(text)
    else:
        found = given if isinstance(given, int | float) and not isinstance(given, bool) else None
    # Longer integers are beyond the largest float, and Python refuses to print those of thousands of digits.
    if found is None or (isinstance(found, int) and found.bit_length() > 1000) or not math.isfinite(found):
        raise ValueError(f"must be a finite number, but got {shown(given)}")
    return found


def decimal_of(text: str) -> float | None:
    """Return the number in a text that holds nothing else, NaN and infinity included, or None."""
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
"""A count of something."""

Plain = Annotated[bool | int | float | str, PlainValidator(_scalar)]
"""A value that is no list, no mapping and not null."""

Name = Annotated[str, Field(min_length=1, max_length=1000)]


def by_number(*names: str) -> BeforeValidator:
    """Accept the number of a protocol buffer's enum value, counted from 0, in place of its name."""

    def read(given: Any) -> Any:
        is_number = isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(names)
        return names[given] if is_number else given

    return BeforeValidator(read)
