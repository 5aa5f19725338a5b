"""The engines: a file for each, and their list."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from kfp_bayesopt.search.engines.gp import GpSettings
from kfp_bayesopt.search.engines.grid import GridSettings
from kfp_bayesopt.search.engines.optuna import OptunaSettings
from kfp_bayesopt.search.engines.random import RandomSettings
from kfp_bayesopt.search.engines.skopt import SkoptSettings
from kfp_bayesopt.search.engines.sobol import SobolSettings

OptimizerSettings = GpSettings | SkoptSettings | RandomSettings | SobolSettings | GridSettings | OptunaSettings

DEFAULT = GpSettings()
"""The engine of a study that names none."""


def _name_engine(optimizer: Any) -> Any:
    return {"engine": DEFAULT.engine, **optimizer} if isinstance(optimizer, dict) else optimizer


Optimizer = Annotated[OptimizerSettings, Field(discriminator="engine"), BeforeValidator(_name_engine)]
"""The settings of one of them in a study file, which may leave out the engine."""
