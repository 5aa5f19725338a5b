"""Custom jobs through upstream's own launcher: what it asks Vertex for when a compiled task of ours runs.

The launcher is the program of google-cloud-pipeline-components that Vertex runs for such a task. It gets its arguments
from the compiled pipeline, placeholders filled in by KFP's own engine, and its client of the API is replaced by one
that takes the job as the real types do, and lets the test run it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

import yaml
from google.cloud.aiplatform_v1.types import CustomJob
from google_cloud_pipeline_components.container.v1.custom_job import launcher
from google_cloud_pipeline_components.container.v1.gcp_launcher import job_remote_runner
from kfp.local.placeholder_utils import replace_placeholders

Json = dict[str, Any]

PROJECT, LOCATION = "my-project", "europe-west1"
# What Vertex fills in by itself, and KFP's engine does not know.
OF_VERTEX = {
    "{{$.pipeline_google_cloud_project_id}}": PROJECT,
    "{{$.pipeline_google_cloud_location}}": LOCATION,
    "{{$.pipeline_persistent_resource_id}}": "",
}

MARK = "the executor input"
ESCAPED = "{{$.json_escape[1]}}"
"""What stands for the executor input as text in a JSON document: the package puts it in the place of `{{$}}`. Vertex
fills it in, and KFP's engine does not know it."""


def arguments(
    compiled: str,
    step: str,
    given: dict[str, Any],
    folder: Path,
    artifacts: Mapping[str, Json] = MappingProxyType({}),
    uri: str | None = None,
) -> list[str]:
    """Return the arguments of the launcher for a task of a compiled pipeline.

    Args:
        compiled: The pipeline as YAML.
        step: Name of the step.
        given: The inputs of the task.
        folder: Where its outputs go.
        artifacts: Its input artifacts, as the task has them.
        uri: Where the outputs of its job go, if not to that folder: a bucket.
    """
    spec = next(yaml.load_all(compiled, Loader=yaml.CSafeLoader))
    component = spec["components"][f"comp-{step}"]
    container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
    assert container["command"][-1] == launcher.__name__
    inputs = component["inputDefinitions"]["parameters"]
    assert given.keys() <= inputs.keys()
    values = {name: each["defaultValue"] for name, each in inputs.items() if "defaultValue" in each} | given
    assert values.keys() == inputs.keys(), "each input has a value"
    values = {name: _filled(value) for name, value in values.items()}
    asked = component["inputDefinitions"].get("artifacts", {})
    assert artifacts.keys() == asked.keys(), "each input artifact is there"
    outputs = component["outputDefinitions"]
    seen = str(folder) if uri is None else uri.replace("gs://", "/gcs/", 1)  # as Vertex shows a bucket to a container
    executor_input = {
        "inputs": {
            "parameterValues": values,
            "artifacts": {name: {"artifacts": [{"name": name, **each}]} for name, each in artifacts.items()},
        },
        "outputs": {
            "parameters": {name: {"outputFile": str(folder / name)} for name in outputs["parameters"]},
            "artifacts": {
                name: {"artifacts": [{"name": name, "uri": f"{uri or folder}/{name}", "type": each["artifactType"]}]}
                for name, each in outputs.get("artifacts", {}).items()
            },
            "outputFile": f"{seen}/executor_output.json",
        },
    }
    found: list[str] = list(container["args"])
    # The inputs of the step are placeholders inside one input of the job, and the executor input is one of them.
    known = json.loads(json.dumps(executor_input).replace(ESCAPED, MARK))
    for _ in range(2):
        found = replace_placeholders(found, known, "pipeline", step, str(folder), "run-1")
    escaped = json.dumps(json.dumps(executor_input))[1:-1]
    return [each.replace(MARK, escaped) for each in found]


def _filled(value: Any) -> Any:
    """Fill in what Vertex knows. All numbers of a specification are floats; whole ones are written as integers."""
    if isinstance(value, dict):
        return {name: _filled(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return OF_VERTEX.get(value, value) if isinstance(value, str) else value


def launch(arguments: list[str], run: Callable[[CustomJob], int]) -> list[CustomJob]:
    """Run the launcher, and return the jobs that it made.

    Args:
        arguments: What it is given.
        run: Runs a job, and returns the state in which it ended: a `JobState`.

    Raises:
        RuntimeError: The job did not succeed.
    """
    made: list[CustomJob] = []

    class Client:
        def __init__(self, **_: Any) -> None:
            pass

        def create_custom_job(self, parent: str, custom_job: dict[str, Any]) -> CustomJob:
            assert parent == f"projects/{PROJECT}/locations/{LOCATION}"
            job = CustomJob(custom_job)  # which refuses a field that there is not
            job.name = f"{parent}/customJobs/{len(made) + 1}"
            made.append(job)
            return job

        def get_custom_job(self, name: str, **_: Any) -> CustomJob:
            asked = next((job for job in made if job.name == name), CustomJob(name=name))
            return CustomJob(name=name, state=run(asked))

    with mock.patch.object(job_remote_runner.aiplatform.gapic, "JobServiceClient", Client):
        launcher.main(arguments)
    return made
