"""The pipeline of a study: `init`, then for each batch P x `evaluate` and one `update`, or P x `worker`; and `report`.

The order of the steps comes from the schedule: `study/schedules` of the package; the steps themselves from `steps`
there.

Workers are one `ParallelFor`, and none waits for another: the pipeline has the same small size for any budget.

Iterations are unrolled, because KFP has no loop in which one step waits for the last; the trials of an iteration are
one `ParallelFor`. The compiled pipeline grows with the iterations and hardly with the trials.

All data is in the study folder, and no step decides by anything else. What tasks pass on besides, the edges, is for
people: the UI shows what each trial was given and gave, and lineage leads from the report to the trials.

`report` is there twice. As the exit task it writes the results whatever happened before; but a cluster runs an exit
task as a hook of Argo, whose failure does not fail the run. So it is also the last step: its status is the job's.

KFP reads the annotations of a pipeline, so this module must not postpone their evaluation.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from kfp import dsl

from kfp_bayesopt.steps import INIT, REPORT, SHARED, Step, step_given, steps_of, trial_step
from kfp_bayesopt.study.budget import workers
from kfp_bayesopt.study.machines import EvaluateStep
from kfp_bayesopt.study.machines import Step as StepSettings
from kfp_bayesopt.study.schedules import SCHEDULES
from kfp_bayesopt.study.schedules.base import Stage
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline import custom_job, task_settings
from kfp_bayesopt_pipeline.cluster import Cluster
from kfp_bayesopt_pipeline.components import make_component
from kfp_bayesopt_pipeline.images import trial_image
from kfp_bayesopt_pipeline.preflight.limits import without_edges

DOCSTRING = """Search the best parameters of a study.

Args:
    root: The study folder.
    job: Id of this job, below `jobs` of the study folder; by default what the service calls the run.
    study: Text of the study file, if `init` is to write it into the study folder and to open the job; at most 9,000
        bytes. It must be the very file that the pipeline was compiled for.
    opening: What the submitter says of the job then, as JSON.
    experiment: Experiment of Vertex AI that gets a run for each trial; empty for none.
    register: Model of Vertex AI's registry that gets the best one as a version: NAME[=IMAGE]; empty for none.
