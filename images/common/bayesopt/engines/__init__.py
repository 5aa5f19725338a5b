"""The engines: a file for each, and their list."""

from __future__ import annotations

from bayesopt.engines.gp import GpSettings
from bayesopt.engines.grid import GridSettings
from bayesopt.engines.optuna import OptunaSettings
from bayesopt.engines.random import RandomSettings
from bayesopt.engines.skopt import SkoptSettings
from bayesopt.engines.sobol import SobolSettings

OptimizerSettings = GpSettings | SkoptSettings | RandomSettings | SobolSettings | GridSettings | OptunaSettings
