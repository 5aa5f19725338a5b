"""The API of Vertex AI as JSON over HTTP: no image of a step has Google's client for it, and its many packages."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import google.auth
import requests
from google.api_core.exceptions import (
    Conflict,
    Forbidden,
    GoogleAPICallError,
    NotFound,
    Unauthorized,
    from_http_response,
)
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession

from kfp_bayesopt.errors import UnavailableError, UserError
from kfp_bayesopt.store import gcs
from kfp_bayesopt.store.patience import ask, short

Json = dict[str, Any]

TIMEOUT = (10, 60)  # to connect, and between two pieces of an answer
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
ENDPOINT = "VERTEX_ENDPOINT"
"""The variable with another address of the API; http:// ones get no credentials."""
# As aiplatform's own initializer.py reads them; Vertex sets the second of each in its containers.
PROJECTS = ("GOOGLE_CLOUD_PROJECT", "CLOUD_ML_PROJECT_ID")
REGIONS = ("GOOGLE_CLOUD_REGION", "CLOUD_ML_REGION")
_PIPELINE_JOB = re.compile(r"projects/([^/]+)/locations/([^/]+)/pipelineJobs/[^/]+")


class NotThereError(UserError):
    """There is no such resource."""


class ThereError(UserError):
    """A resource of this name is there already."""


class _RacedError(Exception):
    """Another one wrote the same at once."""


@dataclass(frozen=True)
class Api:
    """The API of a project and region.

    Attributes:
        project: Id or number of the project.
        region: The region.
        pipeline_job: The resource name of the pipeline job that asks; None outside of Vertex.
    """

    project: str
    region: str
    pipeline_job: str | None = None

    @classmethod
    def of(cls, pipeline_job: str, wanted: str) -> Api:
        """Return the API of the pipeline job that asks, else that of the environment.

        Args:
            pipeline_job: Its resource name; other services have other names.
            wanted: What needs it, for the message.

        Raises:
            UserError: Neither says project and region.
        """
        if found := _PIPELINE_JOB.fullmatch(pipeline_job):
            return cls(found[1], found[2], pipeline_job)
        project, region = (next(filter(None, map(os.environ.get, names)), None) for names in (PROJECTS, REGIONS))
        if project is None or region is None:
            raise UserError(
                f"{wanted} is a service of Vertex AI, but this is no job of Vertex; set {PROJECTS[0]} and "
                f"{REGIONS[0]}, or leave it out"
            )
        return cls(project, region)

    @property
    def parent(self) -> str:
        """The resource name of the region."""
        return f"projects/{self.project}/locations/{self.region}"

    def get(self, name: str, **query: Any) -> Json:
        """Get a resource.

        Raises:
            NotThereError: There is none.
            UserError: The service refuses it, or does not answer.
        """
        return self._ask("GET", name, None, query)

    def pages(self, name: str, field: str, **query: Any) -> Iterator[Json]:
        """Yield each resource of a list.

        Args:
            name: The collection.
            field: The key that answers have the resources under.
            query: What else is asked.

        Raises:
            NotThereError: There is no such collection.
            UserError: The service refuses it, or does not answer.
        """
        token = None
        while True:
            page = self.get(name, **query, **({"pageToken": token} if token else {}))
            yield from page.get(field, [])
            token = page.get("nextPageToken")
            if not token:
                return

    def post(self, name: str, body: Mapping[str, Any], is_repeatable: bool = True, **query: Any) -> Json:
        """Create a resource, or call a method of one.

        Args:
            name: The collection, or the method.
            body: What is sent.
            is_repeatable: It may be sent again where no answer comes, as a resource that is created under its name.
            query: What else is asked.

        Raises:
            ThereError: It is there already; a first answer may have been lost.
            NotThereError: There is none.
            UnavailableError: The service does not answer; what may not be sent twice may have been taken.
            UserError: The service refuses it.
        """
        return self._ask("POST", name, body, query, is_repeatable)

    def patch(self, name: str, body: Mapping[str, Any]) -> Json:
        """Replace what a resource says.

        Raises:
            UserError: The service refuses it, or does not answer.
        """
        return self._ask("PATCH", name, body, {})

    def _ask(
        self, method: str, name: str, body: Mapping[str, Any] | None, query: Mapping[str, Any], again: bool = True
    ) -> Json:
        def request() -> Json:
            try:
                return self._once(method, name, body, query)
            except Exception as fault:
                if again or not SERVICE.is_transient(fault):
                    raise
                raise UnavailableError(f"{name}: no answer from {SERVICE.name} ({SERVICE.plain(fault)})") from None

        return ask(SERVICE, name, request)

    def _once(self, method: str, name: str, body: Mapping[str, Any] | None, query: Mapping[str, Any]) -> Json:
        url = f"{self._address}/v1/{name}"
        answer = _session(self._address.startswith("http://")).request(
            method, url, json=body, params=query, timeout=TIMEOUT, allow_redirects=False
        )
        if answer.status_code != 200:
            if answer.status_code == 409 and '"ABORTED"' in answer.text:
                raise _RacedError(short(answer.text))
            fault = from_http_response(answer)  # type: ignore[no-untyped-call]
            if isinstance(fault, NotFound):
                raise NotThereError(f"{name}: not found ({gcs.SERVICE.plain(fault)}); check project and region")
            if isinstance(fault, Conflict):
                raise ThereError(f"{name}: is there already ({gcs.SERVICE.plain(fault)})")
            raise fault
        found: Json = answer.json()
        return found

    @property
    def _address(self) -> str:
        given = os.environ.get(ENDPOINT, "").rstrip("/") or f"{self.region}-aiplatform.googleapis.com"
        return given if "://" in given else f"https://{given}"


@functools.cache
def _session(is_plain: bool) -> requests.Session:
    if is_plain:
        return requests.Session()
    credentials, _ = google.auth.default(scopes=[SCOPE])
    return AuthorizedSession(credentials)  # type: ignore[no-untyped-call]


def _refusal(name: str, fault: Exception) -> UserError | None:
    """Return the message for a fault that only a person can mend; None if it is not of the service."""
    if isinstance(fault, Forbidden | Unauthorized):
        return UserError(
            f"{name}: permission denied ({gcs.SERVICE.plain(fault)}); grant roles/aiplatform.user on the project to "
            "the account that the steps run as"
        )
    if isinstance(fault, GoogleAuthError):
        return UserError(
            f"{name}: no valid Google Cloud credentials ({gcs.SERVICE.plain(fault)}); run `gcloud auth "
            "application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
        )
    if isinstance(fault, GoogleAPICallError | requests.RequestException):
        return UserError(f"{name}: Vertex AI refused the request ({gcs.SERVICE.plain(fault)})")
    return None


def _is_transient(fault: BaseException) -> bool:
    """Tell whether a retry may help: as for storage, and where two wrote the same at once."""
    return isinstance(fault, _RacedError) or gcs.SERVICE.is_transient(fault)


SERVICE = replace(gcs.SERVICE, name="Vertex AI", is_transient=_is_transient, refusal=_refusal)
