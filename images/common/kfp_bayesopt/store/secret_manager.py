"""Secrets of Google Cloud's Secret Manager."""

from __future__ import annotations

import base64

from kfp_bayesopt import extras
from kfp_bayesopt.errors import UserError

# https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
SERVICE = "https://secretmanager.googleapis.com/v1"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
ATTEMPTS = 6
SECONDS = 30


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
