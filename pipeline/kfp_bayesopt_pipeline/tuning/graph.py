"""The pipeline of a component that tunes: `init`, then the workers, then `report`, one after the other.

It is plain, so that it can stand in the middle of somebody's pipeline: a task that fails ends it, and nothing behind it
starts. It has no exit task, because nothing comes out of an ExitHandler, and no task that is run whatever happened
before, because a cluster never starts one behind a loop.

Which study it is comes at run time, and so does the image, which is that of the workers for all three steps. The
component has the same small size for any budget.

KFP reads the annotations of a pipeline, so this module must not postpone their evaluation.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from kfp import dsl

from kfp_bayesopt.steps import ARTIFACTS, INIT, REPORT, WORKER, Port, Step
from kfp_bayesopt.steps.tuning import OPENED, tuned
from kfp_bayesopt.study.machines import Step as StepSettings
from kfp_bayesopt_pipeline import task_settings
from kfp_bayesopt_pipeline.components import READS, make_component
from kfp_bayesopt_pipeline.places.kfp import default_root

NAME = "tune"
DOES = "Search the best parameters of a study."
WORKERS = 4
"""How many workers there are, if nobody says it."""

KNOWN = {"run": dsl.PIPELINE_JOB_ID_PLACEHOLDER, "task": dsl.PIPELINE_TASK_NAME_PLACEHOLDER}
"""What KFP itself says to a task."""
NUMBERS = Port("workers", None, "list", "A text for each worker, such as its number; so many run at the same time.")
REQUIRED = ("study", "image")
DEFAULTS = {"root": default_root(""), NUMBERS.name: [str(number + 1) for number in range(WORKERS)]}
"""Of the inputs that may be left out; the default of the others is empty."""
GIVES: dict[str, Any] = {
    "text": str,
    "number": float,
    "mapping": dict,
    "html": dsl.HTML,
    "dataset": dsl.Dataset,
    "model": dsl.Model,
    "metrics": dsl.Metrics,
}
"""The types of the outputs of a pipeline, by the kinds of ports."""
ONCE = StepSettings(retries=0)
"""What `init` and `report` find wrong is mended by no retry."""

Given = Mapping[str, Any]
Add = Callable[[dsl.PipelineTask, StepSettings, str], dsl.PipelineTask]


def make_tune(image: str | None = None, data: bool = False) -> Any:
    """Return the component of every study, as a KFP pipeline.

    Args:
        image: The image of its tasks; None where it comes at run time.
        data: Whether the data come as an artifact, which KFP then requires.
    """
    steps = (tuned(INIT, data).with_edges(()), tuned(WORKER, data), tuned(REPORT, data).with_edges(()))
    # What the inputs mean is said once, of those of the component, so that it stays small.
    init, worker, report = (make_component(step, image or "image", explains=False) for step in steps)
    opening, evaluating, reporting = steps
    known = KNOWN if image is None else {**KNOWN, "image": image}

    def tasks(given: Given) -> dsl.PipelineTask:
        def add(task: dsl.PipelineTask, settings: StepSettings) -> dsl.PipelineTask:
            task_settings.set_task(task, settings)
            return task if image is not None else task.set_container_image(given["image"])

        first = add(init(**taken(opening, given)), ONCE)
        given = {**given, OPENED: first.outputs[OPENED]}
        with dsl.ParallelFor(given[NUMBERS.name]) as number:
            last = add(worker(**taken(evaluating, {**given, "worker": number})), StepSettings())
        return add(report(**taken(reporting, given)).after(last), ONCE)

    return make_nested(NAME, DOES, [*opening.reads, NUMBERS, *reporting.reads], reporting.writes, known, tasks)


def taken(step: Step, given: Given) -> dict[str, Any]:
    """Return what a step takes of what is given."""
    return {port.name: given[port.name] for port in step.reads if port.name in given}


def make_nested(
    name: str,
    does: str,
    reads: Sequence[Port],
    writes: Sequence[Port],
    known: Given,
    tasks: Callable[[Given], dsl.PipelineTask],
    defaults: Given = DEFAULTS,
) -> Any:
    """Return a KFP pipeline with inputs and outputs.

    Args:
        name: Its name.
        does: Its description.
        reads: What its tasks read; what is known or comes from a task is no input.
        writes: What its last task gives.
        known: What is known of that when it is compiled.
        tasks: Adds the tasks, and returns the last one.
        defaults: The defaults of inputs.
    """
    asked = [port for port in reads if port.name not in known and port.kind not in {"opened", "service"}]
    inputs = sorted(asked, key=lambda port: not _is_required(port))

    def pipeline(*values: Any) -> Any:
        last = tasks({**known, **dict(zip((port.name for port in inputs), values, strict=True))})
        return gives(**{port.name: last.outputs[port.name] for port in writes})

    gives = NamedTuple("gives", [(port.name, GIVES[port.kind]) for port in writes])  # type: ignore[misc]
    # KFP takes inputs and outputs from the signature, and what they mean from the docstring.
    pipeline.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                port.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                annotation=READS[port.kind],
                default=inspect.Parameter.empty if _is_required(port) else defaults.get(port.name, ""),
            )
            for port in inputs
        ],
        return_annotation=gives,
    )
    pipeline.__doc__ = f"{does}\n\nArgs:\n{_explained(inputs)}\nReturns:\n{_explained(writes)}"
    return dsl.pipeline(pipeline, name=name)


def _is_required(port: Port) -> bool:
    return port.name in REQUIRED or port.kind in ARTIFACTS


def _explained(ports: Sequence[Port]) -> str:
    return "".join(f"    {port.name}: {port.meaning}\n" for port in ports)
