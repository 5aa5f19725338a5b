"""The engine `gp`: its settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bayesopt.engines.base import EngineSettings, RandomState


class GpSettings(EngineSettings):
    """Our own Gaussian process with expected improvement; the default."""

    implementation = "optimizer.gp_engine:GpEngine"

    engine: Literal["gp"] = "gp"
    random_state: RandomState = 0
    n_initial_points: int | None = Field(
        None, ge=1, description="Trials before the model is used. Default: by dimensions and batch."
    )
