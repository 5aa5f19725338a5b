"""Runs studies: in this process, in compose, and on Kubeflow and Vertex."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

PYTHONPATH = os.pathsep.join([str(ROOT / "pipeline"), str(ROOT / "images" / "common")])
"""Where a process that this one starts finds the packages."""
