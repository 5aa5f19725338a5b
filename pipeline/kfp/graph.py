"""The pipeline of a study: `init`, then for each iteration P x `evaluate` and one `update`.

Which step comes after which is said here and in `pipeline/chain.py`; what a step is, in `bayesopt/steps.py`.

Iterations are unrolled, because KFP has no loop in which one step waits for the last; the trials of an
iteration are one `ParallelFor`. The compiled pipeline grows with the iterations and not with the trials.
"""

from typing import Any, NamedTuple

from kfp import dsl

from bayesopt.steps import EVALUATE, INIT, UPDATE
from bayesopt.study import EvaluateStep, Step, Study
from pipeline.kfp.components import make_component
from pipeline.kfp.custom_job import as_custom_job


class Outputs(NamedTuple):
    """The outputs of the pipeline, shown in the UI."""

    best_value: str
    best_parameters: dict  # type: ignore[type-arg]
    best: dsl.Artifact
    ledger: dsl.Artifact


# Which of them are files, by the output of the last step that they are.
RESULTS = {"best": "best", "ledger": "next_ledger"}


def make_pipeline(study: Study, images: dict[str, str]) -> Any:
    """Return the KFP pipeline of a study; its one input is the URI of the study file.

    Args:
        study: The study.
        images: The image of each step; the study may name another one for its trials.
    """
    init = make_component(INIT, images[INIT.name])
    evaluate = make_component(EVALUATE, study.steps.evaluate.image or images[EVALUATE.name])
    update = make_component(UPDATE, images[UPDATE.name])
    settings = study.steps
    if settings.evaluate.machine_type is not None:
        evaluate = as_custom_job(evaluate, study.name, settings.evaluate)

    @dsl.pipeline(name=study.name, description=f"{study.direction} {study.objective}, {study.trials} trials")
    def pipeline(study_uri: str) -> Outputs:
        """Search the best parameters of a study.

        Args:
            study_uri: URI of the study file.
        """
        state = _task(init(study=study_uri), settings.init, INIT.name).outputs
        done: Any = None  # the outputs of the last `update`; a study has at least one
        for iteration in range(1, study.iterations + 1):
            indexes = list(range(study.parallel_trials))
            with dsl.ParallelFor(indexes, parallelism=study.max_parallel or study.parallel_trials) as index:
                trial = evaluate(study=study_uri, suggestions=state["suggestions"], index=index)
                _task(trial, settings.evaluate, f"iteration {iteration}: {EVALUATE.name}")
            done = _task(
                update(
                    study=study_uri,
                    optimizer=state["optimizer"],
                    ledger=state["ledger"],
                    suggestions=state["suggestions"],
                    records=dsl.Collected(trial.outputs["record_uri"]),
                ),
                settings.update,
                f"iteration {iteration}: {UPDATE.name}",
            ).outputs
            state = {name: done[f"next_{name}"] for name in ("optimizer", "ledger", "suggestions")}
        return Outputs(done["best_value"], done["best_parameters"], *(done[each] for each in RESULTS.values()))

    return pipeline


def _task(task: dsl.PipelineTask, settings: Step, name: str) -> dsl.PipelineTask:
    """Name a task for the UI and give it what the study asks for."""
    task.set_display_name(name)
    task.set_caching_options(settings.cache)
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
