"""The repository of images: as it is given, or as docs/vertex-setup.sh makes it in a project."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from kfp_bayesopt import hints
from kfp_bayesopt.errors import UserError, shown

VARIABLE = "REGISTRY"
PROJECT, REGION = "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_REGION"
HERE = "kfp-bayesopt"
"""The repository of images that stay on this machine."""
REPOSITORY = "bayesopt"
"""The repository of Artifact Registry that docs/vertex-setup.sh makes."""
_PART = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
_HOST = r"(?:localhost|\[[0-9a-f:]+\]|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(?::\d{1,5})?"
_PUSHED = re.compile(rf"{_HOST}(?:/{_PART})+")
_HERE = re.compile(rf"{_PART}(?:/{_PART})*")


def registry_of(given: str | None, variables: Mapping[str, str] = os.environ) -> str | None:
    """Return the repository of images; None if nothing says it.

    Args:
        given: The one that a person names.
        variables: Those of the environment, with those of .env.
    """
    if given or variables.get(VARIABLE):
        return given or variables[VARIABLE]
    project, region = variables.get(PROJECT), variables.get(REGION)
    # The project of a domain is DOMAIN:NAME, and a path in the names of images.
    return f"{region}-docker.pkg.dev/{project.replace(':', '/')}/{REPOSITORY}" if project and region else None


def registry_here(given: str | None) -> str:
    """Return the repository of images that are built: one of this machine if nothing says it.

    Raises:
        UserError: It cannot be one.
    """
    found = registry_of(given) or HERE
    if problem := None if _HERE.fullmatch(found) else problem_of(found):
        raise UserError(problem)
    return found


def registry_to_push(given: str | None) -> str:
    """Return the repository that images are pushed to.

    Raises:
        UserError: Nothing says it, or it cannot be one.
    """
    found = registry_of(given)
    if problem := problem_of(found):
        raise UserError(problem)
    assert found is not None
    return found


def problem_of(registry: str | None) -> str | None:
    """Return why nothing can be pushed to a repository; None if something can."""
    if registry is None:
        lacking = " and ".join(name for name in (PROJECT, REGION) if not os.environ.get(name))
        return (
            f"no registry to push to: give {hints.REGISTRY}, or set {VARIABLE} in the environment or .env, or "
            f"{lacking} there, by which it is REGION-docker.pkg.dev/PROJECT/{REPOSITORY}"
        )
    if not _PUSHED.fullmatch(registry):
        return (
            f"registry: expected HOST/PROJECT/REPOSITORY, such as europe-west1-docker.pkg.dev/my-project/bayesopt, but "
            f"got {shown(registry)}"
        )
    return None
