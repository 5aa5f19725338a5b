"""Vertex AI Pipelines: submits a study, follows it, stops it, and fetches its results."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import google.auth
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request
from google.cloud import aiplatform
from google.cloud.aiplatform.utils import gcs_utils
from google.cloud.aiplatform_v1.types import PipelineState, PipelineTaskDetail
from requests import RequestException

from bayesopt import storage
from bayesopt.errors import UserError
from bayesopt.study import Study
from pipeline.targets.uploads import upload_study

# Outputs of `update`, and the files that a person gets.
RESULTS = {"best": "best.json", "next_ledger": "trials.jsonl", "next_optimizer": "optimizer.dill"}
FINAL = {"SUCCEEDED", "FAILED", "CANCELLED", "PAUSED"}


LOOKS = 5  # how often a service may give no answer while we follow a job; each time the client tries for two minutes


class NoAnswerError(UserError):
    """The service cannot be reached, or has a fault of its own: the same call may go through later."""


@dataclass(frozen=True)
class Vertex:
    """Where on Vertex a study runs, and as whom.

    Attributes:
        project: Google Cloud project.
        region: As `europe-west1`.
        credentials_path: Key file of a service account; else the application default credentials.
        endpoint: Another address of the API; `http://` ones are spoken to without credentials.
    """

    project: str
    region: str
    credentials_path: str | None = None
    endpoint: str | None = None

    @property
    def address(self) -> str:
        """The address of the API."""
        return self.endpoint or f"https://{self.region}-aiplatform.googleapis.com"

    def connect(self) -> None:
        """Set the client libraries up, that of Cloud Storage too.

        Raises:
            UserError: There are no credentials.
        """
        if self.credentials_path is not None:
            os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = self.credentials_path  # where Cloud Storage looks
        # It prints what `submit` prints already.
        logging.getLogger("google.cloud.aiplatform.pipeline_jobs").setLevel(logging.WARNING)
        local = (self.endpoint or "").startswith("http://")
        aiplatform.init(
            project=self.project,
            location=self.region,
            credentials=AnonymousCredentials() if local else self._credentials(),
            api_endpoint=self.endpoint,
            api_transport="rest" if local else None,
        )

    def _credentials(self) -> Credentials:
        scopes = ["https://www.googleapis.com/auth/cloud-platform"]
        try:
            return google.auth.default(scopes=scopes)[0]
        except (GoogleAuthError, OSError) as error:
            raise UserError(
                f"credentials must be there, but: {str(error).splitlines()[0]}; run `gcloud auth application-default "
                "login`, or set GOOGLE_APPLICATION_CREDENTIALS"
            ) from None


def access_token() -> str | None:
    """Return an access token of the credentials that `connect` found; an `http://` endpoint needs none.

    Raises:
        UserError: They are no longer good.
    """
    credentials: Any = aiplatform.initializer.global_config.credentials
    if isinstance(credentials, AnonymousCredentials):
        return None
    with api_errors("credentials"):
        credentials.refresh(Request())
    return str(credentials.token)


@dataclass(frozen=True)
class Submission:
    """How a pipeline job is made.

    Attributes:
        pipeline_root: gs:// prefix of all that the steps write.
        service_account: As whom the steps run; else the project's default for Compute Engine.
        experiment: Vertex experiment that the job and its metrics are added to.
        network: VPC network that the steps are peered with, in full.
        encryption_key: Customer-managed key, in full.
        labels: Labels of the job.
        cache: Whether steps may take earlier outputs; else what the study says for each.
    """

    pipeline_root: str
    service_account: str | None = None
    experiment: str | None = None
    network: str | None = None
    encryption_key: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    cache: bool | None = None


def submit(vertex: Vertex, submission: Submission, study: Study, study_path: Path, compiled: Path) -> Any:
    """Upload a study, submit its compiled pipeline and return the job."""
    vertex.connect()
    with api_errors(f"submitting {study.name}"):
        uri = upload_study(study_path, submission.pipeline_root)
        job = aiplatform.PipelineJob(
            display_name=study.name,
            job_id=job_id(study.name, datetime.now(UTC)),
            template_path=str(compiled),
            pipeline_root=submission.pipeline_root,
            parameter_values={"study_uri": uri},
            enable_caching=submission.cache,
            encryption_spec_key_name=submission.encryption_key,
            labels={"study": study.name, **submission.labels},
        )
        # By its name alone, the client would hide why a job cannot be added to it.
        experiment = aiplatform.Experiment.get_or_create(submission.experiment) if submission.experiment else None
        with _bucket_left_alone():
            try:
                job.submit(
                    service_account=submission.service_account,
                    network=submission.network,
                    experiment=experiment,
                )
            except RuntimeError as error:  # as the client tells of experiments; why is its cause
                raise UserError(
                    f"job {job.job_id} was submitted, but must be added to the experiment {submission.experiment} by "
                    f"hand: {_first_line(error.__cause__ or error)}; `make status JOB={job.job_id}`"
                ) from None
    return job


@contextlib.contextmanager
def _bucket_left_alone() -> Iterator[None]:
    """Keep `submit` from making the bucket of the pipeline root, and from asking whose it is.

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


