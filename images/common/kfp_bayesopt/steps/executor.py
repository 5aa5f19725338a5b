"""Runs a step under Kubeflow Pipelines and shows its results there.

The steps know nothing of KFP. The components of the pipeline put this program in front of those with outputs:

    /opt/bayesopt/bin/executor EXECUTOR_INPUT /opt/bayesopt/bin/STEP --root ROOT ...

It runs the step and, if that succeeds, copies the results to KFP's output artifacts, and writes the executor output
file: KFP takes output parameters and the metadata of output artifacts from there, and `kfp.local` knows only the output
artifacts named in that file. Both messages are those of `pipeline_spec.proto` (ExecutorInput, ExecutorOutput).

A result is written to the local path of its artifact where the launcher has made the folder of it, as in a pod of a
cluster: it uploads what it finds there to the store of the cluster, whichever that is. Else it is written to the URI.

The reason for copies: Vertex and `kfp.local` accept another URI for an artifact, but the launcher of a KFP cluster does
not. It merges the URI of the executor output into the artifact, and fails the task, although its step has succeeded, if
that URI does not begin with the folder of this very run (`uploadOutputArtifacts` in launcher_v2.go, `KeyFromURI` in
objectstore/config.go). It accepts an existing object without a file beside it: "We allow components to not produce
output files". The artifact's metadata names the original in the study folder.

A failed step shows nothing. A cluster's launcher reads no output of a command whose status is not 0 (`executeV2`), nor
does `kfp.local`; the step's files are in the study folder, and its log says the rest.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.steps import STEPS, Port
from kfp_bayesopt.store import storage

Json = dict[str, Any]

MOST_BYTES = 2**30  # more than the largest result: the ledger of a million trials
VIEWS = {"gs": "/gcs", "s3": "/s3", "minio": "/minio"}
"""Where launchers have the local path of an artifact, by the scheme of its URI: `LocalPathForURI` in launcher_v2.go."""


def executor_output(executor_input: Json, ports: tuple[Port, ...], root: str) -> Json:
    """Copy the results of a successful step to KFP's output artifacts, and describe them.

    Other outputs are left alone. A result that does not exist, because the study ended before, has no content; every
    parameter has a value, since KFP fails a task without one.

    Raises:
        UserError: Storage refuses it, or does not answer.
    """
    outputs = executor_input["outputs"]
    best = _best(root)
    artifacts = {}
    values: Json = {
        "best_value": "none" if best.get("value") is None else repr(best["value"]),
        "best_parameters": best.get("parameters") or {},
    }
    for port in ports:
        if port.file is None or port.name not in outputs.get("artifacts", {}):
            continue
        artifact = outputs["artifacts"][port.name]["artifacts"][0]
        shown = {key: artifact[key] for key in ("name", "uri") if key in artifact}
        if port.kind == "metrics":
            shown["metadata"] = _metrics(best)
        else:
            source = f"{root}/{port.file}"
            shown["metadata"] = {"study folder": source}
            _copy(source, artifact["uri"])
        artifacts[port.name] = shown
    return {
        "artifacts": {name: {"artifacts": [artifact]} for name, artifact in artifacts.items()},
        "parameterValues": {name: values[name] for name in outputs.get("parameters", {}) if name in values},
    }


def _best(root: str) -> Json:
    try:
        found: Json = json.loads(storage.read(f"{root}/best.json", limit=Best.max_bytes))
    except NotFoundError:
        return {}
    return found


def _metrics(best: Json) -> Json:
    metrics = {
        "best value": best.get("value"),
        "trials completed": best.get("completed"),
        "trials failed": best.get("failed"),
        "trials stopped": best.get("stopped"),
    }
    return {name: value for name, value in metrics.items() if value is not None}


def _copy(source: str, destination: str) -> None:
    try:
        content = storage.read(source, limit=MOST_BYTES)
    except NotFoundError:
        return
    if not _written_here(destination, content):
        storage.replace(destination, content)


def _written_here(uri: str, content: bytes) -> bool:
    """Write an artifact to its local path, and tell whether its folder is there and takes it."""
    scheme, _, name = uri.partition("://")
    if scheme not in VIEWS or not (path := Path(VIEWS[scheme], name)).parent.is_dir():
        return False
    try:
        storage.replace(str(path), content)
    except (UserError, OSError):  # of another user, read-only, or a view that has lost its connection
        return False
    return True


def write_output(path: str, content: bytes) -> None:
    """Write the executor output file for KFP.

    A path below /gcs/BUCKET/ is a file too: on a KFP cluster in a volume of the pod, read by the launcher, and on
    Vertex in a view of the bucket. The storage client writes it if the user of the container may not.

    Raises:
        UserError: It cannot be written.
    """
    try:
        storage.replace(path, content)
    except (UserError, OSError):  # OSError: a file system that is read-only, or that lost its connection
        if not path.startswith("/gcs/"):
            raise
        storage.replace("gs://" + path.removeprefix("/gcs/"), content)


def main(arguments: list[str]) -> int:
    """Run the step and return its exit status."""
    executor_input: Json = json.loads(arguments[0])
    program, *options = arguments[1:]
    status = subprocess.run([program, *options], check=False).returncode
    if status == 0:
        root = options[options.index("--root") + 1].rstrip("/")
        try:
            output = executor_output(executor_input, STEPS[Path(program).name].writes, root)
            write_output(executor_input["outputs"]["outputFile"], json.dumps(output).encode())
        except UserError as error:
            error.show()
            return error.exit_code
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
