"""A component as a Vertex CustomJob: a machine type of one's own, spot machines, and machines that stay.

A CustomJob inherits nothing from the pipeline job but its project and region: its account, network, key and labels are
inputs of the pipeline, `INPUTS`, which the target sets when it submits.
"""

from __future__ import annotations

import math
from typing import Any

from kfp_bayesopt import extras
from kfp_bayesopt.steps import Step
from kfp_bayesopt.study.machines import EvaluateStep

LONGEST = 7 * 24 * 3600
"""Seconds of an unbounded job: Vertex's own default."""

INPUTS = {"service_account": str, "network": str, "encryption_spec_key_name": str, "labels": dict}
"""Inputs of a pipeline with custom jobs, and their types; all may be empty."""


def as_custom_job(component: Any, name: str, step: Step, settings: EvaluateStep, seconds: float | None = None) -> Any:
    """Return a component that runs another one on the study's machine, on Vertex only.

    Args:
        component: The component to run.
        name: Name of the study.
        step: Its step.
        settings: The machine.
        seconds: Its longest duration.
    """
    with extras.needed_by("a machine_type", "vertex"):
        from google_cloud_pipeline_components.v1.custom_job import create_custom_training_job_from_component

    # With all of them each input of the job has a value, however Vertex treats one without.
    optional: dict[str, Any] = {"labels": {}, "reserved_ip_ranges": [], "psc_interface_config": {}}
    if settings.persistent_resource is not None:
        optional["persistent_resource_id"] = settings.persistent_resource
    if settings.max_wait_hours is not None:
        # The launcher leaves it out for any other strategy.
        optional["max_wait_duration"] = f"{math.ceil(settings.max_wait_hours * 3600)}s"
    return create_custom_training_job_from_component(
        component,
        display_name=f"{name}-{step.name}",
        machine_type=settings.machine_type,
        accelerator_type=settings.accelerator_type or "ACCELERATOR_TYPE_UNSPECIFIED",
        accelerator_count=(settings.accelerator_count or 1) if settings.accelerator_type else 0,
        timeout=f"{math.ceil(min(seconds or LONGEST, LONGEST))}s",
        strategy="SPOT" if settings.spot else "FLEX_START" if settings.max_wait_hours else "STANDARD",
        **optional,
    )
