"""The store of a KFP cluster, found in a pod as KFP's own launcher finds it there: its address and its keys.

A config map of the pod's namespace says where, and a secret has the keys, as in `GetStoreSessionInfo` and
`getS3BucketCredential` in backend/src/v2/{config,objectstore} of KFP 2.17. Both are asked of the API of the cluster
with the token of the pod's service account: the launcher runs in the same pod, with the same rights.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.private import ACCESS_KEY, ENDPOINT, SECRET_KEY
from kfp_bayesopt.store.objects.installed import REGION, SECRET, SECRET_KEYS, SERVICE, SETTINGS
from kfp_bayesopt.store.patience import DamagedError, NotAFaultError, Service, ask, short

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod has the token of its service account, unless that is switched off."""
TIMEOUT = 10
"""Seconds in which the API of a cluster answers a request, or is asked again."""
LARGEST = 4 << 20
"""The most bytes of an answer; a config map and a secret have at most a MiB."""
AMAZON = "s3.amazonaws.com"
"""An address of a store that is not to be taken as one: Amazon's follows from the region."""
SET = f"set {ENDPOINT}, {ACCESS_KEY} and {SECRET_KEY} in the pod"

_KINDS = {"configmaps": "config map", "secrets": "secret"}
_Json = Mapping[str, Any]


@dataclass(frozen=True)
class ClusterStore:
    """The store of a cluster.

    Attributes:
        namespace: That of the pod.
        endpoint: Its address; None for Amazon's.
        region: Its region; None where nothing names one.
        virtual: Whether a bucket is in the name of the host.
        keys: Those of the secret, access and secret key; None where the environment has them.
        buckets: Those with other settings, which are not read here.
    """

    namespace: str
    endpoint: str | None = SERVICE
    region: str | None = REGION
    virtual: bool = False
    keys: tuple[str, str] | None = None
    buckets: frozenset[str] = frozenset()

    @property
    def denied(self) -> str:
        """What mends a refusal of the store."""
        return (
            "see whose keys those are, and what they may do: on a cluster with several users, those of the namespace "
            f"{self.namespace} may write below minio://mlpipeline/private-artifacts/{self.namespace}/ alone"
        )

    def check(self, bucket: str) -> None:
        """Refuse a bucket for which the cluster has settings of its own."""
        if bucket in self.buckets:
            raise UserError(
                f"minio://{bucket}: the config map {SETTINGS} of the namespace {self.namespace} has settings for this "
                f"bucket alone, which are not read here; {SET}"
            )


def is_pod() -> bool:
    """Tell whether this process is in a pod of Kubernetes."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST") and os.environ.get("KUBERNETES_SERVICE_PORT"))


def find(with_keys: bool) -> ClusterStore:
    """Ask the cluster of this pod for its store.

    Args:
        with_keys: Whether the keys are asked for too; not where others are given.

    Raises:
        UserError: The service account of the pod may not read it, or it is not there.
        UnavailableError: The API does not answer.
    """
    namespace = _file("namespace")
    settings = _object(namespace, "configmaps", SETTINGS)
    given = _provider(namespace, (settings or {}).get("data") or {})
    found, secret = _told(namespace, given) if given else (ClusterStore(namespace), (SECRET, *SECRET_KEYS))
    if secret is None or not with_keys:
        return found
    return replace(found, keys=_keys(namespace, *secret))


def _provider(namespace: str, data: _Json) -> _Json | None:
    """Return what the config map says of `minio://`; None where it says nothing."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = YAML(typ="safe", pure=True).load(str(data.get("providers") or "")) or {}
        given = _folded(found).get("minio") or {}
        return given if given.get("default") or given.get("overrides") else None
    except (YAMLError, ValueError, AttributeError):
        raise _wrong(namespace, "`providers` is not what KFP expects") from None


def _told(namespace: str, given: _Json) -> tuple[ClusterStore, tuple[str, str, str] | None]:
    """Return the store that the config map tells of, without keys, and where they are in which secret."""
    try:
        default = given["default"]
        credentials = default["credentials"]
        endpoint = str(default.get("endpoint") or "")
        if endpoint.lower().removeprefix("https://").startswith(AMAZON):
            endpoint = ""
        if endpoint and not endpoint.startswith(("http://", "https://")):
            endpoint = f"{'http' if default.get('disablessl') else 'https'}://{endpoint}"
        found = ClusterStore(
            namespace,
            endpoint or None,
            default.get("region") or None,
            default.get("forcepathstyle") is False,
            None,
            frozenset(each["bucketname"] for each in given.get("overrides") or []),
        )
        if credentials.get("fromenv"):
            return found, None
        named = credentials["secretref"]
        return found, (named["secretname"], named["accesskeykey"], named["secretkeykey"])
    except (LookupError, TypeError, AttributeError):
        raise _wrong(namespace, "`providers.minio.default` names no credentials") from None


