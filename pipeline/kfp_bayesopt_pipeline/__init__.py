"""Runs studies: in this process, in compose, and on Kubeflow and Vertex."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

PYTHONPATH = os.pathsep.join([str(ROOT / "pipeline"), str(ROOT / "images" / "common")])
"""The import path of processes that this one starts."""
