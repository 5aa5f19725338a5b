"""Settings of a submission: from the command line, the environment, a .env file, or vertex_config.json."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from bayesopt import storage
from bayesopt.errors import UserError

# The names that the ecosystem uses; a key of vertex_config.json is the option's name.
ENVIRONMENT = {
    "project_id": "GOOGLE_CLOUD_PROJECT",
    "region": "GOOGLE_CLOUD_REGION",
    "pipeline_root": "PIPELINE_ROOT",
    "credentials_path": "GOOGLE_APPLICATION_CREDENTIALS",
    "service_account": "SERVICE_ACCOUNT",
    "experiment_name": "EXPERIMENT_NAME",
    "network": "VERTEX_NETWORK",
    "encryption_key": "VERTEX_ENCRYPTION_KEY",
    "endpoint": "VERTEX_ENDPOINT",
    "host": "KFP_HOST",
    "namespace": "KFP_NAMESPACE",
    "token": "KFP_TOKEN",
}
VERTEX = ("project_id", "region", "pipeline_root")
CLUSTER = ("host", "pipeline_root")

RULES = {
    "project_id": (r"[a-z]([a-z0-9.:-]{4,61})[a-z0-9]", "a project id, as my-project-123"),
    "region": (r"[a-z]+-[a-z]+\d+", "a region, as europe-west1"),
    "pipeline_root": (r"gs://[^/]+(/.*)?", "gs://BUCKET/PREFIX, because the steps read and write gs:// paths"),
    "service_account": (r"[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address, as steps@my-project.iam.gserviceaccount.com"),
    "experiment_name": (r"[a-z0-9][a-z0-9-]{0,127}", "lower case letters, digits and hyphens, at most 128"),
    "network": (r"projects/[^/]+/global/networks/[^/]+", "projects/NUMBER/global/networks/NAME"),
    "encryption_key": (
        r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+",
        "projects/P/locations/R/keyRings/K/cryptoKeys/NAME",
    ),
    "host": (r"https?://\S+", "an address, as https://kfp.example.com"),
}

Settings = dict[str, str | None]


def read_config(path: Path) -> dict[str, str]:
    """Read a vertex_config.json: project_id, region, credentials_path, pipeline_root and the like.

    Raises:
        UserError: It is not JSON, or has a key that no setting has.
    """
    try:
        config = json.loads(storage.read(str(path)))
    except ValueError as error:
        raise UserError(f"{path}: JSON must be there, but: {error}") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: keys and values must be there, but got {type(config).__name__}")
    if unknown := sorted(set(config) - set(ENVIRONMENT)):
        raise UserError(f"{path}: unknown key {unknown[0]!r}; known keys: {', '.join(ENVIRONMENT)}")
    return {key: str(value) for key, value in config.items() if value}


def problems(settings: Settings, needed: tuple[str, ...]) -> list[str]:
    """Return a line for each setting that is missing or malformed."""
    lines = []
    for name, variable in ENVIRONMENT.items():
        value = settings.get(name)
        option = f"--{name.replace('_', '-')}"
        if not value:
            if name in needed:
                lines.append(
                    f"{name} must be given: {option}, {variable} in the environment or .env, or vertex_config.json"
                )
        elif name in RULES and not re.fullmatch(RULES[name][0], value):
            lines.append(f"{name} must be {RULES[name][1]}, but got {value!r}")
    return lines


def parse_labels(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Turn KEY=VALUE options into labels, by the rule of the API."""
    labels = {}
    for value in values:
        key, _, text = value.partition("=")
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}=[a-z0-9_-]{0,63}", value):
            raise click.BadParameter(
                f"KEY=VALUE of lower case letters, digits, _ and -, at most 63 each, must be given, but got {value!r}"
            )
        labels[key] = text
    return labels
