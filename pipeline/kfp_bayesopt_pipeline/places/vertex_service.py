"""Vertex AI Pipelines, through Google's client library."""

from __future__ import annotations

import contextlib
import difflib
import functools
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import google.auth
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request
from google.cloud import aiplatform
from google.cloud.aiplatform.constants.base import SUPPORTED_REGIONS
from google.cloud.aiplatform.utils import gcs_utils
from google.cloud.aiplatform_v1.types import PipelineJob, PipelineState, PipelineTaskDetail
from google.protobuf import json_format
from requests import RequestException

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.jobs import Submitted
from kfp_bayesopt.session import NoAnswerError
from kfp_bayesopt.study.study import Study
from kfp_bayesopt_pipeline.images import Images
from kfp_bayesopt_pipeline.places.protocol import Inputs, Options, RefusedError, States, inputs_of, titles_of
from kfp_bayesopt_pipeline.places.vertex import VertexSettings
from kfp_bayesopt_pipeline.preflight import checks, limits


class Service:
    """The service of the place `vertex`."""

    name = "vertex"
    final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "PAUSED"})

    def __init__(self, settings: VertexSettings) -> None:
        self._settings = settings
        self._address = settings.endpoint or f"https://{settings.region}-aiplatform.googleapis.com"
        # A stand-in on this machine: it is spoken to over plain HTTP and gets no credentials.
        self._is_plain = settings.endpoint.startswith("http://")

    def problems(self, study: Study | None, images: Images, options: Options) -> list[str]:
        """Look at the service, the credentials, the images and the bucket."""
        settings = self._settings
        lines = self._unreachable() if settings.project_id and settings.region else []
        beyond = self._limits(study, options) if study is not None else []
        if study is not None and study.objectives and settings.register:
            beyond.append("register: a study of several objectives has no best trial whose model could be registered")
        token = None
        try:
            credentials = self._credentials
            if not lines:
                token = _access_token(credentials)
        except UserError as error:
            lines.append(error.message)
        lines += checks.check_images(images, token)
        # Without credentials or network, Cloud Storage would be asked for two minutes.
        return beyond + (lines or checks.check_bucket(settings.pipeline_root, "docs/vertex-setup.sh creates one"))

    def _limits(self, study: Study, options: Options) -> list[str]:
        quota = int(self._settings.jobs_a_minute or limits.JOBS_A_MINUTE)
        labels = len(_labels(study, options))
        return limits.vertex_problems(study, self._settings.pipeline_root, quota, labels, options.run_name or "")

    def unreached(self, root: str) -> str | None:
        """Return nothing: a bucket is reached from everywhere."""
        return None

    def jobs_of(self, root: str) -> dict[str, bool]:
        """Return nothing: the study folder says it."""
        return {}

    def submit(
        self, study: Study, job: str, root: str, compiled: Path, options: Options, along: Mapping[str, str]
    ) -> Submitted:
        """Submit the compiled pipeline of a study under the id of its job."""
        settings = self._settings
        self._connect()
        labels = _labels(study, options)
        inputs: dict[str, Any] = {"root": root, "job": job, **along}
        inputs |= settings.shared
        if study.steps.evaluate.machine_type is not None:
            inputs |= {**settings.of_custom_jobs(), "labels": labels}
        with _api_errors(f"submitting {study.name}"):
            sent = aiplatform.PipelineJob(
                display_name=options.run_name or study.name,
                job_id=job,
                template_path=str(compiled),
                pipeline_root=settings.pipeline_root,
                parameter_values=inputs,
                enable_caching=False,  # the records are the cache
                encryption_spec_key_name=settings.encryption_key or None,
                labels=labels,
            )
            # By its name alone, the client would hide why a job cannot be added to it.
            name = settings.experiment_name
            experiment = aiplatform.Experiment.get_or_create(name) if name else None
            with _bucket_left_alone():
                try:
                    sent.submit(
                        service_account=settings.service_account or None,
                        network=settings.network or None,
                        experiment=experiment,
                    )
                except RuntimeError as error:  # this is how the client reports experiments; its cause says why
                    raise UserError(
                        f"job {job} was submitted, but could not be added to the experiment {name}: "
                        f"{_first_line(error.__cause__ or error)}; add it by hand, and follow it with "
                        f"`{hints.STATUS(target=self.name, job=job)}`"
                    ) from None
        return Submitted(id=sent.name, page=sent._dashboard_uri())

    def find(self, job: str) -> PipelineJob:
        """Ask for a job by its id or its full name."""
        self._connect()
        with _api_errors(f"job {job}"):
            try:
                found: PipelineJob = aiplatform.PipelineJob.get(job).gca_resource
            except ValueError:  # the client checks the form of a name before it asks
                raise UserError(f"job {job}: not the id of a job, such as branin-20260101-120000") from None
        return found

    def cancel(self, found: PipelineJob) -> None:
        """Ask the service to stop a job."""
        with _api_errors(f"job {found.name}"):
            aiplatform.PipelineJob.get(found.name).cancel()

    def states(self, found: PipelineJob) -> States:
        """Return the states of a job."""
        titles = titles_of(_spec(found))
        tasks = [task for task in found.job_detail.task_details if task.task_name in titles]
        tasks.sort(key=lambda task: (task.create_time, task.task_id))
        return States(
            PipelineState(found.state).name.removeprefix("PIPELINE_STATE_"),
            [(titles[task.task_name], PipelineTaskDetail.State(task.state).name) for task in tasks],
        )

    def reason(self, found: PipelineJob) -> str:
        """Return why a job failed, in the words of the service."""
        errors = [found.error.message, *(task.error.message for task in found.job_detail.task_details)]
        return " ".join(dict.fromkeys(filter(None, errors))) or "the service gave no reason"

    def remarks(self, found: PipelineJob) -> list[str]:
        """Return nothing: the service says no more of a job."""
        return []

    def inputs(self, found: PipelineJob) -> Inputs:
        """Return the study folder of a job and its id there."""
        return inputs_of(found.name.rpartition("/")[2], dict(found.runtime_config.parameter_values))

    @functools.cached_property
    def _credentials(self) -> Credentials:
        if self._is_plain:
            return AnonymousCredentials()
        try:
            return google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])[0]
        except (GoogleAuthError, OSError, ValueError) as error:
            cause = _first_line(error)
        except AttributeError:  # of a list, for example, it asks for keys
            cause = "the key file holds no JSON object"
        raise UserError(
            f"no Google Cloud credentials found: {cause}; run `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS"
        )

    @functools.cached_property
    def _connected(self) -> bool:
        if lines := self._unreachable():
            raise UserError("\n".join(lines))
        # It prints what `submit` prints already.
        logging.getLogger("google.cloud.aiplatform.pipeline_jobs").setLevel(logging.WARNING)
        aiplatform.init(
            project=self._settings.project_id,
            location=self._settings.region,
            credentials=self._credentials,
            api_endpoint=self._settings.endpoint or None,
            api_transport="rest" if self._is_plain else None,
        )
        return True

    def _connect(self) -> None:
        """Set the client library up, once.

        Raises:
            UserError: The service cannot be reached, or there are no credentials.
        """
        assert self._connected

    def _unreachable(self) -> list[str]:
        """Return why the service cannot be reached, if so; the client would try for minutes."""
        region = self._settings.region
        if region not in SUPPORTED_REGIONS:  # the client refuses any other
            near = difflib.get_close_matches(region, SUPPORTED_REGIONS, 1)
            known = f"did you mean {near[0]!r}?" if near else f"known regions: {', '.join(sorted(SUPPORTED_REGIONS))}"
            return [f"region: Vertex AI has no region {region!r}; {known}"]
        return checks.check_service(self._address)


