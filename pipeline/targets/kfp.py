"""A KFP cluster: submits a study with the KFP client and follows it."""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kfp
from kfp_server_api import ApiException
from urllib3.exceptions import HTTPError

from bayesopt import gcs, storage
from bayesopt.errors import UserError
from bayesopt.study import Study
from pipeline.targets.uploads import upload_study
from pipeline.targets.vertex import RESULTS, job_id, summary

LOOKS = 30  # how often a cluster may be silent while we follow a run
FINAL = {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}


@dataclass(frozen=True)
class Cluster:
    """Where a KFP cluster is, and how a run is made there.

    Attributes:
        host: Address of its API, `https://...`.
        pipeline_root: gs:// prefix of all that the steps write.
        namespace: Kubernetes namespace, where the cluster has several users.
        token: Token of a session that exists.
        experiment: Experiment that the run is added to.
        run_name: Name of the run; by default study and time.
        cache: Whether steps may take earlier outputs; else what the study says for each.
    """

    host: str
    pipeline_root: str
    namespace: str | None = None
    token: str | None = None
    experiment: str | None = None
    run_name: str | None = None
    cache: bool | None = None

    def client(self) -> Any:
        """Return a client that has reached the cluster.

        Raises:
            UserError: It does not answer, or refuses the token.
        """
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=FutureWarning)  # it works with KFP 2 alone, as we do
                return kfp.Client(host=self.host, existing_token=self.token, namespace=self.namespace or "kubeflow")
        except (ApiException, HTTPError, OSError) as error:
            raise _refused(self.host, error) from None


def submit(cluster: Cluster, study: Study, study_path: Path, compiled: Path) -> tuple[Any, str]:
    """Upload a study and submit its compiled pipeline; return the client and the id of the run."""
    client = cluster.client()
    uri = upload_study(study_path, cluster.pipeline_root)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints links, as we do
            run = client.create_run_from_pipeline_package(
                str(compiled),
                arguments={"study_uri": uri},
                run_name=cluster.run_name or job_id(study.name, datetime.now(UTC)),
                experiment_name=cluster.experiment,
                namespace=cluster.namespace,
                pipeline_root=cluster.pipeline_root,
                enable_caching=cluster.cache,
            )
    except (ApiException, HTTPError) as error:
        raise _refused(cluster.host, error) from None
    return client, run.run_id


def find(client: Any, run_id: str) -> Any:
    """Return a run by its id.

    Raises:
        UserError: There is no such run, or it may not be read.
    """
    try:
        return client.get_run(run_id)
    except (ApiException, HTTPError) as error:
        raise _refused(run_id, error) from None


def cancel(client: Any, run_id: str) -> None:
    """Stop a run."""
    try:
        client.terminate_run(run_id)
    except (ApiException, HTTPError) as error:
        raise _refused(run_id, error) from None


def follow(client: Any, run_id: str, seconds: float) -> Iterator[str]:
    """Yield a line for each change of state of a run and its tasks, until the run has ended.

    A cluster that is silent for a while is asked again.

    Args:
        client: The client.
        run_id: The run.
        seconds: Pause between two looks.
    """
    seen: dict[str, str] = {}
    silent = 0
    while True:
        try:
            run = client.get_run(run_id)
        except (ApiException, HTTPError) as error:
            silent += 1
            if silent > LOOKS or 400 <= (getattr(error, "status", None) or 0) < 500:
                raise _refused(run_id, error) from None
        else:
            silent = 0
            for name, state in {**task_states(run), run_id: state_of(run)}.items():
                if seen.get(name) != state:
                    seen[name] = state
                    yield f"{datetime.now(UTC):%H:%M:%S}  {name}: {state}"
            if state_of(run) in FINAL:
                return
        time.sleep(seconds)


def state_of(run: Any) -> str:
    """Return the state of a run, as `RUNNING`."""
    return str(run.state or "PENDING")


def task_states(run: Any) -> dict[str, str]:
    """Return the state of each task by its name in the UI; trials of one iteration are counted together."""
    titles = _titles(run.pipeline_spec)
    states: dict[str, list[str]] = {}
    for task in _tasks(run):
        if task.display_name in titles:
            states.setdefault(titles[task.display_name], []).append(state_of(task))
    return {name: summary(found) for name, found in states.items()}


def reason(run: Any) -> str:
    """Return why a run failed, as the cluster says it."""
    errors = [found.error.message for found in (run, *_tasks(run)) if found.error and found.error.message]
    return " ".join(errors) or "the page of the run says why"


def fetch(run: Any, pipeline_root: str, out: Path) -> list[Path]:
    """Copy the best trial and the ledger of the last update that succeeded into a folder.

    The API does not say where outputs are. A cluster puts them at ROOT/PIPELINE/RUN/TASK/SOMETHING/OUTPUT; those of a
    task that came from the cache lie with the run that made them.

    Raises:
        UserError: No iteration of the run has ended.
    """
    name = _pipeline(run.pipeline_spec)["pipelineInfo"]["name"]
    prefix = f"{pipeline_root.rstrip('/')}/{name}/{run.run_id}/"
    found: dict[int, dict[str, str]] = {}
    for uri in gcs.find(f"{prefix}update"):
        task, _, output = uri.removeprefix(prefix).split("/", 2)
        found.setdefault(int(task.partition("-")[2] or 1), {})[output] = uri
    ended = [number for number, outputs in found.items() if set(RESULTS) <= set(outputs)]
    if not ended:
        raise UserError(
            f"run {run.run_id}: an iteration must have ended that was not taken from the cache, but there is none "
            f"under {prefix}; `make status TARGET=kfp JOB={run.run_id}`"
        )
    written = []
    for output, file in RESULTS.items():
        storage.write(str(out / file), storage.read(found[max(ended)][output]))
        written.append(out / file)
    return written


def _tasks(run: Any) -> list[Any]:
    return (run.run_details.task_details if run.run_details else None) or []


def _pipeline(spec: Any) -> Any:
    return spec.get("pipeline_spec", spec)  # beside `platform_spec`, where there is one


def _titles(spec: Any) -> dict[str, str]:
    """Return what the UI calls the tasks, by their names in the pipeline; loops have no title of their own."""
    pipeline = _pipeline(spec or {})
    dags = [
        each["dag"] for each in (pipeline.get("root", {}), *pipeline.get("components", {}).values()) if "dag" in each
    ]
    return {
        name: task["taskInfo"]["name"]
        for dag in dags
        for name, task in dag["tasks"].items()
        if not name.startswith("for-loop")
    }


def _refused(what: str, error: Exception) -> UserError:
    status = getattr(error, "status", None)
    if status in (401, 403):
        return UserError(
            f"{what}: the token must be accepted, but got {status} {getattr(error, 'reason', '')}; give --token"
        )
    if status == 404:
        return UserError(f"{what}: a run of this cluster must be named, but it has none of that id")
    if status is not None:
        return UserError(f"{what}: the cluster refused it: {status} {getattr(error, 'reason', '')}")
    return UserError(f"{what}: the cluster must answer there, but: {str(error).partition(chr(10))[0]}; HOST=https://…")
