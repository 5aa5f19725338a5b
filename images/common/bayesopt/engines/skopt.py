"""The engine `skopt`: its settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bayesopt.engines.base import EngineSettings, RandomState


class SkoptSettings(EngineSettings):
    """The Gaussian process optimiser of scikit-optimize, with its defaults."""

    implementation = "optimizer.skopt_engine:SkoptEngine"
    keeps_state = True

    engine: Literal["skopt"]
    random_state: RandomState = 0
    base_estimator: Literal["GP", "RF", "ET"] = Field(
        "GP", description="Model: Gaussian process, random forest or extra trees."
    )
    n_initial_points: int = Field(10, ge=1, description="Trials before the model is used.")
    initial_point_generator: Literal["random", "sobol", "halton", "hammersly", "lhs"] = Field(
        "random", description="How the first points are spread."
    )
    acq_func: Literal["gp_hedge", "EI", "LCB", "PI"] = Field("gp_hedge", description="Acquisition function.")
