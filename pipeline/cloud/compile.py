"""Compiles the pipeline of a study into the YAML that KFP and Vertex run."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import yaml
from kfp import compiler

from bayesopt.errors import UserError
from bayesopt.study import Study
from pipeline.cloud.graph import make_pipeline
from pipeline.cloud.images import Images, check_image

# The URIs of an iteration's records are one argument of `update`. Linux takes 128 KiB for one argument, and a URI on
# Vertex has up to 500 characters.
MOST_PARALLEL_TRIALS = 250


def compile_study(study: Study, images: Images) -> str:
    """Return the compiled pipeline of a study as YAML.

    Raises:
        UserError: An image is not fixed, or there are more parallel trials than one step can take in.
    """
    if study.parallel_trials > MOST_PARALLEL_TRIALS:
        raise UserError(
            f"parallel_trials: at most {MOST_PARALLEL_TRIALS} must hold on Kubeflow and Vertex, where one argument of "
            f"`update` names all records of an iteration, but got {study.parallel_trials}; use more iterations"
        )
    if study.steps.evaluate.image is not None:
        check_image(study.steps.evaluate.image, "steps.evaluate.image")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(make_pipeline(study, images), str(path))
        return _share_containers(path.read_text())


def _share_containers(text: str) -> str:
    """Let components that run the same container refer to one copy of it.

    The compiler writes it again for every task: of 100 iterations 99 copies. The components stay apart,
    because `kfp.local` puts what a task writes into a folder by the name of its component.
    """
    comments = "".join(line + "\n" for line in text.splitlines() if line.startswith("#"))
    spec = yaml.load(text, yaml.CSafeLoader)
    executors = spec["deploymentSpec"]["executors"]
    kept: dict[str, str] = {}  # content of an executor -> its label
    for component in spec["components"].values():
        if "executorLabel" in component:
            label = component["executorLabel"]
            component["executorLabel"] = kept.setdefault(json.dumps(executors[label]), label)
    spec["deploymentSpec"]["executors"] = {label: executors[label] for label in kept.values()}
    return comments + str(yaml.dump(spec, Dumper=yaml.CSafeDumper, width=2**20))