def _labels(study: Study, options: Options) -> dict[str, str]:
    return {"study": study.name, "fingerprint": study.fingerprint, **options.labels}


def _access_token(credentials: Credentials) -> str | None:
    """Return an access token for the registries of Google.

    Raises:
        UserError: The credentials are no longer good.
    """
    if isinstance(credentials, AnonymousCredentials):
        return None
    with _api_errors("credentials"):
        credentials.refresh(Request())
    return str(credentials.token)


def _spec(found: PipelineJob) -> dict[str, Any]:
    spec: dict[str, Any] = json_format.MessageToDict(PipelineJob.pb(found).pipeline_spec)
    return spec


@contextlib.contextmanager
def _bucket_left_alone() -> Iterator[None]:
    """Keep `submit` from creating the bucket of the pipeline root, and from asking whose it is.

    We have just written the study there. The question goes to Resource Manager, needs a role that submitting does
    not, waits a minute where that cannot be reached, and its refusal is logged as a traceback.
    """
    name = "create_gcs_bucket_for_pipeline_artifacts_if_it_does_not_exist"
    original = getattr(gcs_utils, name)
    setattr(gcs_utils, name, lambda **_: None)
    try:
        yield
    finally:
        setattr(gcs_utils, name, original)


@contextlib.contextmanager
def _api_errors(what: str) -> Iterator[None]:
    """Turn an answer of the API that a person can act on into one message."""
    try:
        yield
    except (exceptions.ServerError, exceptions.RetryError, TransportError, RequestException) as error:
        raise NoAnswerError(f"{what}: no answer from Vertex AI ({_first_line(error)})") from None
    except (exceptions.Unauthenticated, exceptions.Unauthorized, GoogleAuthError) as error:
        raise RefusedError(
            f"{what}: the credentials were refused ({_first_line(error)}); run `gcloud auth application-default login`"
        ) from None
    except (exceptions.PermissionDenied, exceptions.Forbidden) as error:
        raise UserError(
            f"{what}: permission denied ({_first_line(error)}); grant roles/aiplatform.user on the project, and "
            "roles/iam.serviceAccountUser on the service account of the steps"
        ) from None
    except (exceptions.ResourceExhausted, exceptions.TooManyRequests) as error:
        raise UserError(
            f"{what}: a quota is used up ({_first_line(error)}); wait, lower max_parallel, or ask for more"
        ) from None
    except exceptions.NotFound as error:
        raise UserError(f"{what}: not found ({_first_line(error)}); check the id, the project and the region") from None
    except exceptions.ClientError as error:
        raise UserError(f"{what}: refused: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    text = getattr(error, "message", None) or ": ".join(
        str(part) for part in error.args if isinstance(part, str | Exception)
    )
    # The REST transport puts the request before it.
    return re.sub(r"^[A-Z]+ https?://\S+: ", "", text.strip().partition("\n")[0].rstrip("."))
