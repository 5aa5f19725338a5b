"""The REST API of an MLflow tracking server (mlflow.org/docs, REST API): no image has MLflow's own client."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from kfp_bayesopt.errors import UserError, shortened, shown

Json = dict[str, Any]

AT_ONCE = 8
"""Requests at the same time; a server with SQLite gets no faster with more."""
TIMEOUT = (10, 60)  # to connect, and between two pieces of an answer
PAGE = 1000


class AbsentError(UserError):
    """There is no such thing on the server."""


class ThereError(UserError):
    """It is on the server already."""


class Api:
    """A tracking server.

    A request that got no answer, or one of a gateway that waited in vain (502, 504), is not sent again: what it asked
    for may have been done, and the next fold looks.
    """

    def __init__(self, uri: str) -> None:
        """Take the address, and credentials from the environment as MLflow's client does."""
        self.uri = uri.rstrip("/")
        self._session = requests.Session()
        patience = Retry(
            total=6, connect=3, read=0, backoff_factor=0.5, status_forcelist=(429, 503),
            allowed_methods=None, raise_on_status=False,
        )  # fmt: skip
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=AT_ONCE, max_retries=patience))
        if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
            self._session.headers["Authorization"] = f"Bearer {token}"
        elif user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
            self._session.auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
        if certificate := os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"):
            self._session.verify = certificate

    def get(self, method: str, **query: Any) -> Json:
        """Ask for something.

        Raises:
            AbsentError: It is not there.
            UserError: The server refuses it, or does not answer.
        """
        return self._ask("GET", method, params=query)

    def post(self, method: str, **body: Any) -> Json:
        """Write something.

        Raises:
            AbsentError: What it is to be written to is not there.
            ThereError: It is there already.
            UserError: The server refuses it, or does not answer.
        """
        return self._ask("POST", method, json=body)

    def pages(self, method: str, field: str, **body: Any) -> Iterator[Json]:
        """Yield each thing of a search."""
        token = None
        while True:
            page = self.post(method, **body, max_results=PAGE, **({"page_token": token} if token else {}))
            yield from page.get(field, [])
            token = page.get("next_page_token")
            if not token:
                return

    def _ask(self, verb: str, method: str, **content: Any) -> Json:
        where = f"{self.uri}/api/2.0/mlflow/{method}"
        try:
            answer = self._session.request(verb, where, timeout=TIMEOUT, allow_redirects=False, **content)
        except requests.RequestException as error:
            raise UserError(f"MLflow at {self.uri} does not answer ({_reason(error)})") from None
        try:
            found = answer.json()
        except ValueError:
            found = None
        if answer.status_code == 200 and isinstance(found, dict):
            return found
        code, said = (found.get("error_code"), found.get("message")) if isinstance(found, dict) else (None, None)
        what = f"{method}: {shortened(str(said or answer.text or answer.reason), 300)}"
        if code == "RESOURCE_DOES_NOT_EXIST":
            raise AbsentError(f"MLflow at {self.uri}: {what}")
        if code == "RESOURCE_ALREADY_EXISTS":
            raise ThereError(f"MLflow at {self.uri}: {what}")
        if answer.status_code in (401, 403):
            raise UserError(
                f"MLflow at {self.uri}: permission denied; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
                "or MLFLOW_TRACKING_TOKEN"
            )
        if code is None:
            raise UserError(f"{self.uri} does not answer as a server of MLflow does (status {answer.status_code})")
        raise UserError(f"MLflow at {self.uri}: refused {what} ({shown(code)})")


def _reason(error: requests.RequestException) -> str:
    """Return the innermost reason, without the address and the objects that libraries put around it."""
    inner: BaseException = error
    while inner.args and isinstance(inner.args[0], BaseException):
        inner = inner.args[0]
    inner = getattr(inner, "reason", inner) if isinstance(getattr(inner, "reason", None), BaseException) else inner
    return shortened(type(inner).__name__, 100)
