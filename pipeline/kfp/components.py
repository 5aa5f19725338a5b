"""The steps as KFP container components: typed inputs and outputs, artifacts by URI, all from the list of steps."""

from __future__ import annotations

import inspect
from typing import Any

from kfp import dsl

from bayesopt.steps import BIN, Port, Step

READS: dict[str, Any] = {"text": str, "integer": int, "list": list, "file": dsl.Input[dsl.Artifact]}
WRITES: dict[str, Any] = {
    "text": dsl.OutputPath(str),
    "mapping": dsl.OutputPath(dict),
    "file": dsl.Output[dsl.Artifact],
    "metrics": dsl.Output[dsl.Metrics],
}


def make_component(step: Step, image: str) -> Any:
    """Return the component that runs a step in an image."""

    def run(*values: Any) -> dsl.ContainerSpec:
        arguments: list[Any] = []
        for port, value in zip((*step.reads, *step.writes), values, strict=True):
            if port.option is not None:
                arguments += [port.option, value.uri if port.kind == "file" else value]
        # `executor` runs the step and tells KFP of its outputs; `command` replaces what the image would run.
        return dsl.ContainerSpec(image=image, command=[f"{BIN}/executor"], args=["{{$}}", step.program, *arguments])

    run.__name__ = step.name
    run.__doc__ = _docstring(step)
    # KFP takes inputs and outputs from the signature.
    reads = [_parameter(port, READS) for port in step.reads]
    writes = [_parameter(port, WRITES) for port in step.writes]
    run.__signature__ = inspect.Signature([*reads, *writes])  # type: ignore[attr-defined]
    return dsl.container_component(run)


def _parameter(port: Port, types: dict[str, Any]) -> inspect.Parameter:
    return inspect.Parameter(port.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=types[port.kind])


def _docstring(step: Step) -> str:
    """Return what the UI shows of a step: KFP reads it from the docstring of a component."""
    explained = "".join(f"    {port.name}: {port.meaning}\n" for port in (*step.reads, *step.writes))
    return f"{step.does}\n\nArgs:\n{explained}"
