"""The engine `optuna`: its settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bayesopt.engines.base import EngineSettings, RandomState


class OptunaSettings(EngineSettings):
    """A sampler of Optuna, which must be installed beside: it is not in the images."""

    implementation = "optimizer.optuna_engine:OptunaEngine"

    engine: Literal["optuna"]
    random_state: RandomState = 0
    sampler: Literal["tpe", "gp", "cmaes", "random"] = Field("tpe", description="Which sampler.")
