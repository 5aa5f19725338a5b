"""Tells a webhook how a study has ended, once: from the process that writes its results, after they are safe.

The address is a secret, and is in no message. It must be public: a study file must not make our account ask services
of a cluster or the metadata of a machine. All addresses of the host are checked, and the connection goes to one of
those that were; no redirect is followed.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import logging
import os
import socket
from urllib.parse import urlsplit

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.folder.results import Best
from kfp_bayesopt.folder.study_folder import StudyFolder
from kfp_bayesopt.folder.trials import Trials
from kfp_bayesopt.report.privacy import Privacy
from kfp_bayesopt.store.certificates import trusting
from kfp_bayesopt.store.secret_manager import secret_of
from kfp_bayesopt.study.environment import FromEnvironment, Secret

SECONDS = 10.0
LONGEST = 500
WHERE = "notify.webhook"

logger = logging.getLogger(__name__)


def notify(folder: StudyFolder, trials: Trials, best: Best, failure: str | None) -> None:
    """Tell the webhook of a study how it has ended; a webhook that does not take it is a warning.

    Args:
        folder: The study folder.
        trials: Its trials.
        best: The best trial.
        failure: The reason that the study has failed; None if it has not.
    """
    asked = folder.study.notify
    event = "end" if failure is None else "failure"
    if asked is None or event not in asked.on:
        return
    said = said_of(folder, trials, best, failure)
    body = {"text": said["text"]} if asked.form == "slack" else {**said, "event": event}
    try:
        _post(_address(asked.webhook), json.dumps(body).encode())
    except UserError as error:
        logger.warning("%s was not told that the study has ended: %s", WHERE, error.message)
    else:
        logger.info("%s was told that the study has ended", WHERE)


def said_of(folder: StudyFolder, trials: Trials, best: Best, failure: str | None) -> dict[str, object]:
    """Return what is said, without paths, hosts and addresses."""
    study = folder.study
    # Names of a folder's parents may be those of people.
    privacy = Privacy(trials.ledger, [part for part in folder.root.split("/") if part and part != study.name])
    counts = f"{best.completed} of {study.budget} trials completed, {best.failed} failed"
    found = f"best {next(iter(study.goals))} {best.value:.6g} in trial {best.trial}; " if best.value is not None else ""
    reason = None if failure is None else privacy.text(failure.split("\n")[0])[:LONGEST]
    text = f"Study {study.name} {'succeeded' if failure is None else f'failed: {reason}'}. {found}{counts}."
    return {
        "text": text, "study": study.name, "fingerprint": study.fingerprint, "trial": best.trial, "value": best.value,
        "completed": best.completed, "failed": best.failed, "budget": study.budget, "reason": reason,
    }  # fmt: skip


def _address(webhook: FromEnvironment | Secret) -> str:
    if isinstance(webhook, Secret):
        return secret_of(webhook.secret, WHERE)
    found = os.environ.get(webhook.from_environment, "").strip()
    if not found:
        raise UserError(
            f"the variable {webhook.from_environment} is not set here; export it, or give it to the container"
        )
    return found


def _post(address: str, body: bytes) -> None:
    """Send something to a public address.

    Raises:
        UserError: It is none, or does not take it; the message does not have the address.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        parts, host, port = urlsplit(""), None, 443
    if parts.scheme != "https" or not host or parts.username is not None:
        raise UserError("its address must be https://HOST/PATH")
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    connection = _Checked(host, port, timeout=SECONDS)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"it does not answer ({type(error).__name__})") from None
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise UserError(f"it answers with status {status}; check the address, and that the hook still exists")


class _Checked(http.client.HTTPConnection):
    """A connection, always with TLS, to an address of a host that was found to be public."""

    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        """Connect to an address that was checked, with the certificate of the host."""
        address = public_address(self.host, self.port)
        plain = socket.create_connection((address, self.port), self.timeout)
        self.sock = trusting().wrap_socket(plain, server_hostname=self.host)


def public_address(host: str, port: int) -> str:
    """Return an address of a host all of whose addresses are public.

    Raises:
        UserError: One is not: it is inside of a network, of a machine, or of a service for its metadata.
    """
    try:
        found = [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        raise UserError("the host of its address is not known") from None
    for each in found:
        address = ipaddress.ip_address(each.partition("%")[0])
        inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
        if not (address.is_global and inner.is_global) or address.is_multicast:
            raise UserError("its address is not public; a webhook inside of a network is not called")
    return found[0]
