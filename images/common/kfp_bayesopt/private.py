"""The variables of the environment that are of our process alone: by these it reaches a store, keys among them."""

from __future__ import annotations

from collections.abc import Mapping

PREFIX = "BAYESOPT_STORE_"
"""Begins the names of the settings of a store that are ours, such as its endpoint and its keys."""
ENDPOINT, ACCESS_KEY, SECRET_KEY, REGION = (
    f"{PREFIX}{name}" for name in ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY", "REGION")
)
ENDPOINTS = (ENDPOINT, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""The variables that tell the address of a store like S3, the first that is set."""
CA_BUNDLE = "BAYESOPT_CA_BUNDLE"
"""A file with certificates that our clients of stores trust besides."""


def is_private(name: str) -> bool:
    """Tell whether a variable is of our process alone, so that no objective sees it."""
    return name.startswith(PREFIX) or name == CA_BUNDLE


def without_private(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what is of our process alone."""
    return {name: value for name, value in environment.items() if not is_private(name)}
