"""The study file: reads a study from YAML and words its mistakes."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from kfp_bayesopt.errors import MAX_LINES, DamagedError, UserError, listed, shortened, shown, shown_name
from kfp_bayesopt.search.engines.base import EngineSettings
from kfp_bayesopt.space.parameters import OTHER_NAMES, Parameter
from kfp_bayesopt.store import storage
from kfp_bayesopt.strict import BY_PERSON
from kfp_bayesopt.study.objective import Objective
from kfp_bayesopt.study.sources import AnySource
from kfp_bayesopt.study.study import PATTERNS, Optimizer, Study, budget_mistakes
from kfp_bayesopt.study.yaml_reader import MAX_BYTES, UNREADABLE, UnreadableError, read_yaml


def load_study(uri: str) -> Study:
    """Read and check a study file.

    Raises:
        UserError: It is missing or has mistakes; the message names all of them, one a line.
    """
    return parse_study(read_study(uri), source=uri)


def read_study(uri: str) -> bytes:
    """Return the content of a study file; one in a study folder is compared with the digest in its name.

    Raises:
        UserError: It is missing, too large, or was replaced.
    """
    content = storage.read(uri, limit=MAX_BYTES)
    name = re.fullmatch(r"(?:.*/)?study/([0-9a-f]{64})\.yaml", uri)
    if name and hashlib.sha256(content).hexdigest() != name[1]:
        raise DamagedError(
            f"{uri}: its content is not the one that its name is the digest of: it was replaced; delete it, and run "
            "the command with the study file again"
        )
    return content


def parse_study(content: bytes, source: str = "study") -> Study:
    """Check the content of a study file; `source` names it in messages.

    Raises:
        UserError: It has mistakes.
    """
    try:
        data, problems = read_yaml(content)
    except UnreadableError as error:
        raise UserError(f"{source}: {shortened(str(error))}") from None
    if data is None:
        raise UserError(f"{source}: the file is empty; describe a study in it, as docs/study.md explains")
    if not isinstance(data, dict):
        came = f"a list: {shown(data)}" if isinstance(data, list) else shown(data)
        raise UserError(listed(source, [*problems, f"must be a mapping of keys to values, but got {came}"]))
    try:
        study = Study.model_validate(data, context=BY_PERSON)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        lines = [*problems, *_describe(mistakes, Study), *_between_sections(data, mistakes)]
        raise UserError(listed(source, lines)) from None
    if problems:
        raise UserError(listed(source, problems))
    return study


def _between_sections(data: dict[str, Any], mistakes: list[ErrorDetails]) -> Iterator[str]:
    """Yield the mistakes between sections, as far as each is valid by itself.

    The model looks for them only if all sections are valid; a person wants all mistakes at once.
    """
    # A parameter with a bad name may be valid otherwise.
    bad = {mistake["loc"][:2] for mistake in mistakes if mistake["loc"][-1:] != ("[key]",)}
    sections = {location[0] for location in bad if location}
    wrong = list(budget_mistakes(data.get("iterations"), data.get("trials")))
    yield from wrong
    space = data.get("space")
    if not isinstance(space, dict):
        return
    if "objective" in data and "objective" not in sections:
        yield from Objective.model_validate(data["objective"]).mismatches(space)
    iterations, trials = data.get("iterations"), data.get("trials")
    if wrong or sections & {"optimizer", "iterations", "trials", "parallel_trials"}:
        return
    settings: EngineSettings = TypeAdapter[Any](Optimizer).validate_python(data.get("optimizer", {}))
    parameter = TypeAdapter[Any](Parameter)
    good = {name: parameter.validate_python(space[name]) for name in space if ("space", name) not in bad}
    yield from settings.mistakes(good, trials or iterations * data["parallel_trials"])


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
        name: The name of the field, as given.
        came: The value.
        context: Details of this kind of mistake.
        words: The message of pydantic.
    """

    path: str
    keys: list[str]
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
    path, keys = _path(location[:-2] if location[-1:] == ("[key]",) else location, model)
    if kind.startswith("union_tag"):
        path += "." + context["discriminator"].strip("'")
    found = _Mistake(path, keys, str(location[-1]) if location else "", mistake["input"], context, mistake["msg"])
    word = _not_a_scalar if _is_branch(location) else _WORDINGS.get(kind, _as_pydantic_says)
    for line in word(found):
        yield f"{path}: {line}" if path else line


def _unknown_key(mistake: _Mistake) -> Iterable[str]:
    return [f"unknown key; {_nearest(mistake.name, mistake.keys) or 'known keys: ' + ', '.join(mistake.keys)}"]


def _no_tag(mistake: _Mistake) -> Iterable[str]:
    tags = [tag for tag in map(_tag, _members(_UNIONS[mistake.context["discriminator"].strip("'")])) if tag]
    return [f"required key is missing; it must be {_one_of(tags)}"]


_UNIONS = {"type": Parameter, "source": AnySource}
"""The unions of sections, by the key that tells them apart."""


def _unknown_tag(mistake: _Mistake) -> Iterable[str]:
    key = mistake.context["discriminator"].strip("'")
    tag = mistake.came.get(key) if isinstance(mistake.came, dict) else mistake.came
    if tag is UNREADABLE:
        return []
    tags = mistake.context["expected_tags"].replace("'", "").split(", ")
    known = OTHER_NAMES.get(str(tag)) if key == "type" else None
    near = f"did you mean {known}?" if known else _nearest(str(tag), tags)
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


def _nearest(word: str, known: list[str]) -> str | None:
    """Return a hint at the nearest known word, or None."""
    near = difflib.get_close_matches(word[:100], known, n=1)
    return f"did you mean {near[0]!r}?" if near else None


def _path(location: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, list[str]]:
    """Return the path of a field as a person writes it, and the known keys of its section.

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
    return ".".join(parts), keys


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
