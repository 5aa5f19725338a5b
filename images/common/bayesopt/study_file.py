"""The study file: reads a study from YAML and words what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from bayesopt import storage
from bayesopt.engines.grid import GridSettings
from bayesopt.errors import MAX_LINES, UserError, listed, shortened, shown, shown_name
from bayesopt.space import Parameter
from bayesopt.study import Objective, Study, grid_mistakes
from bayesopt.yaml_reader import UNREADABLE, UnreadableError, read_yaml


def load_study(uri: str) -> Study:
    """Read and check a study file.

    Raises:
        UserError: It is missing or has mistakes; the message names all of them, one a line.
    """
    return parse_study(storage.read(uri), source=uri)


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
        study = Study.model_validate(data)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        lines = [*problems, *_describe(mistakes), *_between_sections(data, mistakes)]
        raise UserError(listed(source, lines)) from None
    if problems:
        raise UserError(listed(source, problems))
    return study


def _between_sections(data: dict[str, Any], mistakes: list[ErrorDetails]) -> Iterator[str]:
    """Yield the mistakes between sections, as far as each is good by itself.

    The model looks for them only where all sections are good; a person wants all mistakes at once.
    """
    # A parameter with a bad name may be a good one.
    bad = {mistake["loc"][:2] for mistake in mistakes if mistake["loc"][-1:] != ("[key]",)}
    sections = {location[0] for location in bad if location}
    space = data.get("space")
    if not isinstance(space, dict):
        return
    if "objective" in data and "objective" not in sections:
        yield from Objective.model_validate(data["objective"]).mismatches(space)
    optimizer = data.get("optimizer")
    if isinstance(optimizer, dict) and optimizer.get("engine") == "grid":
        if sections & {"optimizer", "iterations", "parallel_trials"}:
            return
        parameter = TypeAdapter[Any](Parameter)
        good = {name: parameter.validate_python(space[name]) for name in space if ("space", name) not in bad}
        budget = data["iterations"] * data["parallel_trials"]
        yield from grid_mistakes(GridSettings.model_validate(optimizer), good, budget)


def _describe(mistakes: list[ErrorDetails]) -> Iterator[str]:
    """Yield a line for each mistake: path of the field, the problem, what came."""
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
            yield from _describe_one(mistake)  # type: ignore[arg-type] # a TypedDict is a dict


def _is_branch(location: tuple[int | str, ...]) -> bool:
    return len(location) > 1 and isinstance(location[-2], int) and location[-1] in ("bool", "int", "float", "str")


def _describe_one(mistake: dict[str, Any]) -> Iterator[str]:
    location, kind, came = mistake["loc"], mistake["type"], mistake["input"]
    path, section = _path(location)
    context: dict[str, Any] = mistake.get("ctx", {})
    prefix = f"{path}: " if path else ""
    got = f"but got {shown(came)}"
    if kind == "too_short" and came:
        return  # not empty: what is there has been found bad above
    if kind == "extra_forbidden":
        yield f"{prefix}unknown key; {_nearest(str(location[-1]), section) or 'known keys: ' + ', '.join(section)}"
    elif kind == "missing":
        yield f"{prefix}required key is missing"
    elif kind == "union_tag_not_found":
        yield f"{path}.type: required key is missing; it must be real, integer or categorical"
    elif kind == "union_tag_invalid":
        key = context["discriminator"].strip("'")
        tags = context["expected_tags"].replace("'", "").split(", ")
        tag = came.get(key) if isinstance(came, dict) else came
        if tag is UNREADABLE:
            return
        hint = f"; {near}" if (near := _nearest(str(tag), tags)) else ""
        yield f"{path}.{key}: must be {', '.join(tags[:-1])} or {tags[-1]}, but got {shown(tag)}{hint}"
    elif kind == "value_error":
        where = "space: " if location[-1:] == ("[key]",) else prefix
        yield from (f"{where}{line}" for line in str(context["error"]).splitlines())
    elif kind == "string_pattern_mismatch" and path == "objective.python":
        yield f"{prefix}must be module:function, {got}"
    elif kind == "string_pattern_mismatch" and path.endswith(".memory"):
        yield f"{prefix}must be a number and K, M, G, T, Ki, Mi, Gi or Ti, such as 8G, {got}"
    elif kind == "string_pattern_mismatch":
        rule = "must be 1 to 63 lower case letters, digits and hyphens, beginning with a letter"
        yield f"{prefix}{rule} and not ending with a hyphen, {got}"
    elif kind == "too_short":
        yield f"{prefix}must not be empty, {got}"
    elif kind == "literal_error":
        yield f"{prefix}must be {context['expected']}, {got}"
    elif _is_branch(location):
        yield f"{prefix}must be text, a finite number, a boolean or null, {got}"
    elif kind in ("model_type", "model_attributes_type", "dict_type"):
        yield f"{prefix}must be a mapping of keys to values, {got}"
    elif kind in ("list_type", "tuple_type"):
        yield f"{prefix}must be a list, {got}"
    else:
        yield f"{prefix}{mistake['msg'].replace('Input should be', 'must be')}, {got}"


def _nearest(word: str, known: list[str]) -> str | None:
    """Return a hint at the known word that is nearest, or None."""
    near = difflib.get_close_matches(word[:100], known, n=1)
    return f"did you mean {near[0]!r}?" if near else None


def _path(location: tuple[int | str, ...]) -> tuple[str, list[str]]:
    """Return the path of a field as a person writes it, and the keys known beside it.

    What pydantic puts between the keys is left out: the tag of a parameter, the branch of a union.
    """
    parts: list[str] = []
    section: Any = Study
    keys: list[str] = []
    for part in location:
        fields = getattr(section, "model_fields", None)
        if isinstance(part, int):
            parts[-1:] = [f"{parts[-1] if parts else ''}[{part}]"]
        elif fields is not None:
            keys = list(fields)
            parts.append(shown_name(part))
            section = fields[part].annotation if part in fields else None
        elif get_origin(section) is dict:
            parts.append(shown_name(part))
            section = get_args(section)[1]
        else:
            section = next((member for member in _members(section) if _tag(member) == part), None)
    return ".".join(parts), keys


def _members(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a union, annotated or not."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    return get_args(annotation)


def _tag(member: Any) -> str | None:
    """Return what tells a section from the others of its union: the only value of its first field."""
    fields = getattr(member, "model_fields", {})
    return next((get_args(field.annotation)[0] for field in fields.values()), None)