def _folded(value: Any) -> Any:
    """Return a document with keys in lower case: KFP reads them in any."""
    if isinstance(value, dict):
        return {str(key).lower(): _folded(each) for key, each in value.items()}
    return [_folded(each) for each in value] if isinstance(value, list) else value


def _wrong(namespace: str, problem: str) -> UserError:
    return UserError(f"the config map {SETTINGS} of the namespace {namespace}: {problem}; correct it, or {SET}")


def _keys(namespace: str, secret: str, access: str, key: str) -> tuple[str, str]:
    found = _object(namespace, "secrets", secret)
    if found is None:
        raise UserError(
            f"the namespace {namespace} has no secret {secret}, where KFP has the keys of its store; run this where "
            f"KFP runs pipelines, or {SET}"
        )
    try:
        access_key, secret_key = (
            base64.b64decode(str((found.get("data") or {}).get(name) or ""), validate=True).decode()
            for name in (access, key)
        )
    except ValueError:
        access_key = secret_key = ""
    if not access_key or not secret_key:
        raise UserError(
            f"the secret {secret} of the namespace {namespace} has no keys {access} and {key}; add them, or {SET}"
        )
    return access_key, secret_key


def _file(name: str) -> str:
    try:
        return (ACCOUNT / name).read_text().strip()
    except OSError:
        raise UserError(
            "minio:// paths are in the store of a cluster, and this pod may not ask for its keys: it has no token of a "
            f"service account (automountServiceAccountToken); mount one, or {SET}"
        ) from None


def _object(namespace: str, kind: str, name: str) -> _Json | None:
    """Return an object of the cluster; None if it does not exist."""
    what = f"the {_KINDS[kind]} {name} of the namespace {namespace}"
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    host = f"[{host}]" if ":" in host else host
    address = f"https://{host}:{port}/api/v1/namespaces/{namespace}/{kind}/{name}"

    def refusal(_: str, fault: Exception) -> UserError | None:
        if isinstance(fault, _RefusedError) and fault.status == 403:
            return UserError(f"{what}: {_let_it(namespace, kind, name, fault)}, or {SET}")
        return UserError(f"{what}: the API of the cluster does not give it ({_plain(fault)}); {SET}")

    try:
        return ask(
            Service("the API of the cluster", _is_transient, _is_damage, _plain, refusal), what, lambda: _get(address)
        )
    except _MissingError:
        return None


def _let_it(namespace: str, kind: str, name: str, fault: _RefusedError) -> str:
    """Return what lets the service account of this pod read what KFP's launcher reads."""
    names = f"--resource-name={SETTINGS} --resource-name={name if kind == 'secrets' else SECRET}"
    found = re.search(r"system:serviceaccount:([^:\s\"]+:[^:\s\"]+)", fault.said)
    return (
        f"the service account of this pod may not read it ({_plain(fault)}), but it tells how to reach minio:// paths; "
        f"run `kubectl create role kfp-store -n {namespace} --verb=get --resource=secrets,configmaps {names}` and "
        f"`kubectl create rolebinding kfp-store -n {namespace} --role=kfp-store "
        f"--serviceaccount={found[1] if found else f'{namespace}:NAME'}`"
    )


class _MissingError(NotAFaultError):
    """The cluster has no such object."""


class _RefusedError(Exception):
    """The API answered with an error."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(status, said)
        self.status, self.said = status, said


def _get(address: str) -> _Json:
    import ssl
    import urllib.error
    import urllib.request

    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    # A token is renewed in its file: each request reads it.
    asking = {"Authorization": f"Bearer {_file('token')}", "Accept": "application/json"}
    try:
        with opener.open(urllib.request.Request(address, headers=asking), timeout=TIMEOUT) as answer:  # noqa: S310
            found = json.loads(answer.read(LARGEST))
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(LARGEST)
        if error.code == 404:
            raise _MissingError from None
        raise _RefusedError(error.code, _words(said) or str(error.reason)) from None
    if not isinstance(found, dict):
        raise DamagedError("no object came")
    return found


def _words(answer: bytes) -> str:
    """Return the message of a Status of Kubernetes, else the answer itself."""
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, LookupError, TypeError):
        return short(answer)


def _is_transient(fault: BaseException) -> bool:
    if isinstance(fault, _RefusedError):
        return fault.status in (408, 429) or fault.status >= 500
    lasting = "CERTIFICATE_VERIFY_FAILED" in str(fault) or isinstance(fault, FileNotFoundError)
    return _is_damage(fault) or (isinstance(fault, OSError | HTTPException) and not lasting)


def _is_damage(fault: BaseException) -> bool:
    return isinstance(fault, DamagedError | ValueError)


def _plain(fault: BaseException) -> str:
    if isinstance(fault, _RefusedError):
        return f"{fault.status}: {short(fault.said)}"
    return short(str(getattr(fault, "reason", fault))) or type(fault).__name__
