"""The base of every model that is read from a file: a mistake is reported, never guessed away."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo

from kfp_bayesopt.errors import UserError, listed
from kfp_bayesopt.wording import mistakes_of

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

    def to_data(self) -> dict[str, Any]:
        """Return it as a file holds it: as JSON, without the keys that have their default."""
        fields = sorted(type(self).model_fields.items(), key=lambda item: not item[1].is_required())
        return {
            field.alias or key: _data(getattr(self, key))
            for key, field in fields
            if field.is_required()
            or _as_json(getattr(self, key)) != _as_json(field.get_default(call_default_factory=True))
        }

    @classmethod
    def mistakes_in(cls, data: Mapping[str, Any], found: ValidationError) -> Iterator[str]:  # noqa: ARG003 - a study's
        """Yield a line for each mistake in the data of a model: path of the field, problem, value.

        Args:
            data: The data.
            found: The mistakes that pydantic has found.
        """
        yield from mistakes_of(found, cls)

    @classmethod
    def checked(cls, data: Mapping[str, Any], source: str) -> Self:
        """Check what a person gave; `source` names it in messages.

        Raises:
            UserError: It has mistakes; the message names all of them, one a line.
        """
        try:
            return cls.model_validate(data, context=BY_PERSON)
        except ValidationError as error:
            raise UserError(listed(source, cls.mistakes_in(data, error))) from None

    def _take(self, data: dict[str, Any]) -> None:
        """Set the fields of a new model from the arguments of its constructor.

        Raises:
            UserError: They have mistakes.
        """
        try:
            self.__pydantic_validator__.validate_python(data, self_instance=self, context=BY_PERSON)
        except ValidationError as error:
            raise UserError(listed(type(self).__name__, self.mistakes_in(data, error))) from None


def is_given(model: StrictModel, key: str, info: ValidationInfo) -> bool:
    """Tell whether a person gave a key, so that it can be refused if it has no effect.

    Programs write keys with their defaults; files that they wrote are always accepted.
    """
    return info.context == BY_PERSON and key in model.model_fields_set


def plain(value: Any) -> Any:
    """Return a value from Python as a file would hold it: lists for tuples, plain numbers for those of numpy."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if type(value).__module__.partition(".")[0] == "numpy" and getattr(value, "ndim", None) == 0:
        return value.item()
    return value


def _data(value: Any) -> Any:
    if isinstance(value, StrictModel):
        return value.to_data()
    if isinstance(value, Mapping):
        return {key: _data(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_data(each) for each in value]
    return value


def _as_json(value: Any) -> str:
    # 1, 1.0 and True are equal in Python.
    return json.dumps(_data(value), sort_keys=True)
