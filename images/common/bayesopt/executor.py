"""Runs a step under Kubeflow Pipelines and tells KFP what the step wrote.

The steps know nothing of KFP. The components of the pipeline put this program before them:

    /opt/bayesopt/bin/executor EXECUTOR_INPUT /opt/bayesopt/bin/STEP --study ... --best-out ...

It runs the step and, if that succeeds, writes the executor output file: KFP takes output parameters and the
metadata of output artifacts from there, and `kfp.local` knows only the output artifacts that the file names.
Both messages are those of `pipeline_spec.proto` (ExecutorInput, ExecutorOutput).
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from bayesopt import storage
from bayesopt.errors import UserError

Json = dict[str, Any]


def executor_output(executor_input: Json) -> Json:
    """Describe the outputs of a step that has succeeded.

    Every output artifact is named with its URI. Of the parameters, `NAME_uri` is the URI of the artifact
    NAME, and `best_value` and `best_parameters` come from the artifact `best`, whose numbers are also the
    metadata of the artifact `metrics`. Other parameters are left alone: where a trial is a custom job, its
    launcher has one of its own, `gcp_resources`, and writes it itself.
    """
    outputs = executor_input["outputs"]
    artifacts: dict[str, Json] = {
        name: {key: found["artifacts"][0][key] for key in ("name", "uri") if key in found["artifacts"][0]}
        for name, found in outputs.get("artifacts", {}).items()
    }
    values: dict[str, Any] = {f"{name}_uri": artifact["uri"] for name, artifact in artifacts.items()}
    if "best" in artifacts:
        best = json.loads(storage.read(artifacts["best"]["uri"]))
        values["best_value"] = "none" if best["value"] is None else repr(best["value"])
        values["best_parameters"] = best["parameters"] or {}
        if "metrics" in artifacts:
            metrics = {
                "best value": best["value"],
                "trials completed": best["completed"],
                "trials failed": best["failed"],
            }
            metadata = {name: value for name, value in metrics.items() if value is not None}
            artifacts["metrics"]["metadata"] = metadata
            # The numbers are in the metadata; but `kfp.local` takes nothing from its cache that is not there as a file.
            storage.write(artifacts["metrics"]["uri"], json.dumps(metadata).encode() + b"\n")
    return {
        "artifacts": {name: {"artifacts": [artifact]} for name, artifact in artifacts.items()},
        "parameterValues": {name: values[name] for name in outputs.get("parameters", {}) if name in values},
    }


def write_output(path: str, content: bytes) -> None:
    """Write the executor output file where KFP looks for it.

    A path below /gcs/BUCKET/ is a file too: on a KFP cluster in a volume of the pod, where the launcher reads it, and
    on Vertex in a view of the bucket. The storage client writes it where the user of the container may not.
    """
    try:
        storage.write(path, content)
    except (UserError, OSError):  # OSError: a file system that is read-only, or that lost its connection
        if not path.startswith("/gcs/"):
            raise
        storage.write("gs://" + path.removeprefix("/gcs/"), content)


def main(arguments: list[str]) -> int:
    """Run the step and return its exit status."""
    executor_input: Json = json.loads(arguments[0])
    status = subprocess.run(arguments[1:], check=False).returncode
    if status == 0:
        content = json.dumps(executor_output(executor_input)).encode()
        write_output(executor_input["outputs"]["outputFile"], content)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
