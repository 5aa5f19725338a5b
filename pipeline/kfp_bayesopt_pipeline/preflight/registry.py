"""Asks an image registry whether it has an image."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException

from kfp_bayesopt import hints

GOOGLE = re.compile(r"(.+\.)?(pkg\.dev|gcr\.io)")
LOOPBACK = re.compile(r"(localhost|127\.0\.0\.\d+|\[::1\])(:\d+)?")
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
    host, _, rest = image.partition("/")
    if not rest or not ("." in host or ":" in host or host == "localhost"):
        return f"{image}: no registry in the name of the image, so that nobody can pull it; `{hints.PUSH_TO}`"
    name, _, reference = rest.partition("@") if "@" in rest else rest.rpartition(":")
    scheme = "http" if LOOPBACK.fullmatch(host) else "https"
    url = f"{scheme}://{host}/v2/{name.partition(':')[0]}/manifests/{reference}"
    try:
        return _ask(url, token if GOOGLE.fullmatch(host) else None, image)
    except (OSError, HTTPException, ValueError) as error:  # the last two: what answers there is no registry
        return f"{image}: no answer from the registry {host}: {str(getattr(error, 'reason', error)).strip()}"


def _ask(url: str, token: str | None, image: str) -> str | None:
    headers = {"Accept": MANIFESTS} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers, method="HEAD"), timeout=20):  # noqa: S310
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
    with urllib.request.urlopen(f"{fields['realm']}?{query}", timeout=20) as answer:  # noqa: S310
        found = json.load(answer)
    return str(found.get("token") or found.get("access_token"))
