"""A KFP cluster: submits a study with the KFP client and follows it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kfp
from kfp_server_api import ApiException
from urllib3.exceptions import HTTPError

from bayesopt.errors import UserError
from bayesopt.study import Study
from pipeline.cloud.uploads import upload_study
from pipeline.cloud.vertex import job_id

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
            return kfp.Client(host=self.host, existing_token=self.token, namespace=self.namespace or "kubeflow")
        except (ApiException, HTTPError, OSError) as error:
            raise _refused(self.host, error) from None


def submit(cluster: Cluster, study: Study, study_path: Path, compiled: Path) -> tuple[Any, str]:
    """Upload a study and submit its compiled pipeline; return the client and the id of the run."""
    client = cluster.client()
    uri = upload_study(study_path, cluster.pipeline_root)
    try:
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


def follow(client: Any, run_id: str, seconds: float) -> Iterator[str]:
    """Yield the state of a run whenever it has changed, until it has ended; the last one is final."""
    last = None
    while last not in FINAL:
        try:
            state = str(client.get_run(run_id).state or "PENDING")
        except (ApiException, HTTPError) as error:
            raise _refused(run_id, error) from None
        if state != last:
            last = state
            yield state
        if last not in FINAL:
            time.sleep(seconds)


def _refused(what: str, error: Exception) -> UserError:
    status = getattr(error, "status", None)
    if status in (401, 403):
        return UserError(
            f"{what}: the token must be accepted, but got {status} {getattr(error, 'reason', '')}; give --token"
        )
    if status is not None:
        return UserError(f"{what}: the cluster refused it: {status} {getattr(error, 'reason', '')}")
    return UserError(f"{what}: the cluster must answer there, but: {str(error).partition(chr(10))[0]}; HOST=https://…")
