"""The base of every model that is read from a file: a mistake is reported, never guessed away."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A mapping of known keys: `low: "1"`, `iterations: 4.5`, NaN and unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)
