"""The engine `skopt`: its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from kfp_bayesopt.search.engines.base import EngineSettings, RandomState

if TYPE_CHECKING:
    from kfp_bayesopt.search.engine import Engine
    from kfp_bayesopt.space.problem import Problem


class SkoptSettings(EngineSettings):
    """The Gaussian process optimiser of scikit-optimize, with its defaults."""

    keeps_state = True
    knows_constraints = False
    knows_objectives = False
    knows_earlier = False
    no_pending = "scikit-optimize learns whole batches, and cannot be told of trials that run"

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

    def new_engine(self, study: Problem) -> Engine:
        """Return the engine of a study, before its first suggestion."""
        from kfp_bayesopt.search.skopt_engine import SkoptEngine

        return SkoptEngine(study)