"""

MOST_ARTIFACTS = 40
"""The most artifacts that go into one task: Vertex takes 100 (kubeflow/kubeflow#7513), and the argument that describes
them has at most 128 kB."""

MakeTask = Callable[..., dsl.PipelineTask]


def make_pipeline(study: Study, study_name: str, images: dict[str, str], cluster: Cluster | None) -> Any:
    """Return the KFP pipeline of a study.

    Its inputs are the study folder, the job, the study if it is sent with the run, and those of custom jobs. It has no
    outputs: KFP lets none out of an ExitHandler.

    Args:
        study: The study.
        study_name: Name of the study file in the study folder.
        images: The image of each step; the study may name another one for its trials.
        cluster: The KFP cluster that it is for, if it is for one.
    """
    settings = study.steps
    evaluating = trial_step(study.schedule)
    steps = {step.name: step.with_edges(edges_of(study, step, cluster)) for step in steps_of(study.schedule)}
    components = {
        name: make_component(step, images[name], study_name) for name, step in steps.items() if name != evaluating.name
    }
    components[evaluating.name] = trial_component(study, images, steps[evaluating.name], study_name)
    at_the_end = make_component(REPORT.with_edges(()), images[REPORT.name], study_name)
    # It reads the same files as `update`. A mistake that it finds is mended by no retry.
    reporting = run_once(settings.update)
    of_jobs = custom_job.INPUTS if settings.evaluate.machine_type is not None else {}
    shared = {port.name: str for port in SHARED}
    inputs: dict[str, Any] = {"root": str, "job": str, "study": str, "opening": str, **shared, **of_jobs}

    add = functools.partial(add_task, study, cluster)

    def pipeline(root: Any, job: Any, text: Any, opening: Any, *given: Any) -> None:
        folder = {"root": root, "job": job, "run": dsl.PIPELINE_JOB_ID_PLACEHOLDER}
        to_report = folder | dict(zip(shared, given, strict=False))
        with dsl.ExitHandler(add(at_the_end(**to_report), reporting, f"{REPORT.name} at the end")):
            first = add(components[INIT.name](**folder, content=text, opening=opening), settings.init, INIT.name)
            makers = {name: functools.partial(component, **folder) for name, component in components.items()}
            makers[evaluating.name] = functools.partial(
                makers[evaluating.name], **dict(zip(of_jobs, given[len(shared) :], strict=True))
            )
            last, edges = add_stages(study, steps, makers, first, add)
            report = functools.partial(components[REPORT.name], **to_report, **edges.into(steps[REPORT.name]))
            add(report().after(last), reporting, REPORT.name)

    # KFP takes the inputs from the signature; all but the folder may be left out.
    pipeline.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                annotation=kind,
                default=inspect.Parameter.empty if name == "root" else kind(),
            )
            for name, kind in inputs.items()
        ]
    )
    pipeline.__doc__ = DOCSTRING
    described = f"{study.aim} {study.objective}, {study.budget} trials"
    return dsl.pipeline(pipeline, name=study.name, description=described)


def edges_of(study: Study, step: Step, cluster: Cluster | None) -> set[str]:
    """Return the names of the edges of a step in the pipeline of a study; none where a cluster has no room for them."""
    if cluster is not None and without_edges(study) is not None:
        return set()
    steps = steps_of(study.schedule)
    given = {port.name for other in steps if other.name != step.name for port in other.writes}
    edges = {port.name for port in step.reads if port.is_edge and port.source in given}
    if step is REPORT and workers(study) > MOST_ARTIFACTS:
        edges -= {port.name for port in step.reads if port.kind == "files"}
    edges |= {port.name for port in step.writes if port.is_edge}
    if SCHEDULES[study.schedule].claims_first:  # `init` proposes nothing
        edges -= {port.name for port in INIT.writes}
    return edges


class Edges:
    """The outputs of earlier tasks, by name: of each the last."""

    def __init__(self) -> None:
        self._given: dict[str, Any] = {}

    def add(self, task: dsl.PipelineTask, *, is_loop: bool = False) -> None:
        """Take the outputs of a task; of one in a loop all together."""
        for name, output in task.outputs.items():
            self._given[name] = dsl.Collected(output) if is_loop else output

    def into(self, step: Step) -> dict[str, Any]:
        """Return the inputs of a step that come from earlier tasks."""
        return {port.name: self._given[port.source] for port in step.reads if port.source is not None}


def add_stages(
    study: Study, steps: Mapping[str, Step], makers: Mapping[str, MakeTask], first: dsl.PipelineTask, add: MakeTask
) -> tuple[dsl.PipelineTask, Edges]:
    """Add the tasks of all stages of a study, and return the last one, and what they pass on.

    Args:
        study: The study.
        steps: Its steps, by name, as they are in the pipeline.
        makers: What makes a task of each.
        first: The task before them.
        add: Gives a task its settings and its name.
    """
    last, edges = first, Edges()
    edges.add(first)
    for stage in SCHEDULES[study.schedule].stages(study):
        step = steps[step_given(stage.given).name]
        make = functools.partial(makers[step.name], **edges.into(step))
        last = _stage(study, stage, step, make, last, add)
        edges.add(last, is_loop=stage.at_once is not None)
    return last, edges


def _stage(study: Study, stage: Stage, step: Step, make: MakeTask, last: Any, add: MakeTask) -> Any:
    """Add the tasks of a stage after a task, and return the last task."""
    name = step.name if stage.iteration is None else f"iteration {stage.iteration}: {step.name}"
    if stage.at_once is None:
        return add(make(**{stage.given: stage.numbers[0]}).after(last), study.steps.update, name)
    are_texts = any(port.name == stage.given and port.kind == "text" for port in step.reads)
    numbers = list(map(str, stage.numbers)) if are_texts else list(stage.numbers)
    with dsl.ParallelFor(numbers, parallelism=stage.at_once) as number:
        return add(make(**{stage.given: number}).after(last), study.steps.evaluate, name)


def run_once(settings: StepSettings) -> StepSettings:
    """Return the settings of a task whose mistakes no retry mends."""
    return settings.model_copy(update={"retries": 0})


def trial_component(study: Study, images: dict[str, str], step: Step, study_name: str | None = None) -> Any:
    """Return the component of the step that evaluates trials, on the study's machine.

    Args:
        study: The study.
        images: The image of each step.
        step: That step.
        study_name: Name of the study file in the study folder that the pipeline is compiled for, if it is for one.
    """
    component = make_component(step, trial_image(study, images), study_name)
    if study.steps.evaluate.machine_type is None:
        return component
    return custom_job.as_custom_job(component, study.name, step, study.steps.evaluate, _evaluating_seconds(study))


def _evaluating_seconds(study: Study) -> float | None:
    """Return the longest duration of a task that evaluates trials, or None if unbounded."""
    return SCHEDULES[study.schedule].task_seconds(study)


def add_task(
    study: Study, cluster: Cluster | None, task: dsl.PipelineTask, settings: StepSettings, name: str
) -> dsl.PipelineTask:
    """Name a task for the UI and give it the study's settings."""
    task.set_display_name(name)
    task_settings.set_task(task, settings, _evaluating_seconds(study) if isinstance(settings, EvaluateStep) else None)
    if isinstance(settings, EvaluateStep):
        task_settings.set_secrets(task, study)
    if cluster is not None:
        task_settings.set_cluster(task, cluster, study.steps)
    if isinstance(settings, EvaluateStep) and settings.machine_type is not None:
        return task  # the custom job has a machine of its own
    if cluster is None:
        task_settings.set_machine(task, settings)
    else:
        task_settings.set_resources(task, settings)
        if isinstance(settings, EvaluateStep):
            task_settings.set_pod(task, settings.pod)
    return task
