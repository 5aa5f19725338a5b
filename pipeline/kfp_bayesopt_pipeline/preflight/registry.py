"""Asks an image registry whether it has an image, and what its labels are."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from typing import Any

from kfp_bayesopt import hints

GOOGLE = re.compile(r"(.+\.)?(pkg\.dev|gcr\.io)")
LOOPBACK = re.compile(r"(localhost|127\.0\.0\.\d+|\[::1\])(:\d+)?")
SECONDS = 20
LARGEST = 4_000_000
"""The largest manifest that a registry has to take (https://github.com/opencontainers/distribution-spec)."""
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)


def missing(image: str, token: str | None) -> str | None:
    """Return the reason an image cannot be pulled, or None if it can, as far as this machine can tell.

    Args:
        image: Its name with the registry, and a tag or a digest.
        token: An access token of Google, for registries of Google.
    """
    host, repository, reference = _parts(image)
    if host is None:
        return f"{image}: no registry in the name of the image, so that nobody can pull it; `{hints.PUSH_TO}`"
    try:
        return _ask(f"{repository}/manifests/{reference}", token if GOOGLE.fullmatch(host) else None, image)
    except (OSError, HTTPException, ValueError) as error:  # the last two: what answers there is no registry
        return f"{image}: no answer from the registry {host}: {str(getattr(error, 'reason', error)).strip()}"


def labels_of(image: str) -> dict[str, str] | None:
    """Return the labels of an image for Linux; None if the registry does not tell anybody.

    Args:
        image: Its name with the registry, and a tag or a digest.
    """
    host, repository, reference = _parts(image)
    if host is None:
        return None
    try:
        manifest = _read(f"{repository}/manifests/{reference}")
        if "manifests" in manifest:  # of several platforms, and of what attests to them
            whose = [each["digest"] for each in manifest["manifests"] if each["platform"]["os"] == "linux"]
            manifest = _read(f"{repository}/manifests/{whose[0]}")
        labels = _read(f"{repository}/blobs/{manifest['config']['digest']}")["config"].get("Labels") or {}
        return {str(name): str(value) for name, value in labels.items()}
    except (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError):
        return None


def _parts(image: str) -> tuple[str | None, str, str]:
    """Return the host of an image, the address of its repository, and its tag or digest; no host if it has none."""
    host, _, rest = image.partition("/")
    if not rest or not ("." in host or ":" in host or host == "localhost"):
        return None, "", ""
    name, _, reference = rest.partition("@") if "@" in rest else rest.rpartition(":")
    scheme = "http" if LOOPBACK.fullmatch(host) else "https"
    return host, f"{scheme}://{host}/v2/{name.partition(':')[0]}", reference


def _read(url: str, token: str | None = None) -> Any:
    """Return a document of a registry."""
    request = urllib.request.Request(url, headers={"Accept": MANIFESTS})  # noqa: S310
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")  # contents may be elsewhere
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return json.loads(answer.read(LARGEST))
    except urllib.error.HTTPError as error:
        error.close()
        challenge = error.headers.get("WWW-Authenticate", "")
        if error.code == 401 and token is None and challenge.startswith("Bearer "):
            return _read(url, _anonymous_token(challenge))
        raise


def _ask(url: str, token: str | None, image: str) -> str | None:
    headers = {"Accept": MANIFESTS} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers, method="HEAD"), timeout=SECONDS):  # noqa: S310
            return None
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return f"{image}: the registry has no such image; `{hints.PUSH}`"
        if error.code in (401, 403) and token:
            return (
                f"{image}: permission denied ({error.code}); grant roles/artifactregistry.reader to the account that "
                "submits and to the one that the steps run as"
            )
        challenge = error.headers.get("WWW-Authenticate", "")
        if error.code == 401 and token is None and challenge.startswith("Bearer "):
            return _ask(url, _anonymous_token(challenge), image)
    return None  # a registry that wants a password: whether the cluster has it cannot be told from here


def _anonymous_token(challenge: str) -> str:
    """Fetch the token that a registry requires even for public images."""
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    if urllib.parse.urlsplit(fields.get("realm", "")).scheme not in ("http", "https"):
        raise ValueError(f"it names no token service: {challenge}")
    query = urllib.parse.urlencode({key: fields[key] for key in ("service", "scope") if key in fields})
    with urllib.request.urlopen(f"{fields['realm']}?{query}", timeout=SECONDS) as answer:  # noqa: S310
        found = json.load(answer)
    return str(found.get("token") or found.get("access_token"))
