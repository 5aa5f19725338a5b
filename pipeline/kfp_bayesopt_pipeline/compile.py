"""Compiles the pipeline of a study into the YAML that KFP and Vertex run."""

from __future__ import annotations

import json
from collections.abc import Container
from typing import Any

import yaml
from google.protobuf import json_format
from google.protobuf.message import Message
from kfp.compiler.pipeline_spec_builder import extract_comments_from_pipeline_spec

from kfp_bayesopt.folder.study_folder import study_uri
from kfp_bayesopt.session.code import check_image
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.cluster import Cluster
from kfp_bayesopt_pipeline.graph import make_pipeline
from kfp_bayesopt_pipeline.images import Images


def compile_study(study: Study, content: bytes, images: Images, cluster: Cluster | None = None) -> str:
    """Return the compiled pipeline of a study as YAML.

    Its arguments, all texts: `root`, the study folder; `job`, the id of the job, by default what the service calls the
    run; `study`, the text of the study file where `init` is to write it and to open the job (`session/sent.py`), empty
    where the submitter has done both; `opening`, what the submitter says of the job then (`Opening.to_text`).

    Args:
        study: The study.
        content: Its file. The pipeline reads the very same one, from the study folder.
        images: The image of each step.
        cluster: The KFP cluster that it is for: how its pods reach the store. Without one it is for Vertex, or for
            KFP's engine here, which knows neither pods nor requests.

    Raises:
        UserError: An image is not fixed.
    """
    if study.steps.evaluate.image is not None:
        check_image(study.steps.evaluate.image, "steps.evaluate.image")
    return text_of(make_pipeline(study, study_uri("", content).rpartition("/")[2], images, cluster))


def text_of(pipeline: Any, leaves_in_a_line: bool = False) -> str:
    """Return a KFP pipeline as YAML; a second document says what it needs of a KFP cluster, if anything.

    Args:
        pipeline: The pipeline.
        leaves_in_a_line: Whether a mapping of texts and numbers is one line, which takes less room.
    """
    # The same as Compiler().compile writes, without its YAML emitter, which takes longer than all the rest.
    spec = json_format.MessageToDict(pipeline.pipeline_spec)
    comments = extract_comments_from_pipeline_spec(spec, pipeline.description)
    _share_containers(spec)
    documents = [spec]
    if pipeline.platform_spec.platforms:
        documents.append(_of_platforms(pipeline.platform_spec, spec["deploymentSpec"]["executors"]))
    flow = None if leaves_in_a_line else False
    text = yaml.dump_all(documents, Dumper=yaml.CSafeDumper, width=2**20, default_flow_style=flow)
    return str(comments) + str(text)


def _of_platforms(found: Message, executors: Container[str]) -> dict[str, Any]:
    """Return the platform settings of executors beyond their containers, without those of copies."""
    spec: dict[str, Any] = json_format.MessageToDict(found)
    for platform in spec["platforms"].values():
        asked = platform["deploymentSpec"]["executors"]
        platform["deploymentSpec"]["executors"] = {label: each for label, each in asked.items() if label in executors}
    return spec


def _share_containers(spec: dict[str, Any]) -> None:
    """Make components that run the same container refer to one copy of it.

    The compiler writes it again for every task: 99 copies for 100 iterations. The components stay separate, because
    `kfp.local` puts a task's outputs into a folder with the name of its component.
    """
    executors = spec["deploymentSpec"]["executors"]
    kept: dict[str, str] = {}  # content of an executor -> its label
    for _, component in sorted(spec["components"].items()):  # protobuf gives them in any order
        if "executorLabel" in component:
            label = component["executorLabel"]
            component["executorLabel"] = kept.setdefault(json.dumps(executors[label], sort_keys=True), label)
    spec["deploymentSpec"]["executors"] = {label: executors[label] for label in kept.values()}
