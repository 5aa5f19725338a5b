"""The place `kfp`: a cluster with Kubeflow Pipelines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from kfp_bayesopt_pipeline.places.protocol import TargetPlace
from kfp_bayesopt_pipeline.places.settings import EVERY_COMMAND, Setting, Settings

if TYPE_CHECKING:  # `--help` reads the settings, and waits for nothing
    from kfp_bayesopt.study.study import Study
    from kfp_bayesopt_pipeline.plan.prices import Prices

NAMESPACE = "kubeflow"
"""Where KFP is installed, and where runs are on a cluster with one user."""


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


class Kfp(TargetPlace):
    """A KFP cluster."""

    name = "kfp"
    settings = KfpSettings
    service = "kfp_service"
    extra = "kfp"
    again = 3  # as installed, a cluster brings back no pod that was evicted or had too little memory

    def start_seconds(self, study: Study, prices: Prices) -> float:
        """Return the time until a pod has started."""
        return prices.start_seconds.kfp


PLACE = Kfp()
