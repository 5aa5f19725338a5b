"""The study that arguments of `tune` describe: its name, objective and metric, and mistakes in the words of `tune`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from kfp_bayesopt import workspace
from kfp_bayesopt.errors import UserError, listed, shown, shown_name
from kfp_bayesopt.store import storage
from kfp_bayesopt.strict import plain
from kfp_bayesopt.study.study import Study
from kfp_bayesopt.wording import FUNCTION, NAME, PATTERNS, nearest

Described = Study | str | PathLike[str] | Sequence[str] | Mapping[str, Any] | Callable[..., Any]
"""What can be tuned."""

INSTEAD = {
    "direction": "maximize=True, or leave it out",
    "iterations": "trials=, the whole budget",
    "parallel_trials": "parallel=",
}
"""The arguments of `tune` that stand for keys of a study file."""
PARALLEL = 4
"""How many trials are proposed at a time by default: the same everywhere, as it decides what is suggested."""
_EXPECTED = "must be a function, a command as a list of words, `module:function`, a Study or a study file"
_KEYS = {"parallel_trials": "parallel", "objective.value.name": "metric", "objective.value": "metric"}
_WAYS_OUT = {
    "objective.value: NAME": "metric=NAME",
    "its name is objective.value": "its name is metric",
    "give all parameters with args: flags": "leave out all braces",
}
_LONGEST_NAME = 63


def read_study(given: Study | str | PathLike[str]) -> tuple[Study, bytes]:
    """Return a study and its study file.

    Args:
        given: A study, its file, or a folder with `study.yaml`.

    Raises:
        UserError: It has mistakes.
    """
    if isinstance(given, Study):
        return given, given.to_text().encode()
    path = storage.given(str(given))
    is_folder = storage.is_local(path) and Path(path).is_dir()
    return Study.read(str(Path(path) / workspace.STUDY_FILE) if is_folder else path)


def study_of(
    objective: Described,
    space: Mapping[str, Any] | None,
    arguments: Mapping[str, Any],
    keys: Mapping[str, Any],
    known: Iterable[str],
) -> tuple[Study, bytes]:
    """Return the study that arguments of `tune` describe, and its study file.

    Args:
        objective: What is tuned; a study, or its file, says all the others.
        space: The parameters by name.
        arguments: `trials`, `parallel`, `name`, `metric` and `maximize`; None, or False, where it was not given.
        keys: Other keys of a study file.
        known: The names of all arguments of `tune`.

    Raises:
        UserError: There are mistakes; the message names all of them by the arguments, one a line.
    """
    given = {name: value for name, value in arguments.items() if value is not None and value is not False}
    if isinstance(objective, Study | PathLike) or (
        isinstance(objective, str) and not re.fullmatch(FUNCTION, objective)
    ):
        if said := [*(["space"] if space is not None else []), *given, *keys]:
            raise UserError(f"tune: the study says its {', '.join(map(shown_name, said))} itself; leave that out")
        return read_study(objective)
    mistakes = [*_unknown(keys, known), *_missing(space, given)]
    section = _section(objective, given.get("metric"), keys)
    name = given.get("name")
    if name is None:
        name = _name_of(objective)
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        mistakes.append(f"name: must be {PATTERNS[NAME]}, but got {shown(name)}")
    if not isinstance(arguments["maximize"], bool):
        mistakes.append(f"maximize: must be True or False, but got {shown(arguments['maximize'])}")
    if mistakes:
        raise UserError(listed("tune", mistakes))
    described = {
        "name": name,
        "objective": section,
        "space": space,
        "trials": given["trials"],
        "parallel_trials": given.get("parallel", PARALLEL),
        **({"direction": "maximize"} if arguments["maximize"] else {}),
        **keys,
    }
    try:
        study = Study.described(described, "tune")
    except UserError as error:
        raise type(error)("\n".join(map(_in_our_words, error.message.split("\n")))) from None
    return study, study.to_text().encode()


def _unknown(keys: Mapping[str, Any], known: Iterable[str]) -> Iterator[str]:
    known = [*(name for name in Study.model_fields if name not in INSTEAD), *known]
    for name in keys:
        if name in INSTEAD:
            yield f"{name}: say {INSTEAD[name]}"
        elif name not in Study.model_fields:
            near = nearest(name, known)
            yield f"{shown_name(name)}: unknown argument" + (f"; {near}" if near else "")


def _missing(space: object, given: Mapping[str, Any]) -> Iterator[str]:
    if space is None:
        yield 'space: the parameters are missing, such as {"lr": Real(1e-4, 1, log=True)}'
    elif not isinstance(space, Mapping):
        yield f"space: must be a mapping of names to parameters, but got {shown(space)}"
    if "trials" not in given:
        yield "trials: is missing; how many trials there are in all, such as trials=32"


def _section(objective: Described, metric: object, keys: Mapping[str, Any]) -> Any:
    """Return the section `objective` of a study file, where a function may stand for itself.

    Raises:
        UserError: It can be none.
    """
    section: Any
    if not objective and isinstance(objective, Mapping | Sequence):
        raise UserError(f"tune: objective: {_EXPECTED}, but got {shown(objective)}")
    if isinstance(objective, Mapping):
        section = plain(objective)
    elif isinstance(objective, str):
        section = {"python": objective}
    elif isinstance(objective, list | tuple):
        section = {"command": list(objective)}
        if not any(isinstance(word, str) and "{" in word for word in objective):
            section["args"] = "flags"
    elif callable(objective):
        section = {"function": objective}
    else:
        raise UserError(f"tune: objective: {_EXPECTED}, but got {shown(objective)}")
    return section if metric is None else _with_metric(section, metric, keys)


def _with_metric(section: dict[str, Any], metric: object, keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section with the metric that is tuned.

    Raises:
        UserError: It is none, or is said twice.
    """
    if not isinstance(metric, str | Mapping) or not metric:
        raise UserError(f"tune: metric: must be the name of a metric, but got {shown(metric)}")
    if "objectives" in keys:
        raise UserError("tune: metric: the objectives name the metrics; leave it out")
    if "value" in section:
        raise UserError("tune: metric: the objective names its value itself; leave one of them out")
    return {**section, "value": metric}


