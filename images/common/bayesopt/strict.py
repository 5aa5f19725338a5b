"""The base of all that is read from files: what does not fit is a mistake and not a guess."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A mapping of known keys: `low: "1"`, `iterations: 4.5`, NaN and unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
