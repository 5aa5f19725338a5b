"""What identifies a study: the keys of a study file that are declared to, and nothing that the schema adds to them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True)
class Identifies:
    """Marks a key that changes what a trial returns: `args: Annotated[list[str], Identifies()] = Field([])`.

    A key without the mark never changes a fingerprint.

    Attributes:
        from_the_start: Version 0.1.0 had the key: it enters a fingerprint with its default too, as it did then. A later
            key enters only where it differs from its default, so that the fingerprints of older files stay.
    """

    from_the_start: bool = False


def identity_of(value: Any) -> Any:
    """Return what identifies a model of a study file, as JSON: its marked keys; of other values all there is."""
    if isinstance(value, dict):
        return {key: identity_of(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [identity_of(each) for each in value]
    if not isinstance(value, BaseModel):
        return value
    found = {}
    for name, field in type(value).model_fields.items():
        mark = next((each for each in field.metadata if isinstance(each, Identifies)), None)
        if mark is None:
            continue
        identity = identity_of(getattr(value, name))
        if mark.from_the_start or field.is_required() or not _same(identity, identity_of(field.get_default())):
            found[name] = identity
    return found


def _same(one: Any, other: Any) -> bool:
    # By JSON, because Python takes 1, 1.0 and True for equal.
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