def _name_of(objective: Any) -> str:
    """Return the name of a study by what it tunes.

    Raises:
        UserError: That has no name.
    """
    if isinstance(objective, Mapping):
        objective = next((objective[key] for key in ("function", "python", "command") if key in objective), None)
    while isinstance(objective, partial):
        objective = objective.func
    if isinstance(objective, list | tuple):
        found = _program_of([word for word in objective if isinstance(word, str)])
    elif isinstance(objective, str):
        found = re.split("[:.]", objective)[-1]
    else:
        found = getattr(objective, "__name__", None) or type(objective).__name__
    if found == "<lambda>":
        raise UserError('tune: name: a lambda has none, which names the study folder; give one, such as name="first"')
    name = re.sub("[^a-z0-9]+", "-", found.lower()).lstrip("-0123456789")[:_LONGEST_NAME].rstrip("-")
    if not name:
        raise UserError(
            f'tune: name: {shown_name(found)} makes none for the study folder; give one, such as name="first"'
        )
    return name


def _program_of(command: Sequence[str]) -> str:
    """Return what a command runs: the module of `-m`, else the first word that is a file with an ending."""
    if "-m" in command[:-1]:
        return command[list(command).index("-m") + 1].rpartition(".")[2]
    scripts = [word for word in command if Path(word).suffix[1:].isalpha() and not word.startswith("-")]
    return Path(next(iter(scripts or command), "")).stem


def _in_our_words(line: str) -> str:
    """Return a line about a key of a study file in the words of `tune`."""
    source, colon, rest = line.partition(": ")
    for key, ours in _KEYS.items():
        if rest.startswith(f"{key}:"):
            rest = ours + rest.removeprefix(key)
            break
    for theirs, ours in _WAYS_OUT.items():
        rest = rest.replace(theirs, ours)
    return f"{source}{colon}{rest}"
