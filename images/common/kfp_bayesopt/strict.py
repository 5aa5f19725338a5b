"""The base of every model that is read from a file: a mistake is reported, never guessed away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationInfo

BY_PERSON = {"by": "person"}
"""The validation context for a model that a person wrote, not a program."""


class StrictModel(BaseModel):
    """A mapping of known keys: `low: "1"`, `iterations: 4.5`, NaN and unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy it as pydantic does; copies recompute cached properties."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied


def is_given(model: StrictModel, key: str, info: ValidationInfo) -> bool:
    """Tell whether a person gave a key, so that it can be refused if it has no effect.

    Programs write keys with their defaults; files that they wrote are always accepted.
    """
    return info.context == BY_PERSON and key in model.model_fields_set
