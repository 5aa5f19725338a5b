"""Runs a step under Kubeflow Pipelines and shows there what it gives.

The steps know nothing of KFP. The components of the pipeline put this program in front of those with outputs:

    /opt/bayesopt/bin/executor EXECUTOR_INPUT /opt/bayesopt/bin/STEP --root ROOT ...

It runs the step with `--outputs FILE` and, if that succeeds, copies the files that the step names there to KFP's output
artifacts, and writes the executor output file: KFP takes output parameters and the metadata of output artifacts from
there, and `kfp.local` knows only the output artifacts named in that file. Both messages are those of
`pipeline_spec.proto` (ExecutorInput, ExecutorOutput).

An input artifact becomes an option of the step if it has one: its local path where the launcher has put it there, else
its URI. The study folder as `init` has opened it is an artifact too, whose metadata become `--root`, `--study` and
`--job`.

A result is written to the local path of its artifact where the launcher has made the folder of it, as in a pod of a
cluster: it uploads what it finds there to the store of the cluster, whichever that is, a folder with all that is in it.
Else it is written to the URI.

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
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from kfp_bayesopt.errors import NotFoundError, UserError
from kfp_bayesopt.steps import ARTIFACTS, STEPS, Port, Step
from kfp_bayesopt.steps.outputs import MISSING, NONE, Outputs, held
from kfp_bayesopt.steps.tuning import DATA, OPENED, OPENED_AS, tuned
from kfp_bayesopt.store import storage

Json = dict[str, Any]
T = TypeVar("T")

MOST_BYTES = 2**30  # more than the largest result: the ledger of a million trials
VIEWS = {"gs": "/gcs", "s3": "/s3", "minio": "/minio"}
"""Where launchers have the local path of an artifact, by the scheme of its URI: `LocalPathForURI` in launcher_v2.go."""
OF_VERTEX = re.compile("projects/[^/]+/locations/[^/]+(?=/)")
"""The begin of the names of artifacts on Vertex: `projects/P/locations/R/metadataStores/default/artifacts/ID`."""
EMPTY: dict[str, Any] = {"text": NONE, "mapping": {}, "list": []}
"""What an output parameter has where the step gives nothing: KFP fails a task that leaves one out."""


def step_of(program: str, executor_input: Json) -> Step:
    """Return the step of a program, by the artifacts of its task as it is in a study's pipeline or in a component."""
    step = STEPS[Path(program).name]
    reads, writes = (executor_input.get(side, {}).get("artifacts", {}) for side in ("inputs", "outputs"))
    return tuned(step, data=DATA in reads) if OPENED in {*reads, *writes} else step


def options_of(executor_input: Json, step: Step) -> Iterator[str]:
    """Yield the options of a step that come from the input artifacts of its task."""
    found = executor_input.get("inputs", {}).get("artifacts", {})
    for port in step.reads:
        if port.kind not in ARTIFACTS or port.name not in found:
            continue
        artifact = found[port.name]["artifacts"][0]
        if port.kind == "opened":
            metadata = artifact.get("metadata", {})
            for name in OPENED_AS:
                yield f"--{name}"
                yield metadata[name]
        elif port.option is not None:
            yield port.option
            yield _path_of(artifact["uri"])
            yield f"{port.option}-uri"
            yield artifact["uri"]


def understood(options: list[str], step: Step) -> list[str]:
    """Return the options of a step without empty ones of a component that is newer than this image.

    An input that an older version does not know is empty unless somebody wants what comes with it.
    """
    known = {port.option for port in step.reads}
    pairs = zip(options[::2], options[1::2], strict=True)
    return [part for option, value in pairs if value or option in known for part in (option, value)]


def in_full(options: list[str], executor_input: Json, step: Step) -> list[str]:
    """Return the options of a step; what Vertex calls the run gets the project and region in the names of artifacts."""
    found = [*options]
    names = (each["artifacts"][0].get("name", "") for each in executor_input["outputs"].get("artifacts", {}).values())
    place = next(filter(None, map(OF_VERTEX.match, names)), None)
    for port in step.reads:
        if port.kind == "service" and place is not None and port.option in found:
            value = found.index(port.option) + 1
            found[value] = f"{place[0]}/pipelineJobs/{found[value]}"
    return found


def _path_of(uri: str) -> str:
    """Return where an input artifact is on this machine; its URI if it is not here."""
    path = _local(uri)
    return str(path) if path is not None and path.exists() else uri


def _local(uri: str) -> Path | None:
    scheme, _, name = uri.partition("://")
    return Path(VIEWS[scheme], name) if scheme in VIEWS else None


def executor_output(executor_input: Json, ports: tuple[Port, ...], given: Outputs) -> Json:
    """Copy what a successful step has given to KFP's output artifacts, and describe them.

    Other outputs are left alone. A file that does not exist, because the study ended before, has no content.

    Raises:
        UserError: Storage refuses it, or does not answer.
    """
    outputs = executor_input["outputs"]
    artifacts, values = {}, {}
    for port in ports:
        if port.kind not in ARTIFACTS:
            if port.name in outputs.get("parameters", {}):
                values[port.name] = given.values.get(port.name, EMPTY.get(port.kind))
            continue
        if port.name not in outputs.get("artifacts", {}):
            continue
        artifact = outputs["artifacts"][port.name]["artifacts"][0]
        shown = {key: artifact[key] for key in ("name", "uri") if key in artifact}
        if port.kind == "metrics":
            shown["metadata"] = held(given.values.get(port.name, {}))
        else:
            shown["metadata"] = held(given.about.get(port.name, {}) | _copied(given, port.name, artifact["uri"]))
        artifacts[port.name] = shown
    return {
        "artifacts": {name: {"artifacts": [artifact]} for name, artifact in artifacts.items()},
        "parameterValues": held(values),
    }


def _copied(given: Outputs, name: str, destination: str) -> dict[str, str]:
    """Copy what a step has given to an artifact, and return what is to be said of it."""
    if (tree := given.trees.get(name)) is not None:
        if (problem := _write(destination, tree.copy_to)) is not None:
            sys.stderr.write(f"{name}: left empty: it {problem}\n")
            return {MISSING: problem}
    elif (source := given.files.get(name)) is not None:
        try:
            content = storage.read(source, limit=MOST_BYTES)
        except NotFoundError:
            return {}
        _write(destination, lambda target: storage.replace(target, content))
    return {}


def _write(uri: str, write: Callable[[str], T]) -> T:
    """Write an artifact to its local path where its folder is there and takes it, else to its URI."""
    if (path := _local(uri)) is not None and path.parent.is_dir():
        with suppress(UserError, OSError):  # of another user, read-only, or a view that has lost its connection
            return write(str(path))
    return write(uri)


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
    step = step_of(program, executor_input)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "outputs.json")
        given = in_full(understood(options, step), executor_input, step)
        command = [program, *given, *options_of(executor_input, step), "--outputs", str(file)]
        status = subprocess.run(command, check=False).returncode
        if status == 0:
            try:
                outputs = Outputs.read(file) if file.exists() else Outputs()
                output = executor_output(executor_input, step.writes, outputs)
                write_output(executor_input["outputs"]["outputFile"], json.dumps(output).encode())
            except UserError as error:
                error.show()
                return error.exit_code
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
