"""`tune`: a study as one step of a person's pipeline, checked where it is known when that pipeline is compiled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from kfp_bayesopt import extras
from kfp_bayesopt.errors import UserError, shown
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline import shipped
from kfp_bayesopt_pipeline.places import TARGETS
from kfp_bayesopt_pipeline.tuning.component import built_apart
from kfp_bayesopt_pipeline.tuning.forms import Form, Own
from kfp_bayesopt_pipeline.tuning.given import (
    SHARED,
    Known,
    check_shared,
    data_of,
    image_of,
    is_artifact,
    is_channel,
    root_of,
    study_of,
    text_of,
    workers_of,
)
from kfp_bayesopt_pipeline.tuning.own import images_for, own_of

if TYPE_CHECKING:
    from kfp.dsl import PipelineTask
    from kfp.dsl.pipeline_channel import PipelineChannel


def tune(
    study: Study | str | PathLike[str] | PipelineChannel,
    *,
    image: str | PipelineChannel | None = None,
    data: str | PipelineChannel = "",
    root: str | PipelineChannel | None = None,
    workers: int | Sequence[int | str] | PipelineChannel | None = None,
    same_code: bool = False,
    retry_failed: bool = False,
    fresh: bool = False,
    ended: str | None = None,
    experiment: str | PipelineChannel = "",
    register: str | PipelineChannel = "",
    target: str | None = None,
) -> PipelineTask:
    """Search the best parameters of a study, as one step of a pipeline: call it in a function with `@dsl.pipeline`.

    Its outputs are `parameters` (a mapping), `parameters_json` (the same as a text, with each digit), `value`, `trials`
    (a Dataset, CSV), `model` (what the best trial has written to `BAYESOPT_OUTPUT`), `report` (HTML) and `metrics`. The
    step fails when no trial completes, and what stands behind it does not start then. When the pipeline is run again,
    the study goes on where it was.

    What is known when the pipeline is compiled is checked then. A study that needs something of compile time, such as
    machines or batches, gets a component of its own by itself.

    Example:
        from kfp import dsl
        from kfp_bayesopt_pipeline import tune


        @dsl.pipeline
        def mine(root: str):
            found = tune("study.yaml", root=root)
            train(parameters=found.outputs["parameters"])

    Args:
        study: A study, its file, a folder with `study.yaml`, or the text of a study file; or a parameter of the
            pipeline or the output of a task that is the text of one or its URI.
        image: The image of the workers, by digest or with a tag that never moves; it holds the other steps too. Or a
            parameter of the pipeline or the output of a task. Default: what the study or `out/images.json` says.
        data: What the objective is given as `BAYESOPT_DATA` and `{data}`: a text, a URI, a parameter of the pipeline,
            or the output of a task, which may be an artifact. Other data is another study folder.
        root: What study folders are below of, such as `gs://BUCKET/PREFIX`. Default: the store of a KFP cluster.
        workers: How many, or a number for each: so many trials run at the same time. Default: `parallel_trials` of the
            study, and four where it is not known yet.
        same_code: Continue although the code has changed; it gives the same values.
        retry_failed: Evaluate failed trials again.
        fresh: Start over, in another study folder.
        ended: Treat this job as ended (it crashed without reporting).
        experiment: Experiment of Vertex AI that gets a run for each trial.
        register: Model of Vertex AI's registry that gets the best one: `NAME`, or `NAME=IMAGE`.
        target: `kfp` or `vertex`, for a study that needs something of compile time which does not tell it.

    Returns:
        The task; `.outputs["parameters"]` is for the next one.

    Raises:
        UserError: Something of it cannot work; the message says what, and the way out.
    """
    with extras.needed_by("tune", "kfp"):
        from kfp import components
        from kfp.dsl import pipeline_context

    if pipeline_context.Pipeline.get_default_pipeline() is None:
        raise UserError(
            "tune: is a step of a pipeline; call it in a function with @dsl.pipeline, or run the study on this machine "
            "with kfp_bayesopt.run"
        )
    known = study_of(study)
    words = {"same-code": same_code, "retry-failed": retry_failed, "fresh": fresh, f"ended={ended}": ended}
    arguments = {
        "study": text_of(known) if isinstance(known, Known) else known,
        "root": root_of(root),
        "data": data_of(known, data),
        "going_on": ",".join(word for word, is_said in words.items() if is_said),
        "experiment": experiment,
        "register": register,
    }
    for name in SHARED:
        check_shared(name, arguments[name])
    if isinstance(known, Known) and known.study.of_compile_time:
        form = Form(data=is_artifact(data), own=_own(known, image, target, workers))
    else:
        arguments |= {"image": image_of(known, image), "workers": workers_of(known, workers)}
        said = arguments["image"]
        form = Form(said if isinstance(said, str) else None, is_artifact(data))
    component = components.load_component_from_text(shipped.TUNE.read_text() if form == Form() else built_apart(form))
    given = {name: value for name, value in arguments.items() if is_channel(value) or value}
    if root is None and component.component_spec.inputs["root"].default is None:
        raise UserError("tune: root: Vertex has no store of its own; give gs://BUCKET/PREFIX, or set PIPELINE_ROOT")
    task = component(**{name: given[name] for name in component.component_spec.inputs if name in given})
    name = f"tune {known.study.name}" if isinstance(known, Known) else "tune"
    return task.set_display_name(name).set_caching_options(False)


def _own(known: Known, image: Any, target: str | None, workers: Any) -> Own:
    """Return what the component of a study has of it that needs something when the pipeline is compiled.

    Raises:
        UserError: It is not known then, or cannot be.
    """
    keys = ", ".join(known.study.of_compile_time)
    why = f"{known.file}: {keys}: decided when the pipeline is compiled"
    if workers is not None:
        raise UserError(f"{why}, and so are its workers; leave workers out, and say parallel_trials and max_parallel")
    if is_channel(image):
        raise UserError(f"{why}, and so is its image; give the name of the image")
    steps = known.study.steps
    if target is None and steps.evaluate.machine_type is not None:
        target = "vertex"
    elif target is None and (steps.of_clusters or known.study.objective.of_clusters):
        target = "kfp"
    if target not in TARGETS:
        given = "" if target is None else f", not {shown(target)}"
        raise UserError(f"{why}; say for what: {' or '.join(f'target={name!r}' for name in TARGETS)}{given}")
    model = TARGETS[target]
    said = {name: os.environ.get(setting.variable, "") for name, setting in model.described().items()}
    settings, problems = model.read(said, "component")
    if problems:
        raise UserError("\n".join(problems))
    images = images_for(known.study, known.file, image)
    return own_of(known.study, known.file, known.content, images, target, settings)
