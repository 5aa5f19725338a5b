"""What came of converting a search space, and what it could not keep."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
