"""The pipeline of a component that tunes: `init`, then what evaluates trials, then `report`, one after the other.

It is plain, so that it can stand in the middle of somebody's pipeline: a task that fails ends it, and nothing behind it
starts. It has no exit task, because nothing comes out of an ExitHandler, and no task that is run whatever happened
before, because a cluster never starts one behind a loop.

In the component of every study the study comes at run time, and so does the image, which is that of the workers for all
three steps; it has the same small size for any budget. What a study needs when a pipeline is compiled, such as machines
and batches, is in a component of its own.

KFP reads the annotations of a pipeline, so this module must not postpone their evaluation.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from kfp import dsl

from kfp_bayesopt.session.sent import text_to_send
from kfp_bayesopt.steps import ARTIFACTS, INIT, REPORT, WORKER, Port, Step, steps_of, trial_step
from kfp_bayesopt.steps.tuning import OPENED, tuned
from kfp_bayesopt.study.machines import Step as StepSettings
from kfp_bayesopt.study.schedules.base import Given as Number
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline import custom_job, task_settings
from kfp_bayesopt_pipeline.components import READS, make_component
from kfp_bayesopt_pipeline.graph import add_stages, add_task, edges_of, run_once, trial_component
from kfp_bayesopt_pipeline.images import trial_image
from kfp_bayesopt_pipeline.places.kfp import default_root
from kfp_bayesopt_pipeline.tuning.forms import Own

NAME = "tune"
DOES = "Search the best parameters of a study."
WORKERS = 4
"""How many workers there are, if nobody says it."""

KNOWN = {
    "run": dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    "task": dsl.PIPELINE_TASK_NAME_PLACEHOLDER,
}
"""What KFP itself says to a task."""
NUMBERS = Port("workers", None, "list", "A number for each worker, as text; so many run at the same time.")
DEFAULTS = {
    "study": None,
    "image": None,
    "root": default_root(""),
    NUMBERS.name: [str(number + 1) for number in range(WORKERS)],
}
"""Of inputs, None where one is required; that of the others is empty."""
OF_JOBS = tuple(
    Port(name, None, "mapping" if kind is dict else "text", f"Of custom jobs: their {name.replace('_', ' ')}.")
    for name, kind in custom_job.INPUTS.items()
)
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
MADE_FOR = "--made-for"
"""Says to `init` which study the pipeline was compiled for, with what it needs of that time."""

Given = Mapping[str, Any]


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

        once = run_once(StepSettings())
        first = add(init(**taken(opening, given)), once)
        given = {**given, OPENED: first.outputs[OPENED]}
        with dsl.ParallelFor(given[NUMBERS.name]) as number:
            last = add(worker(**taken(evaluating, {**given, Number.WORKER: number})), StepSettings())
        return add(report(**taken(reporting, given)).after(last), once)

    return make_nested(NAME, DOES, [*opening.reads, NUMBERS, *reporting.reads], reporting.writes, known, tasks)


def make_own(study: Study, own: Own, data: bool = False) -> Any:
    """Return the component of one study, with all that is decided when a pipeline is compiled, as a KFP pipeline.

    Args:
        study: The study.
        own: Its text, images and target.
        data: Whether the data come as an artifact, which KFP then requires.
    """
    images, settings = dict(own.images), study.steps
    steps = {
        step.name: tuned(step, data).with_edges(edges_of(study, step, own.cluster)) for step in steps_of(study.schedule)
    }
    opening, evaluating, reporting = (steps[name] for name in (INIT.name, trial_step(study.schedule).name, REPORT.name))
    components = {
        name: make_component(step, images[name], fixed=[MADE_FOR, study.fingerprint] if step is opening else [])
        for name, step in steps.items()
        if step is not evaluating
    }
    components[evaluating.name] = trial_component(study, images, evaluating)
    of_jobs = OF_JOBS if settings.evaluate.machine_type is not None else ()
    known = {**KNOWN, "study": text_to_send(own.text.encode()), "image": trial_image(study, images)}
    add = functools.partial(add_task, study, own.cluster)

    def tasks(given: Given) -> dsl.PipelineTask:
        first = add(components[INIT.name](**taken(opening, given)), run_once(settings.init), INIT.name)
        given = {**given, OPENED: first.outputs[OPENED]}
        makers = {name: functools.partial(components[name], **taken(steps[name], given)) for name in steps}
        makers[evaluating.name] = functools.partial(
            makers[evaluating.name], **{port.name: given[port.name] for port in of_jobs}
        )
        last, edges = add_stages(study, steps, makers, first, add)
        last = makers[REPORT.name](**edges.into(reporting)).after(last)
        return add(last, run_once(settings.update), REPORT.name)

    reads = [*opening.reads, *(port for port in reporting.reads if port.option), *of_jobs]
    described = f"{DOES.removesuffix('.')}: {study.aim} {study.objective}, {study.budget} trials."
    return make_nested(f"{NAME}-{study.name}", described, reads, reporting.writes, known, tasks, dict(own.defaults))


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
    defaults: Given = MappingProxyType({}),
) -> Any:
    """Return a KFP pipeline with inputs and outputs.

    Args:
        name: Its name.
        does: Its description.
        reads: What its tasks read; what is known or comes from a task is no input.
        writes: What its last task gives.
        known: What is known of that when it is compiled.
        tasks: Adds the tasks, and returns the last one.
        defaults: Of inputs that have another one than usual.
    """
    usual = {**DEFAULTS, **{port.name: {} for port in reads if port.kind == "mapping"}, **defaults}

    def default_of(port: Port) -> Any:
        default = None if port.kind in ARTIFACTS else usual.get(port.name, "")
        return inspect.Parameter.empty if default is None else default

    asked = [port for port in reads if port.name not in known and port.kind not in {"opened", "service"}]
    inputs = sorted(asked, key=lambda port: default_of(port) is not inspect.Parameter.empty)

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
                default=default_of(port),
            )
            for port in inputs
        ],
        return_annotation=gives,
    )
    pipeline.__doc__ = f"{does}\n\nArgs:\n{_explained(inputs)}\nReturns:\n{_explained(writes)}"
    return dsl.pipeline(pipeline, name=name)


def _explained(ports: Sequence[Port]) -> str:
    return "".join(f"    {port.name}: {port.meaning}\n" for port in ports)
