"""A KFP cluster, through the client of the KFP SDK."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kfp
from kfp_server_api import ApiException
from urllib3.exceptions import HTTPError

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.jobs import Job, Submitted
from kfp_bayesopt.session import NoAnswerError
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.images import Images
from kfp_bayesopt_pipeline.places import pipeline_spec
from kfp_bayesopt_pipeline.places.kfp import KfpSettings
from kfp_bayesopt_pipeline.places.protocol import Inputs, Options, RefusedError, States, inputs_of
from kfp_bayesopt_pipeline.preflight import checks, limits

RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Service:
    """The service of the place `kfp`; its jobs are what the API calls runs."""

    name = "kfp"
    final = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"})

    def __init__(self, settings: KfpSettings) -> None:
        self._settings = settings

    def problems(self, study: Study | None, images: Images, options: Options) -> list[str]:
        """Look at what Vertex alone has, at the cluster, the images and the bucket."""
        lines = limits.kfp_problems(study, self._settings.pipeline_root) if study is not None else []
        if options.labels:
            lines.append(f"{hints.LABEL}: jobs on a KFP cluster have no labels; leave it out")
        outside = checks.check_service(self._settings.host) if self._settings.host else []
        outside += checks.check_images(images, None)
        # Without network, Cloud Storage would be asked for two minutes.
        return lines + (outside or checks.check_bucket(self._settings.pipeline_root))

    def submit(self, study: Study, job: Job, root: str, compiled: Path, options: Options) -> Submitted:
        """Submit the compiled pipeline of a study; the run has the id of the job as its name."""
        settings = self._settings
        client = self._client
        with _api_errors(settings.host), contextlib.redirect_stdout(io.StringIO()):  # it prints links, as we do
            run = client.create_run_from_pipeline_package(
                str(compiled),
                arguments={"root": root, "job": job.job},
                run_name=options.run_name or job.job,
                experiment_name=settings.experiment_name or None,
                namespace=settings.namespace or None,
                pipeline_root=settings.pipeline_root,
                enable_caching=False,  # the records are the cache
            )
        return Submitted(id=run.run_id, page=f"{settings.host.rstrip('/')}/#/runs/details/{run.run_id}")

    def find(self, job: str) -> Any:
        """Ask for a run by its id, or by its name, which is our id unless the person gave it another one."""
        client = self._client
        with _api_errors(f"job {job}"):
            if not RUN_ID.fullmatch(job):
                named = {"operation": "EQUALS", "key": "display_name", "stringValue": job}
                runs = client.list_runs(
                    filter=json.dumps({"predicates": [named]}),
                    sort_by="created_at desc",
                    page_size=1,
                    namespace=self._settings.namespace or None,
                ).runs
                if not runs:
                    raise UserError(f"job {job}: the cluster has no such job; check the id and the host")
                job = runs[0].run_id
            return client.get_run(job)

    def cancel(self, found: Any) -> None:
        """Ask the cluster to stop a run."""
        with _api_errors(f"job {found.run_id}"):
            self._client.terminate_run(found.run_id)

    def states(self, found: Any) -> States:
        """Return the states of a run."""
        titles = pipeline_spec.titles(_spec(found))
        tasks = [task for task in _tasks(found) if task.display_name in titles]
        return States(_state(found), [(titles[task.display_name], _state(task)) for task in tasks])

    def reason(self, found: Any) -> str:
        """Return why a run failed, where the cluster says it."""
        errors = [each.error.message for each in (found, *_tasks(found)) if each.error and each.error.message]
        return " ".join(dict.fromkeys(errors)) or "the logs of its pods say why"

    def inputs(self, found: Any) -> Inputs:
        """Return the study folder of a run and the id of its job there."""
        return inputs_of(found.run_id, (found.runtime_config and found.runtime_config.parameters) or {})

    @functools.cached_property
    def _client(self) -> Any:
        """Connect to the cluster.

        Raises:
            UserError: It does not answer, or refuses the token.
        """
        settings = self._settings
        if lines := checks.check_service(settings.host):
            raise UserError("\n".join(lines))
        with _api_errors(settings.host), warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)  # it works with KFP 2 alone, as we do
            return kfp.Client(
                host=settings.host, existing_token=settings.token or None, namespace=settings.namespace or "kubeflow"
            )


def _state(run_or_task: Any) -> str:
    return str(run_or_task.state or "PENDING")


def _tasks(run: Any) -> list[Any]:
    return (run.run_details.task_details if run.run_details else None) or []


def _spec(run: Any) -> dict[str, Any]:
    given: dict[str, Any] = run.pipeline_spec or {}
    spec: dict[str, Any] = given.get("pipeline_spec", given)  # beside `platform_spec`, where there is one
    return spec


@contextlib.contextmanager
def _api_errors(what: str) -> Iterator[None]:
    """Turn an answer of the API that a person can act on into one message."""
    try:
        yield
    except (ApiException, HTTPError, OSError) as error:
        status = getattr(error, "status", None) or 0
        answer = f"{status} {getattr(error, 'reason', '')}".strip()
        if status in (401, 403):
            raise RefusedError(
                f"{what}: the cluster refused the token ({answer}); set KFP_TOKEN to a new one"
            ) from None
        if status == 404:
            raise UserError(f"{what}: the cluster has no such job; check the id and the host") from None
        if 400 <= status < 500:
            raise UserError(f"{what}: refused: {answer}") from None
        cause = answer if status else str(error).partition("\n")[0]
        raise NoAnswerError(f"{what}: no answer from the cluster ({cause})") from None
