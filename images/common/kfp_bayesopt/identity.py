"""The identity of a study: the keys of a study file that are declared as such, and no others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from kfp_bayesopt.strict import StrictModel


class IdentityModel(StrictModel):
    """A section of a study file, with the keys that change the result of a trial.

    A new key changes no fingerprint; one that changes the result of a trial is listed in `later_keys`, and then does if
    it is used.

    Attributes:
        first_keys: Keys of the first version, 0.1.0. They identify a study even with their defaults, as they did then.
        later_keys: Later keys. They identify a study if they differ from their defaults.
    """

    first_keys: ClassVar[tuple[str, ...]] = ()
    later_keys: ClassVar[tuple[str, ...]] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """The part that identifies a study, as JSON."""
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
