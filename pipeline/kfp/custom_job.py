"""A component as a Vertex CustomJob: a machine type of one's own, and spot machines."""

from __future__ import annotations

import math
from typing import Any

from bayesopt.steps import Step
from bayesopt.study import EvaluateStep

LONGEST = 7 * 24 * 3600
"""Seconds of a job that nothing bounds: what Vertex takes by itself."""


def as_custom_job(component: Any, name: str, step: Step, settings: EvaluateStep, seconds: float | None = None) -> Any:
    """Return a component that runs another one on the machine that the study asks for, on Vertex only.

    Args:
        component: What is run.
        name: Name of the study.
        step: The step that it is.
        settings: The machine.
        seconds: How long it takes at most.
    """
    from google_cloud_pipeline_components.v1.custom_job import create_custom_training_job_from_component

    return create_custom_training_job_from_component(
        component,
        display_name=f"{name}-{step.name}",
        machine_type=settings.machine_type,
        accelerator_type=settings.accelerator_type or "ACCELERATOR_TYPE_UNSPECIFIED",
        accelerator_count=(settings.accelerator_count or 1) if settings.accelerator_type else 0,
        timeout=f"{math.ceil(min(seconds or LONGEST, LONGEST))}s",
        strategy="SPOT" if settings.spot else "STANDARD",
    )
