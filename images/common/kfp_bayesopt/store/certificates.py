"""The certificates that a client of a store trusts besides those of the machine, and what is said where one is not."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.private import CA_BUNDLE

if TYPE_CHECKING:  # it takes time to import, and a store without https needs none
    import ssl

_NOT_TRUSTED = re.compile(r"InvalidCertificate\(\s*(\w+)")
_WHY = {
    "UnknownIssuer": "is of an authority that is not trusted here",
    "Expired": "has expired",
    "ExpiredContext": "has expired",
    "NotValidYet": "is not valid yet by the clock of this machine",
    "NotValidYetContext": "is not valid yet by the clock of this machine",
    "NotValidForName": "is for another name",
    "NotValidForNameContext": "is for another name",
}


def root_certificates(variables: Mapping[str, str] = os.environ) -> bytes | None:
    """Return the certificates that a store's client trusts besides those of the machine, as PEM; None without any.

    They are those of certifi, which is in every image of ours, since without any a client cannot even be made where
    the machine has none, and those of the file that BAYESOPT_CA_BUNDLE, else AWS_CA_BUNDLE, names.

    Args:
        variables: Those of the environment.

    Raises:
        UserError: That file cannot be read, or has no certificates.
    """
    return b"\n".join(Path(file).read_bytes() for file in _files(variables)) or None


def trusting(variables: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Return what lets Python's own client trust the same.

    Raises:
        UserError: As of `root_certificates`.
    """
    import ssl

    context = ssl.create_default_context()
    for file in _files(variables):
        context.load_verify_locations(cafile=file)
    return context


def _files(variables: Mapping[str, str]) -> list[str]:
    found = []
    try:
        import certifi
    except ModuleNotFoundError:  # without Cloud Storage's packages; nearly every machine has its own
        pass
    else:
        found.append(certifi.where())
    if variable := next((name for name in (CA_BUNDLE, "AWS_CA_BUNDLE") if variables.get(name)), None):
        _check(variables[variable], variable)
        found.append(variables[variable])
    return found


def _check(path: str, variable: str) -> None:
    import ssl

    way_out = f"{variable} names a file with certificates as PEM, such as that of the authority of a store"
    try:
        Path(path).read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise UserError(f"{path}: not a file of certificates ({error.reason or error}); {way_out}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; {way_out}") from None


def problem_with_certificate(said: str) -> str | None:
    """Return what a client's text says of certificates, and the way out; None if it is about something else."""
    if "No CA certificates" in said:
        return (
            "no certificates of authorities are on this machine, and without them no https:// address can be trusted; "
            f"install its package ca-certificates, or `pip install certifi`, or set {CA_BUNDLE} to a file with them"
        )
    if (found := _NOT_TRUSTED.search(said)) is None:
        return None
    why = _WHY.get(found[1], f"is not valid ({found[1]})")
    way_out = "see to the certificate of the store, or to its address"
    if found[1] == "UnknownIssuer":
        way_out = f"set {CA_BUNDLE} to a file with the certificate of that authority (PEM)"
    return f"its certificate {why}; {way_out}"
