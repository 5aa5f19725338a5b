"""The interface of all formats: writing trials, and reading those of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import from_json

from kfp_bayesopt.folder.trials import Record
from kfp_bayesopt.space.decimals import canonical
from kfp_bayesopt.space.parameters import LARGEST_INTEGER, Parameter, Parameters, Value
from kfp_bayesopt.study.study import Study


@dataclass(frozen=True)
class Found:
    """A trial in a source, not yet compared with a study.

    Attributes:
        where: Its name in messages: `line 2`, `trial 7`.
        parameters: Its parameters.
        values: Its values; empty if it failed.
        same: Whether it has the same objective.
    """

    where: str
    parameters: Parameters
    values: dict[str, float]
    same: bool = True


@dataclass(frozen=True)
class Functions:
    """Writing and reading a format.

    Attributes:
        write: Writes the trials of a study into a file.
        read: Yields the trials in a file, given the study that they are for, the path, and what names it in messages.
    """

    write: Callable[[Study, Sequence[Record], Path], None]
    read: Callable[[Study, str, str], Iterator[Found]]


def meant_by(parameter: Parameter, cell: str) -> Value:
    """Return the value of a parameter that a cell means: of listed values the one written like it."""
    try:
        read: Value = from_json(cell, allow_inf_nan=False)
    except ValueError:
        read = cell
    meant: list[Value] = [read, cell]
    if isinstance(read, int | float) and not isinstance(read, bool) and abs(read) < LARGEST_INTEGER:
        meant += [float(read), int(read)] if read == int(read) else []
    return next((value for value in meant if parameter.problem_with(canonical(parameter, value)) is None), cell)
