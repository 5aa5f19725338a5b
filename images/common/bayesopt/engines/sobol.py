"""The engine `sobol`: its settings."""

from __future__ import annotations

from typing import Literal

from bayesopt.engines.base import EngineSettings, RandomState


class SobolSettings(EngineSettings):
    """Points of a scrambled Sobol sequence: they fill the space evenly."""

    implementation = "optimizer.simple_engines:SobolEngine"

    engine: Literal["sobol"]
    random_state: RandomState = 0
