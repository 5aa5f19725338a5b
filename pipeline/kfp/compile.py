"""Compiles the pipeline of a study into the YAML that KFP and Vertex run."""

from __future__ import annotations

import json
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.compiler.pipeline_spec_builder import extract_comments_from_pipeline_spec

from bayesopt.errors import UserError
from bayesopt.steps import UPDATE
from bayesopt.study import Study
from pipeline.images import Images, check_image
from pipeline.kfp.graph import make_pipeline

# The URIs of an iteration's records are one argument. Linux takes 128 KiB for one argument, and a URI on
# Vertex has up to 500 characters.
MOST_PARALLEL_TRIALS = 250


def check_batch(study: Study) -> None:
    """Refuse a study whose batches no step could take in.

    Raises:
        UserError: There are more parallel trials than one step can take in.
    """
    if study.parallel_trials > MOST_PARALLEL_TRIALS:
        raise UserError(
            f"parallel_trials: Kubeflow and Vertex take at most {MOST_PARALLEL_TRIALS}, because one argument of "
            f"`{UPDATE.name}` names all records of an iteration, but got {study.parallel_trials}; use more iterations"
        )


def compile_study(study: Study, images: Images) -> str:
    """Return the compiled pipeline of a study as YAML.

    Raises:
        UserError: An image is not fixed, or there are more parallel trials than one step can take in.
    """
    check_batch(study)
    if study.steps.evaluate.image is not None:
        check_image(study.steps.evaluate.image, "steps.evaluate.image")
    pipeline = make_pipeline(study, images)
    # The same as Compiler().compile writes, without its YAML emitter, which takes longer than all the rest.
    spec = json_format.MessageToDict(pipeline.pipeline_spec)
    comments = extract_comments_from_pipeline_spec(spec, pipeline.description)
    _share_containers(spec)
    return str(comments) + str(yaml.dump(spec, Dumper=yaml.CSafeDumper, width=2**20))


def _share_containers(spec: dict[str, Any]) -> None:
    """Let components that run the same container refer to one copy of it.

    The compiler writes it again for every task: of 100 iterations 99 copies. The components stay apart,
    because `kfp.local` puts what a task writes into a folder by the name of its component.
    """
    executors = spec["deploymentSpec"]["executors"]
    kept: dict[str, str] = {}  # content of an executor -> its label
    for _, component in sorted(spec["components"].items()):  # protobuf gives them in any order
        if "executorLabel" in component:
            label = component["executorLabel"]
            component["executorLabel"] = kept.setdefault(json.dumps(executors[label], sort_keys=True), label)
    spec["deploymentSpec"]["executors"] = {label: executors[label] for label in kept.values()}
