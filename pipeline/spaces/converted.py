"""What came of converting a search space, and what it could not keep."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bayesopt.errors import UserError

Json = dict[str, Any]


@dataclass
class Converted:
    """A search space in another form.

    Attributes:
        data: What to write.
        lost: What it could not keep, in sentences.
    """

    data: Json
    lost: list[str] = field(default_factory=list)


def number_of(text: Any, where: str) -> float | int:
    """Return the number that a text holds, as an int where it is whole and written so.

    Raises:
        UserError: It holds none.
    """
    try:
        return int(str(text))
    except ValueError:
        pass
    try:
        return float(str(text))
    except ValueError:
        raise UserError(f"{where}: must be a number, but got {text!r}") from None


def part(data: Any, key: str, where: str) -> Any:
    """Return a part of a mapping.

    Raises:
        UserError: It is missing.
    """
    if not isinstance(data, dict) or key not in data:
        raise UserError(f"{where}: {key} is missing")
    return data[key]
