"""Azure Blob Storage: `az://CONTAINER/…`, of the account that the settings name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from obstore.store import AzureStore

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.private import ACCESS_KEY, ENDPOINT, SECRET_KEY
from kfp_bayesopt.store.objects.objects import ONCE, Account, Objects, answers, client_options, endpoint_of

if TYPE_CHECKING:
    from obstore.store import ObjectStore

CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
IDENTITIES = ("AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT")
"""Where obstore itself finds an identity: that of an application, of a workload, and of a function or container."""

_DENIED = "grant the role Storage Blob Data Contributor on the container to the account that runs this"
_WAYS_OUT = {
    "AuthenticationFailed": "correct the key or the token of the account, and see that the clock of this machine is "
    "right",
    "InvalidAuthenticationInfo": "correct the key or the token of the account",
}


def _azure() -> Account:
    variables = os.environ
    connection = _connection(variables.get(CONNECTION, ""))
    ours = variables.get(ACCESS_KEY)
    name = (
        ours
        or variables.get("AZURE_STORAGE_ACCOUNT_NAME")
        or variables.get("AZURE_STORAGE_ACCOUNT")
        or connection.get("AccountName")
    )
    key = (
        variables.get(SECRET_KEY)
        if ours
        else variables.get("AZURE_STORAGE_ACCOUNT_KEY")
        or variables.get("AZURE_STORAGE_KEY")
        or variables.get("AZURE_STORAGE_ACCESS_KEY")
        or connection.get("AccountKey")
    )
    sas = variables.get("AZURE_STORAGE_SAS_TOKEN") or connection.get("SharedAccessSignature")
    if not name:
        raise UserError(
            f"az:// paths need the name of their account; set AZURE_STORAGE_ACCOUNT_NAME, {CONNECTION} or {ACCESS_KEY}"
        )
    endpoint = variables.get(ENDPOINT) or variables.get("AZURE_STORAGE_ENDPOINT") or connection.get("BlobEndpoint")
    base = endpoint_of(endpoint) if endpoint else f"https://{name}.blob.core.windows.net"
    settings: dict[str, Any] = {"account_name": name, "endpoint": base}
    if key:
        settings["account_key"] = key
    elif sas:
        settings["sas_key"] = sas

    no_keys = (
        "no keys for az:// paths found; set AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or "
        f"{CONNECTION}, or give this machine or pod an identity"
    )

    def opened(container: str) -> ObjectStore:
        if not (key or sas or any(map(variables.get, IDENTITIES)) or _has_metadata()):
            raise UserError(no_keys)
        return AzureStore(container, client_options=client_options(base), retry_config=ONCE, **settings)

    said = f"Azure Blob Storage at {endpoint}" if endpoint else f"the account {name} of Azure Blob Storage"
    return Account(said, lambda container: f"{base}/{container}", opened, _WAYS_OUT, _DENIED, no_keys)


def _has_metadata() -> bool:
    """Tell whether this is a machine of Azure's, which may have an identity."""
    return answers("http://169.254.169.254/metadata/instance?api-version=2021-02-01", "GET", Metadata="true")


def _connection(text: str) -> dict[str, str]:
    """Return the parts of a connection string: NAME=VALUE, each with a semicolon."""
    return {name: value for name, _, value in (part.partition("=") for part in text.split(";")) if name}


az = Objects(_azure)
