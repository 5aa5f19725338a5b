"""The steps as KFP container components: typed inputs, artifacts of the results, all from the list of steps."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, List  # noqa: UP035 - KFP knows no other list of artifacts

from kfp import dsl

from kfp_bayesopt.runtime import BIN
from kfp_bayesopt.steps import ARTIFACTS, Port, Step

READS: dict[str, Any] = {
    "text": str,
    "integer": int,
    "list": list,
    "mapping": dict,
    "file": dsl.Input[dsl.Artifact],
    "files": dsl.Input[List[dsl.Artifact]],  # noqa: UP006
    "opened": dsl.Input[dsl.Artifact],
}
WRITES: dict[str, Any] = {
    "text": dsl.OutputPath(str),
    "number": dsl.OutputPath(float),
    "mapping": dsl.OutputPath(dict),
    "file": dsl.Output[dsl.Artifact],
    "opened": dsl.Output[dsl.Artifact],
    "markdown": dsl.Output[dsl.Markdown],
    "html": dsl.Output[dsl.HTML],
    "dataset": dsl.Output[dsl.Dataset],
    "model": dsl.Output[dsl.Model],
    "metrics": dsl.Output[dsl.Metrics],
}
SERVICE = dsl.PIPELINE_JOB_NAME_PLACEHOLDER
"""What a service calls a run; `executor` adds project and region on Vertex.

KFP's engine here does not know the placeholder of the name in full, and ends in an IndexError."""


def make_component(
    step: Step, image: str, study_name: str | None = None, *, explains: bool = True, fixed: Sequence[str] = ()
) -> Any:
    """Return the component that runs a step in an image.

    Args:
        step: The step.
        image: The image.
        study_name: Name of the study file in the study folder that the pipeline is compiled for, if it is for one.
        explains: Whether the UI says what its inputs mean.
        fixed: Arguments that are the same in all of its tasks.
    """
    inputs = [port for port in step.reads if port.kind not in {"study", "service"}]

    def run(*values: Any) -> dsl.ContainerSpec:
        given = dict(zip((port.name for port in inputs), values, strict=False))
        given |= {port.name: SERVICE for port in step.reads if port.kind == "service"}
        if study_name is not None:
            # KFP and Vertex also replace an input's value in the middle of an argument.
            given["study"] = f"{given['root']}/study/{study_name}"
        options = [port for port in step.reads if port.option is not None and port.kind not in ARTIFACTS]
        arguments = [*fixed, *(part for port in options for part in (port.option, given[port.name]))]
        if not step.writes and not any(port.kind in ARTIFACTS for port in step.reads):
            return dsl.ContainerSpec(image=image, command=[step.program], args=arguments)
        # `executor` runs the step and reports its outputs to KFP; `command` replaces the image's own.
        return dsl.ContainerSpec(image=image, command=[f"{BIN}/executor"], args=["{{$}}", step.program, *arguments])

    run.__name__ = step.name
    run.__doc__ = _docstring(step, inputs) if explains else step.does
    # KFP takes inputs and outputs from the signature.
    reads = [_parameter(port, READS) for port in inputs]
    writes = [_parameter(port, WRITES) for port in step.writes]
    run.__signature__ = inspect.Signature([*reads, *writes])  # type: ignore[attr-defined]
    return dsl.container_component(run)


def _parameter(port: Port, types: dict[str, Any]) -> inspect.Parameter:
    return inspect.Parameter(port.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=types[port.kind])


def _docstring(step: Step, inputs: list[Port]) -> str:
    """Return the description of a step in the UI: KFP reads it from the docstring of a component."""
    explained = "".join(f"    {port.name}: {port.meaning}\n" for port in (*inputs, *step.writes))
    return f"{step.does}\n\nArgs:\n{explained}"
