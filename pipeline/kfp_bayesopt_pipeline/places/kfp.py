"""The place `kfp`: a cluster with Kubeflow Pipelines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

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
ENDPOINT = f"http://seaweedfs.{NAMESPACE}:9000"
"""The address of that store for pods, since KFP 2.15."""
SECRET = "mlpipeline-minio-artifact"  # noqa: S105 - its name
"""The secret with its keys, in each namespace with runs."""
KEYS = "accesskey/secretkey"

_OBJECT = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
_KEY = r"[-._a-zA-Z0-9]{1,253}"


@dataclass(frozen=True)
class KfpSettings(Settings):
    """The settings of a KFP cluster: its address, and the account to use."""

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
            f"Address of the store for pods.  [default for {OWN} roots: {ENDPOINT}]",
            r"https?://[^\s/]\S*",
            f"an address, such as {ENDPOINT}",
        ),
    ] = ""
    store_secret: Annotated[
        str,
        Setting(
            "KFP_STORE_SECRET",
            "Secret with the keys of the store, in the namespace of the runs: NAME, or NAME/ACCESS_KEY/SECRET_KEY "
            f"where its keys are not {KEYS}.  [default for {OWN} roots: {SECRET}]",
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

    def cluster(self, root: str) -> Cluster:
        """Return how the pods of a study reach its folder.

        A laptop may not reach what they do: neither the store of the installer nor a folder of a volume.

        Args:
            root: The study folder, or the prefix of it; by default one in the store of the installer.
        """
        from kfp_bayesopt_pipeline.cluster import Cluster

        if root and is_local(root):
            return Cluster()
        is_own = not root or root.startswith(OWN)
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

    def start_seconds(self, study: Study, prices: Prices) -> float:
        """Return the time until a pod has started."""
        return prices.start_seconds.kfp


PLACE = Kfp()
