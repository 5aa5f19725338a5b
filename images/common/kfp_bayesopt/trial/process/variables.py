"""The variables of an objective: text, those of this machine, and secrets of Google Cloud's Secret Manager."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from kfp_bayesopt import extras
from kfp_bayesopt.errors import UserError
from kfp_bayesopt.study.environment import SHORTEST_SECRET, FromEnvironment, Secret, Variable

# https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
SERVICE = "https://secretmanager.googleapis.com/v1"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
ATTEMPTS = 6
SECONDS = 30


@dataclass
class Variables:
    """The variables of an objective, and those of their values that must not be shown."""

    values: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)


def resolve(env: Mapping[str, Variable], ours: Mapping[str, str] | None = None) -> Variables:
    """Return the value of each variable.

    Args:
        env: The variables in the study file.
        ours: The environment of this process.

    Raises:
        UserError: One is missing, or a secret cannot be fetched.
    """
    ours = os.environ if ours is None else ours
    found = Variables()
    for name, variable in env.items():
        if isinstance(variable, str):
            found.values[name] = variable
            continue
        value = _from(variable, ours, f"objective.env.{name}")
        if isinstance(variable, FromEnvironment) and not variable.secret:
            found.values[name] = value
            continue
        if len(value) < SHORTEST_SECRET:
            raise UserError(
                f"objective.env.{name}: a secret must have at least {SHORTEST_SECRET} characters, so that it can be "
                f"hidden in what is printed, but got {len(value)}; give a public value as text, or say secret: false"
            )
        found.values[name] = value
        found.secrets.append(value)
    return found


def _from(variable: FromEnvironment | Secret, ours: Mapping[str, str], where: str) -> str:
    if isinstance(variable, Secret):
        return secret_of(variable.secret, where)
    if variable.from_environment not in ours:
        raise UserError(
            f"{where}: the variable {variable.from_environment} is not set where the trial is evaluated; export it, or "
            "give it to the container"
        )
    return ours[variable.from_environment]


def secret_of(name: str, where: str) -> str:
    """Return the value of a secret.

    Raises:
        UserError: It cannot be fetched; `where` begins the message.
    """
    with extras.needed_by(f"{where}: the secret {name}", "gcs"):
        # Imported only when needed: they take half a second.
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import AuthorizedSession
        from requests.adapters import HTTPAdapter
        from requests.exceptions import RequestException
        from urllib3 import Retry

    try:
        credentials, _ = google.auth.default(scopes=[SCOPE])
        session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
        retry = Retry(ATTEMPTS, backoff_factor=1, status_forcelist=[429, 500, 502, 503, 504], raise_on_status=False)
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        answer = session.get(f"{SERVICE}/{name}:access", timeout=SECONDS)
    except (GoogleAuthError, RequestException) as error:
        raise UserError(f"{where}: cannot fetch the secret {name}: {error}") from None
    if answer.status_code != 200:
        way_out = {
            403: "grant roles/secretmanager.secretAccessor to the account that the trials run as",
            404: "check its name and version",
        }.get(answer.status_code, "try again")
        raise UserError(f"{where}: cannot fetch the secret {name}: status {answer.status_code}; {way_out}")
    return base64.b64decode(answer.json()["payload"]["data"]).decode(errors="surrogateescape")
