"""The engine `random`: its settings."""

from __future__ import annotations

from typing import Literal

from bayesopt.engines.base import EngineSettings, RandomState


class RandomSettings(EngineSettings):
    """Points at random."""

    implementation = "optimizer.simple_engines:RandomEngine"

    engine: Literal["random"]
    random_state: RandomState = 0
