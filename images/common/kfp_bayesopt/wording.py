"""The wording of mistakes: what pydantic found in the data of a model, in a person's words.

A line names the path of the field as a person writes it, what must hold, and what came.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kfp_bayesopt.errors import MAX_LINES, shown, shown_name

FUNCTION = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"
MEMORY = r"^[1-9]\d*(K|M|G|T|Ki|Mi|Gi|Ti)$"
NAME = r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"

PATTERNS = {
    FUNCTION: "module:function",
    MEMORY: "a number and K, M, G, T, Ki, Mi, Gi or Ti, such as 8G",
    NAME: "1 to 63 lower case letters, digits and hyphens, beginning with a letter and not ending with a hyphen",
}
"""The patterns of texts, and how messages describe them."""


class Unreadable:
    """Stands for a value with a mistake that was already reported."""

    def __repr__(self) -> str:
        return "(unreadable)"


UNREADABLE: Final = Unreadable()


def mistakes_of(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    """Yield a line for each mistake in the data of a model: path of the field, problem, value."""
    yield from _describe(error.errors(include_url=False), model)


def _describe(mistakes: list[ErrorDetails], model: type[BaseModel]) -> Iterator[str]:
    seen: set[tuple[int | str, ...]] = set()
    for mistake in mistakes:
        location = mistake["loc"]
        if _is_branch(location):  # a union complains once for each of its branches
            location = location[:-1]
            if location in seen:
                continue
        seen.add(location)
        if len(seen) > MAX_LINES * 10:
            yield str(location)  # it is counted and not shown, and thousands would take seconds to word
        elif mistake["input"] is not UNREADABLE:
            yield from _describe_one(mistake, model)


def _is_branch(location: tuple[int | str, ...]) -> bool:
    return len(location) > 1 and isinstance(location[-2], int) and location[-1] in ("bool", "int", "float", "str")


@dataclass(frozen=True)
class _Mistake:
    """A mistake found by pydantic, in a person's words.

    Attributes:
        path: The path of the field.
        keys: The known keys of its section.
        kinds: The models that it may be.
        name: The name of the field, as given.
        came: The value.
        context: Details of this kind of mistake.
        words: The message of pydantic.
    """

    path: str
    keys: list[str]
    kinds: list[Any]
    name: str
    came: Any
    context: dict[str, Any]
    words: str

    @property
    def got(self) -> str:
        return f"but got {shown(self.came)}"


def _describe_one(mistake: ErrorDetails, model: type[BaseModel]) -> Iterator[str]:
    location, kind = mistake["loc"], mistake["type"]
    context = mistake.get("ctx", {})
    path, keys, section = _path(location[:-2] if location[-1:] == ("[key]",) else location, model)
    if kind.startswith("union_tag"):
        path += "." + context["discriminator"].strip("'")
    name = str(location[-1]) if location else ""
    found = _Mistake(path, keys, _members(section), name, mistake["input"], context, mistake["msg"])
    word = _not_a_scalar if _is_branch(location) else _WORDINGS.get(kind, _as_pydantic_says)
    for line in word(found):
        yield f"{path}: {line}" if path else line


def _unknown_key(mistake: _Mistake) -> Iterable[str]:
    return [f"unknown key; {nearest(mistake.name, mistake.keys) or 'known keys: ' + ', '.join(mistake.keys)}"]


def _no_tag(mistake: _Mistake) -> Iterable[str]:
    tags = [tag for tag in map(_tag, mistake.kinds) if tag]
    return [f"required key is missing; it must be {_one_of(tags)}"]


def _unknown_tag(mistake: _Mistake) -> Iterable[str]:
    key = mistake.context["discriminator"].strip("'")
    tag = mistake.came.get(key) if isinstance(mistake.came, dict) else mistake.came
    if tag is UNREADABLE:
        return []
    tags = mistake.context["expected_tags"].replace("'", "").split(", ")
    names: dict[str, str] = {}
    for kind in mistake.kinds:
        names |= getattr(kind, "names_elsewhere", {})
    known = names.get(str(tag))
    near = f"did you mean {known}?" if known else nearest(str(tag), tags)
    hint = f"; {near}" if near else ""
    return [f"must be {_one_of(tags)}, but got {shown(tag)}{hint}"]


def _unlike_the_pattern(mistake: _Mistake) -> Iterable[str]:
    pattern = mistake.context["pattern"]
    return [f"must be {PATTERNS.get(pattern, f'text like {pattern}')}, {mistake.got}"]


def _too_short(mistake: _Mistake) -> Iterable[str]:
    # A value is not empty: it was refused for another reason.
    return [] if mistake.came else [f"must not be empty, {mistake.got}"]


def _not_a_scalar(mistake: _Mistake) -> Iterable[str]:
    return [f"must be text, a finite number, a boolean or null, {mistake.got}"]


def _not_a_mapping(mistake: _Mistake) -> Iterable[str]:
    return [f"must be a mapping of keys to values, {mistake.got}"]


def _not_a_list(mistake: _Mistake) -> Iterable[str]:
    return [f"must be a list, {mistake.got}"]


def _as_pydantic_says(mistake: _Mistake) -> Iterable[str]:
    return [f"{mistake.words.replace('Input should be', 'must be')}, {mistake.got}"]


_WORDINGS: dict[str, Callable[[_Mistake], Iterable[str]]] = {
    "extra_forbidden": _unknown_key,
    "missing": lambda _: ["required key is missing"],
    "union_tag_not_found": _no_tag,
    "union_tag_invalid": _unknown_tag,
    "value_error": lambda mistake: str(mistake.context["error"]).splitlines(),
    "string_pattern_mismatch": _unlike_the_pattern,
    "too_short": _too_short,
    "literal_error": lambda mistake: [f"must be {mistake.context['expected']}, {mistake.got}"],
    "model_type": _not_a_mapping,
    "model_attributes_type": _not_a_mapping,
    "dict_type": _not_a_mapping,
    "list_type": _not_a_list,
    "tuple_type": _not_a_list,
}


def _one_of(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def nearest(word: str, known: list[str]) -> str | None:
    """Return a hint at the nearest known word, or None."""
    near = difflib.get_close_matches(word[:100], known, n=1)
    return f"did you mean {near[0]!r}?" if near else None


def _path(location: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, list[str], Any]:
    """Return the path of a field as a person writes it, the known keys of its section, and its type.

    The parts that pydantic adds between the keys are left out: the tag of a parameter, the branch of a union.
    """
    parts: list[str] = []
    section: Any = model
    keys: list[str] = []
    for part in location:
        fields = _fields(section)
        if isinstance(part, int):
            parts[-1:] = [f"{parts[-1] if parts else ''}[{part}]"]
            section = (get_args(section) or (None,))[0]
        elif fields is not None:
            keys = list(fields)
            parts.append(shown_name(part))
            section = _required(fields[part].annotation) if part in fields else None
        elif get_origin(section) is dict:
            parts.append(shown_name(part))
            section = get_args(section)[1]
        else:
            section = next((member for member in _members(section) if _tag(member) == part), None)
    return ".".join(parts), keys, section


def _fields(section: Any) -> dict[str, Any] | None:
    """Return the fields of a model, by their names in a file; None for anything else."""
    fields = getattr(section, "model_fields", None)
    return None if fields is None else {field.alias or name: field for name, field in fields.items()}


def _required(annotation: Any) -> Any:
    """Return the type of an optional section; pydantic adds nothing between it and its keys."""
    members = [member for member in _members(annotation) if member is not NoneType]
    return members[0] if len(members) == 1 else annotation


def _members(annotation: Any) -> list[Any]:
    """Return the types of a union, nested ones included, annotated or not."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) not in (Union, UnionType):
        return [annotation]
    return [member for each in get_args(annotation) for member in _members(each)]


def _tag(member: Any) -> str | None:
    """Return the tag of a section in its union: the only possible value of one of its fields."""
    fields = getattr(member, "model_fields", {})
    literals = (get_args(field.annotation) for field in fields.values() if get_origin(field.annotation) is Literal)
    return next((values[0] for values in literals if len(values) == 1), None)
