"""The result of converting a search space, and its losses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class Converted:
    """A search space in another form.

    Attributes:
        data: The content to write.
        lost: Descriptions of everything that could not be kept.
    """

    data: Json
    lost: list[str] = field(default_factory=list)
