"""The interface of all dialects of search spaces: reading and writing a space, and the losses of that."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from kfp_bayesopt.space.parameters import Parameter
from kfp_bayesopt.study.study import Study

Json = dict[str, Any]


@dataclass
class Converted:
    """A search space in another form.

    Attributes:
        data: The content to write.
        lost: Descriptions of everything that could not be kept.
        mistakes: What a study with these keys would be refused for.
    """

    data: Json
    lost: list[str] = field(default_factory=list)
    mistakes: Sequence[str] = ()

    def notes(self) -> Iterator[str]:
        """Yield what a person should know of it, line by line."""
        yield from (f"not kept: {each}" for each in self.lost)
        yield from (f"to mend: {each}" for each in self.mistakes)


@dataclass(frozen=True)
class Functions:
    """Recognising, reading and writing a dialect.

    Attributes:
        recognises: Tells whether a mapping is such a document.
        read: Returns the keys of a study file that a document says; the name of its file is for messages.
        write: Returns the document of a study.
    """

    recognises: Callable[[Json], bool]
    read: Callable[[Json, str], Converted]
    write: Callable[[Study], Converted]


def as_text(value: Any) -> str:
    """Return a value as text, for services whose choices are texts."""
    return value if isinstance(value, str) else json.dumps(value)


def is_discrete(parameter: Parameter) -> bool:
    """Tell whether a parameter is one of a list of numbers in their order."""
    return (
        parameter.span is None
        and parameter.axis is not None
        and all(isinstance(value, int | float) and not isinstance(value, bool) for value in parameter.listed)
    )
