"""What a KFP cluster gives to each task beside the settings of its study: how our process reaches the store."""

from __future__ import annotations

from dataclasses import dataclass

from kfp_bayesopt.private import ACCESS_KEY, CA_BUNDLE, ENDPOINT, REGION, SECRET_KEY

CERTIFICATES = "/opt/bayesopt-certificates"
"""Where a config map with certificates is mounted."""


@dataclass(frozen=True)
class Cluster:
    """What is explicit in a pipeline that is compiled for a KFP cluster.

    Our process alone reads the variables that follow from it: they beat all others, and no objective sees them.

    Attributes:
        endpoint: Address of the store as pods reach it; empty for the one that the store has by itself.
        region: Its region.
        secret: Name of the secret with the keys of the store, in the namespace of the runs; empty where the pods have
            an identity of their own.
        access_key: The key of the secret with the name of the account.
        secret_key: The key of the secret with its key.
        certificates: Name of the config map with the certificates of the store's authority; empty for a public one.
        certificate: Its key.
    """

    endpoint: str = ""
    region: str = ""
    secret: str = ""
    access_key: str = ""
    secret_key: str = ""
    certificates: str = ""
    certificate: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The variables of a task, in plain text."""
        path = f"{CERTIFICATES}/{self.certificate}" if self.certificates else ""
        named = {
            ENDPOINT: self.endpoint,
            REGION: self.region,
            CA_BUNDLE: path,
        }
        return {name: value for name, value in named.items() if value}

    @property
    def secrets(self) -> dict[str, str]:
        """The variables of a task that come from the secret, by the keys of it."""
        return {self.access_key: ACCESS_KEY, self.secret_key: SECRET_KEY}
