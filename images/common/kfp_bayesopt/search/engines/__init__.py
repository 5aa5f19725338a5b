"""The engines: a file for each, and their list."""

from __future__ import annotations

from kfp_bayesopt.search.engines.gp import GpSettings
from kfp_bayesopt.search.engines.grid import GridSettings
from kfp_bayesopt.search.engines.optuna import OptunaSettings
from kfp_bayesopt.search.engines.random import RandomSettings
from kfp_bayesopt.search.engines.skopt import SkoptSettings
from kfp_bayesopt.search.engines.sobol import SobolSettings

OptimizerSettings = GpSettings | SkoptSettings | RandomSettings | SobolSettings | GridSettings | OptunaSettings
