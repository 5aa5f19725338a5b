"""What a study leaves in other services of Vertex AI: runs of its Experiments, and versions in its Model Registry."""

from __future__ import annotations

EXPERIMENT = r"[a-z0-9][a-z0-9-]{3,63}"
"""Names of experiments. A run is named by them too, and has at most 121 characters: _EXPERIMENT_RUN_MAX_LENGTH."""
EXPERIMENT_WORDS = "4 to 64 lower case letters, digits and hyphens"

MODEL = r"(?P<name>[a-z_][a-z0-9_-]{0,62}|[0-9]{1,19})(=(?P<image>[^\s=]+))?"
"""Ids of models, and the image that serves them."""
MODEL_WORDS = (
    "NAME or NAME=IMAGE: the id of a model, with up to 63 lower case letters, digits, - and _, and what serves it"
)
