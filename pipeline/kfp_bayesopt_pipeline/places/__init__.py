"""The places where studies run: two lists, each of whose members is a file of this folder.

To add one: a file with its `PLACE`, as `protocol.py` beside it has it, and a line in a list here.
"""

from __future__ import annotations

import importlib
import os

from kfp_bayesopt import extras
from kfp_bayesopt_pipeline.places.protocol import Place, Target, TargetPlace
from kfp_bayesopt_pipeline.places.settings import Settings

HERE = {"in-process": "in_process", "compose": "compose", "kfp.local": "kfp_local"}
"""The module of each place that a command runs a study in, from its begin to its end."""

SERVICES = {"vertex": "vertex", "kfp": "kfp"}
"""The module of each place that takes jobs, which go on without us. `--help` reads it, so that it imports little."""


def load_place(name: str) -> Place:
    """Return a place by its name."""
    found: Place = importlib.import_module(f"{__name__}.{(HERE | SERVICES)[name]}").PLACE
    return found


def load_service(name: str) -> TargetPlace:
    """Return a place that takes jobs by its name."""
    found = load_place(name)
    assert isinstance(found, TargetPlace)
    return found


TARGETS: dict[str, type[Settings]] = {name: load_service(name).settings for name in SERVICES}
"""The settings of each target."""

AGAIN_ON = {name: load_service(name).again for name in SERVICES}
"""How often each target's jobs are followed by another one, by default."""


def load_target(name: str, settings: Settings) -> Target:
    """Return a target with its settings; nothing is asked of the service yet."""
    if settings.credentials_path:
        os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = settings.credentials_path  # where Cloud Storage looks, too
    place = load_service(name)
    with extras.needed_by(f"the target {name}", place.extra):
        module = importlib.import_module(f"{__name__}.{place.service}")
    target: Target = module.Service(settings)
    return target
