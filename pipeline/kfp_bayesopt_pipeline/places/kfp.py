"""The place `kfp`: a cluster with Kubeflow Pipelines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from kfp_bayesopt.private import ENDPOINT as ADDRESS
from kfp_bayesopt.store.objects import installed
from kfp_bayesopt.store.storage import is_local
from kfp_bayesopt_pipeline.places.protocol import TargetPlace
from kfp_bayesopt_pipeline.places.settings import EVERY_COMMAND, Setting, Settings

if TYPE_CHECKING:  # `--help` reads the settings, and waits for nothing
    from kfp_bayesopt.study.study import Study
    from kfp_bayesopt_pipeline.cluster import Cluster
    from kfp_bayesopt_pipeline.plan.prices import Prices

NAMESPACE = "kubeflow"
"""Where KFP is installed, and where runs are on a cluster with one user."""
OWN = "minio://"
"""Begins the addresses in the store that KFP's installer brings."""
BUCKET = f"{OWN}mlpipeline"
"""The bucket that it makes there."""
ENDPOINT = installed.SERVICE
SECRET = installed.SECRET
KEYS = "/".join(installed.SECRET_KEYS)

_OBJECT = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
_KEY = r"[-._a-zA-Z0-9]{1,253}"
_SERVICE = re.compile(r"(https?)://([a-z0-9-]+)\.([a-z0-9-]+)(?:\.svc[a-z0-9.-]*)?(?::([0-9]+))?/?")
_ROOT = Settings.described()["pipeline_root"]


def default_root(namespace: str) -> str:
    """Return where the studies of a namespace are, if nobody says where.

    On a cluster with several users, a namespace may write below a prefix of its own alone (sync.py of KFP's manifests).
    """
    if namespace in ("", NAMESPACE):
        return f"{BUCKET}/bayesopt/{NAMESPACE}"
    return f"{BUCKET}/private-artifacts/{namespace}/bayesopt"


@dataclass(frozen=True)
class KfpSettings(Settings):
    """The settings of a KFP cluster: its address, the account to use, and its store."""

    pipeline_root: Annotated[
        str,
        replace(
            _ROOT,
            help=f"{_ROOT.help.rstrip('.')}; kfp: the store of the cluster by default, or a path with steps.volume.",
            rule=rf"{_ROOT.rule}|/\S+",
            words=f"{_ROOT.words}, or the path of a volume",
            needed_by=(),
        ),
    ] = ""
    host: Annotated[
        str,
        Setting(
            "KFP_HOST",
            "Address of a KFP cluster.",
            r"https?://[^\s/]\S*",
            "an address, such as https://kfp.example.com",
            EVERY_COMMAND,
        ),
    ] = ""
    namespace: Annotated[
        str,
        Setting(
            "KFP_NAMESPACE",
            "Kubernetes namespace, on a cluster with several users.",
            r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
            "lower case letters, digits and hyphens, at most 63",
        ),
    ] = ""
    token: Annotated[
        str,
        Setting(
            "KFP_TOKEN",
            "Token of a session on the cluster; better in .env than here.",
            r"\S+",
            "one word without spaces",
            secret=True,
        ),
    ] = ""
    store_endpoint: Annotated[
        str,
        Setting(
            "KFP_STORE_ENDPOINT",
            f"Address of the store for pods; for {OWN} roots {ENDPOINT} by default.",
            r"https?://[^\s/]\S*",
            f"an address, such as {ENDPOINT}",
        ),
    ] = ""
    store_secret: Annotated[
        str,
        Setting(
            "KFP_STORE_SECRET",
            "Secret with the keys of the store, in the namespace of the runs: NAME, or NAME/ACCESS_KEY/SECRET_KEY "
            f"where its keys are not {KEYS}; for {OWN} roots {SECRET} by default.",
            rf"{_OBJECT}(/{_KEY}/{_KEY})?",
            f"NAME or NAME/ACCESS_KEY/SECRET_KEY, such as {SECRET}/{KEYS}",
        ),
    ] = ""
    store_region: Annotated[
        str,
        Setting("KFP_STORE_REGION", "Region of the store.", r"[a-z0-9-]+", "lower case letters, digits and hyphens"),
    ] = ""
    store_ca: Annotated[
        str,
        Setting(
            "KFP_STORE_CA",
            "Config map with the certificates of the store's authority, in the namespace of the runs: NAME/KEY.",
            rf"[a-z0-9]([-a-z0-9]{{0,61}}[a-z0-9])?/{_KEY}",
            "NAME/KEY, such as my-certificates/ca.crt",
        ),
    ] = ""

    def __post_init__(self) -> None:
        """Take the store of the cluster where nothing else is said."""
        object.__setattr__(self, "pipeline_root", self.pipeline_root or default_root(self.namespace))

    def cluster(self, root: str) -> Cluster:
        """Return how the pods of a study reach its folder.

        A laptop may not reach what they do: neither the store of the installer nor a folder of a volume.

        Args:
            root: The study folder, or the prefix of it.
        """
        from kfp_bayesopt_pipeline.cluster import Cluster

        if is_local(root):
            return Cluster()
        is_own = root.startswith(OWN)
        name, _, keys = (self.store_secret or (SECRET if is_own else "")).partition("/")
        access, _, secret = (keys or KEYS).partition("/")
        certificates, _, certificate = self.store_ca.partition("/")
        return Cluster(
            endpoint=self.store_endpoint or (ENDPOINT if is_own else ""),
            region=self.store_region,
            secret=name,
            access_key=access,
            secret_key=secret,
            certificates=certificates,
            certificate=certificate,
        )


class Kfp(TargetPlace):
    """A KFP cluster."""

    name = "kfp"
    settings = KfpSettings
    service = "kfp_service"
    extra = "kfp"
    # As installed, a cluster brings back no pod that was evicted or had too little memory.
    again = 3
    lease_minutes = 5.0

    def asks(self, study: Study) -> str:
        """Return what all pods at once ask for: more than the cluster has leaves them pending."""
        from kfp_bayesopt_pipeline.preflight.requests import said_at_once

        return said_at_once(study)

    def limits(self, study: Study, root: str) -> list[str]:
        """Return the features and sizes of a study that a cluster would refuse."""
        from kfp_bayesopt_pipeline.preflight.limits import kfp_problems

        return kfp_problems(study, root)

    def start_seconds(self, study: Study, prices: Prices) -> float:
        """Return the time until a pod has started."""
        return prices.start_seconds.kfp

    def assumptions(self, study: Study, prices: Prices) -> Iterator[str]:
        """Yield too that its tasks pass on nothing but their order, where they do not."""
        from kfp_bayesopt_pipeline.preflight.limits import without_edges

        yield from super().assumptions(study, prices)
        if (why := without_edges(study)) is not None:
            yield f"- {why}"


def way_to(endpoint: str) -> str:
    """Return how another machine reaches the store of a cluster.

    Args:
        endpoint: Where pods reach it: the address of a service, unless somebody has set another one.
    """
    found = _SERVICE.fullmatch(endpoint)
    if found is None:
        return f"set {ADDRESS} to an address of {endpoint} that this machine reaches"
    scheme, service, namespace, port = found.groups()
    port = port or {"http": "80", "https": "443"}[scheme]
    local = max(int(port), 9000)  # lower ones are not everybody's
    return (
        f"run `kubectl port-forward -n {namespace} service/{service} {local}:{port}` and set "
        f"{ADDRESS}={scheme}://127.0.0.1:{local}"
    )


PLACE = Kfp()
