"""The study file: reads a study from YAML and words what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from bayesopt import storage
from bayesopt.errors import UserError
from bayesopt.study import Study


def load_study(uri: str) -> Study:
    """Read and check a study file.

    Raises:
        UserError: It is missing or has mistakes; the message names all of them, one a line.
    """
    return parse_study(storage.read(uri), source=uri)


def parse_study(content: bytes, source: str = "study") -> Study:
    """Check the content of a study file; `source` names it in messages."""
    # YAML 1.2: `1e-4` is a number and `on` a string; a key that comes twice is a mistake.
    yaml = YAML(typ="safe", pure=True)
    try:
        data = yaml.load(content.decode())
    except UnicodeDecodeError as error:
        raise UserError(f"{source}: UTF-8 text must be there, but got other bytes ({error.reason})") from None
    except MarkedYAMLError as error:
        raise UserError(f"{source}: {_yaml_problem(error)}") from None
    except YAMLError as error:
        raise UserError(f"{source}: YAML must be there, but {str(error).splitlines()[0]}") from None
    if data is None:
        raise UserError(f"{source}: a study must be there, but the file is empty")
    if not isinstance(data, dict):
        raise UserError(f"{source}: keys and values must be there, but got {type(data).__name__}: {str(data)[:60]}")
    try:
        return Study.model_validate(data)
    except ValidationError as error:
        lines = dict.fromkeys(_describe(error))  # each once: a union complains once for each of its branches
        raise UserError("\n".join(f"{source}: {line}" for line in lines)) from None


def _yaml_problem(error: MarkedYAMLError) -> str:
    mark = error.problem_mark
    where = f"line {mark.line + 1}: " if mark else ""
    problem = (error.problem or "not YAML").splitlines()[0].removeprefix("but ")
    if problem.startswith("found duplicate key"):
        key = problem.removeprefix("found duplicate key ").split('"')[1]
        return f"{where}{key!r} must be there once, but it comes again"
    return f"{where}YAML must be there, but {problem}"


def _describe(error: ValidationError) -> Iterator[str]:
    """Yield a line for each mistake: path of the field, what must hold, what came."""
    for mistake in error.errors(include_url=False):
        path, section = _path(mistake["loc"])
        kind, message, came = mistake["type"], mistake["msg"], mistake["input"]
        context: dict[str, Any] = mistake.get("ctx", {})
        if kind == "too_short" and came:
            continue  # not empty: what is there has been found bad above
        prefix = f"{path}: " if path else ""
        if kind == "extra_forbidden":
            near = difflib.get_close_matches(path.rpartition(".")[2], section, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(section)}"
            yield f"{prefix}unknown key; {hint}"
        elif kind == "missing":
            yield f"{prefix}must be given, but it is not there"
        elif kind == "union_tag_not_found":
            yield f"{path}.type: must be real, integer or categorical, but it is not there"
        elif kind == "union_tag_invalid":
            key = context["discriminator"].strip("'")
            tags = context["expected_tags"].replace("'", "").split(", ")
            near = difflib.get_close_matches(str(context["tag"]), tags, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            must = f"{', '.join(tags[:-1])} or {tags[-1]}"
            yield f"{path}.{key}: must be {must}, but got {context['tag']!r}{hint}"
        elif kind == "value_error":
            yield f"{prefix}{context['error']}"
        elif kind == "string_pattern_mismatch" and path == "objective.python":
            yield f"{prefix}must be module:function, but got {came!r}"
        elif kind == "string_pattern_mismatch" and path.endswith(".memory"):
            yield f"{prefix}must be a number and K, M, G, T, Ki, Mi, Gi or Ti, as 8G, but got {came!r}"
        elif kind == "string_pattern_mismatch":
            yield (
                f"{prefix}must be 1 to 63 lower case letters, digits and hyphens, a letter first and no hyphen last, "
                f"but got {came!r}"
            )
        elif kind == "too_short":
            yield f"{prefix}must not be empty, but got {came!r}"
        elif kind == "literal_error":
            yield f"{prefix}must be {context['expected']}, but got {came!r}"
        elif mistake["loc"][-1] in ("bool", "int", "float", "str"):
            yield f"{prefix}must be text, a finite number, a boolean or null, but got {came!r}"
        elif kind in ("model_type", "model_attributes_type", "dict_type"):
            yield f"{prefix}must have keys and values, but got {came!r}"
        elif kind in ("list_type", "tuple_type"):
            yield f"{prefix}must be a list, but got {came!r}"
        elif mistake["loc"][-1] == "[key]":
            yield f"space: the name of a parameter must be text, but got {came!r}"
        else:
            yield f"{prefix}{message.replace('Input should be', 'must be')}, but got {came!r}"


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
            parts.append(part)
            section = fields[part].annotation if part in fields else None
        elif get_origin(section) is dict:
            parts.append(part)
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
