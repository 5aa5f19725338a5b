"""A KFP cluster, through the client of the KFP SDK."""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kfp
from kfp_server_api import ApiException
from urllib3.exceptions import HTTPError

from bayesopt import gcs
from bayesopt.errors import UserError
from bayesopt.study import Study
from pipeline.images import Images
from pipeline.preflight import checks
from pipeline.targets import pipeline_spec
from pipeline.targets.jobs import hint
from pipeline.targets.protocol import RESULTS, NoAnswerError, Options, States, Submitted, new_job_id
from pipeline.targets.settings import KfpSettings
from pipeline.targets.uploads import upload_study


class Service:
    """The target `kfp`; its jobs are what the API calls runs."""

    name = "kfp"
    final = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"})

    def __init__(self, settings: KfpSettings) -> None:
        self._settings = settings

    def problems(self, study: Study | None, images: Images, options: Options) -> list[str]:
        """Look at what Vertex alone has, at the cluster, the images and the bucket."""
        lines = []
        if study is not None and study.steps.evaluate.machine_type is not None:
            lines.append("steps.evaluate: machine_type and spot work on Vertex only; give cpu and memory instead")
        if options.labels:
            lines.append("--label: jobs on a KFP cluster have no labels; leave it out")
        outside = checks.check_service(self._settings.host) if self._settings.host else []
        outside += checks.check_images(images, None)
        # Without network, Cloud Storage would be asked for two minutes.
        return lines + (outside or checks.check_bucket(self._settings.pipeline_root))

    def submit(self, study: Study, path: Path, compiled: Path, options: Options) -> Submitted:
        """Upload a study file and submit its compiled pipeline."""
        settings = self._settings
        client = self._client
        uri = upload_study(path, settings.pipeline_root)
        with _api_errors(settings.host), contextlib.redirect_stdout(io.StringIO()):  # it prints links, as we do
            run = client.create_run_from_pipeline_package(
                str(compiled),
                arguments={"study_uri": uri},
                run_name=options.run_name or new_job_id(study),
                experiment_name=settings.experiment_name or None,
                namespace=settings.namespace or None,
                pipeline_root=settings.pipeline_root,
                enable_caching=options.cache,
            )
        return Submitted(run.run_id, f"{settings.host.rstrip('/')}/#/runs/details/{run.run_id}")

    def find(self, job: str) -> Any:
        """Ask for a run by its id."""
        client = self._client
        with _api_errors(f"job {job}"):
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

    def outputs(self, found: Any) -> dict[str, str]:
        """Return the URI of each result, from the last task that wrote all of them.

        The API does not say where outputs are. A cluster puts them at ROOT/PIPELINE/RUN/TASK/SOMETHING/OUTPUT; those of
        a task that came from the cache lie with the run that made them.
        """
        spec = _spec(found)
        root = (found.runtime_config and found.runtime_config.pipeline_root) or self._settings.pipeline_root
        folder = f"{root.rstrip('/')}/{spec.get('pipelineInfo', {}).get('name')}/{found.run_id}"
        for task in pipeline_spec.tasks_with_results(spec):
            attempts: dict[str, dict[str, str]] = {}
            for uri in gcs.find(f"{folder}/{task}/"):
                attempt, _, output = uri.rpartition("/")
                attempts.setdefault(attempt, {})[output] = uri
            for outputs in attempts.values():
                if set(RESULTS) <= set(outputs):
                    return {output: outputs[output] for output in RESULTS}
        raise UserError(
            f"job {found.run_id}: no results under {folder}: no iteration has ended, or all of them came from the "
            f"cache; {hint('status', self, found.run_id)}"
        )

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
            raise UserError(f"{what}: the cluster refused the token ({answer}); set KFP_TOKEN to a new one") from None
        if status == 404:
            raise UserError(f"{what}: the cluster has no such job; check the id and the host") from None
        if 400 <= status < 500:
            raise UserError(f"{what}: refused: {answer}") from None
        cause = answer if status else str(error).partition("\n")[0]
        raise NoAnswerError(f"{what}: no answer from the cluster ({cause})") from None
