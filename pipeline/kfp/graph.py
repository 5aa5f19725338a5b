"""The pipeline of a study: `init`, then for each batch P x `evaluate` and one `update`, or P x `worker`; and `report`.

Which step comes after which is said here and in `pipeline/chain.py`; what a step is, in `bayesopt/steps.py`.

Workers are one `ParallelFor`, and nothing waits for another: the pipeline is as small for any budget.

Iterations are unrolled, because KFP has no loop in which one step waits for the last; the trials of an iteration are
one `ParallelFor`. The compiled pipeline grows with the iterations and hardly with the trials. Nothing is handed from
step to step but the order: all they know is in the study folder.

`report` is there twice. As the exit task it writes the results whatever happened before; but a cluster runs an exit
task as a hook of Argo, whose failure does not fail the run. So it is also the last step: its status is the job's.

KFP reads the annotations of a pipeline, so that this module must not postpone their evaluation.
"""

from typing import Any

from kfp import dsl

from bayesopt.budget import batches, worker_seconds, workers
from bayesopt.steps import EVALUATE, INIT, REPORT, UPDATE, WORKER
from bayesopt.steps import Step as Program
from bayesopt.study import EvaluateStep, Step, Study
from pipeline.images import trial_image
from pipeline.kfp.components import make_component
from pipeline.kfp.custom_job import as_custom_job


def make_pipeline(study: Study, study_name: str, images: dict[str, str]) -> Any:
    """Return the KFP pipeline of a study; its inputs are the study folder and the job.

    It has no outputs: KFP lets none out of an ExitHandler.

    Args:
        study: The study.
        study_name: Name of the study file in the study folder.
        images: The image of each step; the study may name another one for its trials.
    """
    settings = study.steps
    init, report = (make_component(step, images[step.name], study_name) for step in (INIT, REPORT))
    trials = _workers if study.schedule == "asynchronous" else _batches
    # It reads what `update` reads. What it finds no retry mends.
    reporting = settings.update.model_copy(update={"retries": 0})

    @dsl.pipeline(name=study.name, description=f"{study.direction} {study.objective}, {study.budget} trials")
    def pipeline(root: str, job: str = "") -> None:
        """Search the best parameters of a study.

        Args:
            root: The study folder.
            job: Id of this job, below `jobs` of the study folder; by default what the service calls the run.
        """
        folder = {"root": root, "job": job, "run": dsl.PIPELINE_JOB_ID_PLACEHOLDER}
        with dsl.ExitHandler(_task(report(**folder), reporting, f"{REPORT.name} at the end")):
            begun = _task(init(**folder), settings.init, INIT.name)
            last = trials(study, study_name, images, folder, begun)
            _task(report(**folder).after(last), reporting, REPORT.name)

    return pipeline


def _batches(study: Study, study_name: str, images: dict[str, str], folder: dict[str, Any], last: Any) -> Any:
    """Add the batches of a study after a task, and return the last task."""
    evaluate = _trials(study, EVALUATE, study_name, images)
    update = make_component(UPDATE, images[UPDATE.name], study_name)
    for iteration, batch in enumerate(batches(study), 1):
        with dsl.ParallelFor(list(batch), parallelism=study.max_parallel or study.parallel_trials) as number:
            trial = evaluate(**folder, trial=number).after(last)
            _task(trial, study.steps.evaluate, f"iteration {iteration}: {EVALUATE.name}")
        last = update(**folder, after=batch[-1]).after(trial)
        _task(last, study.steps.update, f"iteration {iteration}: {UPDATE.name}")
    return last


def _workers(study: Study, study_name: str, images: dict[str, str], folder: dict[str, Any], last: Any) -> Any:
    """Add the workers of a study after a task, and return the last task."""
    worker = _trials(study, WORKER, study_name, images)
    places = list(range(1, workers(study) + 1))
    with dsl.ParallelFor(places, parallelism=len(places)) as number:
        working = worker(**folder, worker=number).after(last)
        _task(working, study.steps.evaluate, WORKER.name)
    return working


def _trials(study: Study, step: Program, study_name: str, images: dict[str, str]) -> Any:
    """Return the component of a step that evaluates trials, on the machine that the study asks for."""
    component = make_component(step, trial_image(study, images), study_name)
    if study.steps.evaluate.machine_type is not None:
        seconds = worker_seconds(study) if step is WORKER else None
        component = as_custom_job(component, study.name, step, study.steps.evaluate, seconds)
    return component


def _task(task: dsl.PipelineTask, settings: Step, name: str) -> dsl.PipelineTask:
    """Name a task for the UI and give it what the study asks for."""
    task.set_display_name(name)
    task.set_caching_options(False)  # the records are the cache
    if settings.retries:
        task.set_retry(
            settings.retries,
            backoff_duration=f"{settings.backoff_seconds}s",
            backoff_factor=2,
            backoff_max_duration="3600s",
        )
    if isinstance(settings, EvaluateStep) and settings.machine_type is not None:
        return task  # the custom job has a machine of its own
    task.set_cpu_limit(f"{settings.cpu:g}").set_memory_limit(settings.memory)
    if settings.accelerator_type is not None:
        task.set_accelerator_type(settings.accelerator_type).set_accelerator_limit(settings.accelerator_count or 1)
    return task
