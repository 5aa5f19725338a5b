"""What identifies a study: the keys of a study file that are named here as such, and no others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from kfp_bayesopt.strict import StrictModel


class IdentityModel(StrictModel):
    """A section of a study file with keys that change what a trial returns.

    A new key changes no fingerprint; one that changes what a trial returns is named in `later_keys`, and then does
    where it is used.

    Attributes:
        first_keys: Those of the first version, 0.1.0. They identify a study with their defaults too, as they did then.
        later_keys: Those that came later. They identify a study where they differ from their defaults.
    """

    first_keys: ClassVar[tuple[str, ...]] = ()
    later_keys: ClassVar[tuple[str, ...]] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """What identifies a study, as JSON."""
        first = {key: _identity(getattr(self, key)) for key in self.first_keys}
        later = {key: _identity(getattr(self, key)) for key in self.later_keys if self._differs(key)}
        return first | later

    def _differs(self, key: str) -> bool:
        field = type(self).model_fields[key]
        # Compared as JSON, because 1, 1.0 and True are equal in Python.
        return field.is_required() or json.dumps(_identity(getattr(self, key)), sort_keys=True) != json.dumps(
            _identity(field.get_default(call_default_factory=True)), sort_keys=True
        )


def _identity(value: Any) -> Any:
    if isinstance(value, IdentityModel):
        return value.identity
    if isinstance(value, Mapping):
        return {key: _identity(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_identity(each) for each in value]
    return value
