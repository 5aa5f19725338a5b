"""The variables of an objective: text, those of this machine, and secrets of Google Cloud's Secret Manager."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from kfp_bayesopt.errors import UserError
from kfp_bayesopt.store.secret_manager import secret_of
from kfp_bayesopt.study.environment import SHORTEST_SECRET, FromEnvironment, Secret, Variable


@dataclass
class Variables:
    """The variables of an objective, and those of their values that must not be shown."""

    values: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)


def resolve(env: Mapping[str, Variable], ours: Mapping[str, str] | None = None) -> Variables:
    """Return the value of each variable.

    Args:
        env: The variables in the study file.
        ours: The environment of this process.

    Raises:
        UserError: One is missing, or a secret cannot be fetched.
    """
    ours = os.environ if ours is None else ours
    found = Variables()
    for name, variable in env.items():
        if isinstance(variable, str):
            found.values[name] = variable
            continue
        value = _from(variable, ours, f"objective.env.{name}")
        if isinstance(variable, FromEnvironment) and not variable.secret:
            found.values[name] = value
            continue
        if len(value) < SHORTEST_SECRET:
            raise UserError(
                f"objective.env.{name}: a secret must have at least {SHORTEST_SECRET} characters, so that it can be "
                f"hidden in what is printed, but got {len(value)}; give a public value as text, or say secret: false"
            )
        found.values[name] = value
        found.secrets.append(value)
    return found


def _from(variable: FromEnvironment | Secret, ours: Mapping[str, str], where: str) -> str:
    if isinstance(variable, Secret):
        return secret_of(variable.secret, where)
    if variable.from_environment not in ours:
        raise UserError(
            f"{where}: the variable {variable.from_environment} is not set where the trial is evaluated; export it, or "
            "give it to the container"
        )
    return ours[variable.from_environment]
