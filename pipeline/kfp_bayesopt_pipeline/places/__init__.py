"""The places where jobs run: the list of targets, a file of this folder each."""

from __future__ import annotations

import importlib
import os

from kfp_bayesopt_pipeline.places.protocol import Target
from kfp_bayesopt_pipeline.places.settings import KfpSettings, Settings, VertexSettings

# The settings of each target. The target NAME is the class `Service` of the module NAME, which is imported only when it
# is used: the client libraries take seconds, and `--help` and the other targets need none of them.
TARGETS: dict[str, type[Settings]] = {
    "vertex": VertexSettings,
    "kfp": KfpSettings,
}


def load_target(name: str, settings: Settings) -> Target:
    """Return a target with its settings, without asking the service anything yet."""
    if settings.credentials_path:
        os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = settings.credentials_path  # where Cloud Storage looks, too
    target: Target = importlib.import_module(f"{__name__}.{name}").Service(settings)
    return target