def job_id(name: str, now: datetime) -> str:
    """Return an id that the API takes: lower case letters, digits and hyphens, at most 128."""
    return f"{name}-{now:%Y%m%d-%H%M%S}"


def find(vertex: Vertex, job: str) -> Any:
    """Return a job by its id or its full name.

    Raises:
        UserError: There is no such job, or it may not be read.
    """
    vertex.connect()
    with api_errors(f"job {job}"):
        return aiplatform.PipelineJob.get(job)


def follow(job: Any, seconds: float) -> Iterator[str]:
    """Yield a line for each change of state of a job and its tasks, until the job has ended.

    A service that does not answer for a while is asked again: the job goes on without us.

    Args:
        job: The job.
        seconds: Pause between two looks.
    """
    seen: dict[str, str] = {}
    silent = 0
    while True:
        try:
            with api_errors(f"job {job.name}"):
                state = state_of(job)
        except NoAnswerError:
            silent += 1
            if silent > LOOKS:
                raise
            time.sleep(seconds)
            continue
        silent = 0
        for task, task_state in task_states(job).items():
            if seen.get(task) != task_state:
                seen[task] = task_state
                yield f"{datetime.now(UTC):%H:%M:%S}  {task}: {task_state}"
        if seen.get("") != state:
            seen[""] = state
            yield f"{datetime.now(UTC):%H:%M:%S}  {job.display_name}: {state}"
        if state in FINAL:
            return
        time.sleep(seconds)


def state_of(job: Any) -> str:
    """Ask for the state of a job, as `RUNNING`."""
    return str(PipelineState(job.state).name).removeprefix("PIPELINE_STATE_")


def reason(job: Any) -> str:
    """Return why a job failed, as the service says it."""
    errors = [task.error.message for task in job.gca_resource.job_detail.task_details if task.error.message]
    return " ".join([job.gca_resource.error.message, *errors]).strip() or "the service gave no reason"


def task_states(job: Any) -> dict[str, str]:
    """Return the state of each task by its name in the UI; trials of one iteration are counted together."""
    states: dict[str, list[str]] = {}
    for task in _tasks(job):
        states.setdefault(_display_name(job, task), []).append(PipelineTaskDetail.State(task.state).name)
    return {name: summary(found) for name, found in states.items()}


def summary(states: list[str]) -> str:
    """Return how many tasks are in which state, or the state of the only one."""
    if len(states) == 1:
        return states[0]
    return ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))


def _tasks(job: Any) -> list[Any]:
    """Return the tasks that are steps, in the order in which they began."""
    steps = re.compile(r"^(init|evaluate|update)(-\d+)?$")
    found = [task for task in job.gca_resource.job_detail.task_details if steps.match(task.task_name)]
    return sorted(found, key=lambda task: (task.create_time, task.task_id))


def _display_name(job: Any, task: Any) -> str:
    step, _, number = task.task_name.partition("-")
    return "init" if step == "init" else f"iteration {number or 1}: {step}"


def fetch(job: Any, out: Path) -> list[Path]:
    """Copy the best trial and the ledger of the last update that succeeded into a folder.

    Raises:
        UserError: No iteration of the job has ended.
    """
    updates = [
        task for task in _tasks(job) if task.task_name.startswith("update") and task.outputs and "best" in task.outputs
    ]
    if not updates:
        raise UserError(f"job {job.name}: an iteration must have ended, but none has; `make status JOB={job.name}`")
    outputs = max(updates, key=lambda task: int(task.task_name.partition("-")[2] or 1)).outputs
    written = []
    for name, file in RESULTS.items():
        storage.write(str(out / file), storage.read(outputs[name].artifacts[0].uri))
        written.append(out / file)
    return written


@contextlib.contextmanager
def api_errors(what: str) -> Iterator[None]:
    """Turn an answer of the API that a person can act on into one message."""
    try:
        yield
    except (exceptions.ServerError, exceptions.RetryError, TransportError, RequestException) as error:
        raise NoAnswerError(f"{what}: the service must be reached, but: {_first_line(error)}") from None
    except (exceptions.Unauthenticated, exceptions.Unauthorized, GoogleAuthError) as error:
        raise UserError(
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
    except exceptions.ClientError as error:
        raise UserError(f"{what}: refused: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    text = (getattr(error, "message", None) or str(error)).strip().partition("\n")[0]
    return re.sub(r"^[A-Z]+ https?://\S+: ", "", text)  # the REST transport puts the request before it
